import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, ConnectionError } from '#client';

const LONGEST_MILLIS = 30_000;

/** Whether it may go better the next time: the connection broke, or the service, or what stands before it, is away for a moment. */
const isPassing = (error: unknown): error is ConnectionError | ApiError =>
  error instanceof ConnectionError ||
  (error instanceof ApiError &&
    (['UNAVAILABLE', 'RESOURCE_EXHAUSTED'].includes(error.status) || [429, 502, 503, 504].includes(error.code)));

const pause = (millis: number, signal: AbortSignal): Promise<unknown> => sleep(millis, undefined, { signal });

export interface Persistence {
  /** How often in a row it may fail without having come further. */
  readonly retries: number;
  readonly signal: AbortSignal;
  /** How far it has come: more than after the failure before means that trying is worth while. */
  readonly reached: () => number;
  readonly onRetry: (error: Error, waitMillis: number) => void;
  readonly wait?: (millis: number, signal: AbortSignal) => Promise<unknown>;
}

/** Tries until it succeeds, at growing intervals. What cannot get better is thrown at once. */
export async function persist<T>(attempt: () => Promise<T>, { retries, signal, reached, onRetry, wait = pause }: Persistence): Promise<T> {
  let before = reached();
  for (let failures = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      failures = reached() > before ? 1 : failures + 1;
      before = reached();
      if (!isPassing(error) || failures > retries) throw error;
      const asked = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
      // Half of it is left to chance, so that many clients of a service that was away do not come back together.
      const millis = Math.max(asked, Math.min(LONGEST_MILLIS, 500 * 2 ** failures) * (0.5 + Math.random() / 2));
      onRetry(error, millis);
      await wait(millis, signal);
    }
  }
}
