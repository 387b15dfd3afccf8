import type { Address } from './address';
import type { ReportedOutcome } from './outcomes';
import type { Five } from './five';
import type { Micros } from './time';

/** What an outcome does to the destination dialed, over the defaults. Milliseconds. Limits hold whatever it says (api.md, Outplans). */
export interface RetryRule {
  /** false: the destination is exhausted by this outcome. */
  readonly retry?: boolean;
  /** Replaces the plan's try_interval after this outcome. */
  readonly interval?: number;
  /** true: the destination is exhausted and the next one is due after `interval`, default 0. */
  readonly next_destination?: boolean;
}
export type RetryRules = Readonly<Partial<Record<Exclude<ReportedOutcome, 'answered'>, RetryRule>>>;

/** The part of an outplan that an attempt is decided under, and that its event pins. Milliseconds. */
export interface DialPolicy {
  readonly source: Address | null;
  readonly dialTimeout: number;
  readonly tryInterval: number;
  readonly maxTryCounts: Five<number>;
  readonly retry: RetryRules;
}

/** What applies to an outdial without an outplan (VoIPBIN's defaults). */
export const DEFAULT_POLICY: DialPolicy = {
  source: null,
  dialTimeout: 60_000,
  tryInterval: 600_000,
  maxTryCounts: [3, 3, 3, 3, 3],
  retry: {},
};

export interface OutplanDetails {
  readonly name: string;
  readonly detail: string;
  readonly policy: DialPolicy;
}

export type OutplanEvent =
  | ({ readonly type: 'OutplanCreated'; readonly tm: Micros; readonly outplanId: string; readonly customerId: string } & OutplanDetails)
  | { readonly type: 'OutplanUpdated'; readonly tm: Micros; readonly outplanId: string; readonly changes: OutplanChanges }
  | { readonly type: 'OutplanDeleted'; readonly tm: Micros; readonly outplanId: string };

/** Only what changed; `policy` holds only its changed members. */
export interface OutplanChanges {
  readonly name?: string;
  readonly detail?: string;
  readonly policy?: Partial<DialPolicy>;
}

export interface Outplan extends OutplanDetails {
  readonly id: string;
  readonly customerId: string;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros | null;
  readonly tmDelete: Micros | null;
  /** Time of the stream's last event; the next one is later (architecture.md, rule 8). */
  readonly tmLast: Micros;
}

export type OutplanCommand =
  | ({ readonly type: 'CreateOutplan'; readonly now: Micros; readonly outplanId: string; readonly customerId: string } & OutplanDetails)
  | { readonly type: 'UpdateOutplan'; readonly now: Micros; readonly changes: OutplanChanges }
  | { readonly type: 'DeleteOutplan'; readonly now: Micros };
