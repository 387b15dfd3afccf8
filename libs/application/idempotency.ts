import type { ClaimIntent } from './request';

/** The answer kept for a key: replayed as it was. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
