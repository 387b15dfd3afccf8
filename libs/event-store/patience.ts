import { setTimeout as sleep } from 'node:timers/promises';
import { type AppendLane, type AppendRequest, type AppendResult, type EventStore, StoreUnavailable } from './event-store';

const PAUSE_MS = { first: 100, most: 2000 };

/** For long work that nobody waits for: does again what failed for want of the store, until nothing at all has succeeded for `millis`. */
export class Patience {
  private failingSince: number | null = null;

  constructor(private readonly millis: number) {}

  /** `work` must have the same effect when it is done again. Rejects as `work` did last. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    for (let pause = PAUSE_MS.first; ; pause = Math.min(pause * 2, PAUSE_MS.most)) {
      try {
        const result = await work();
        this.failingSince = null;
        return result;
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.failingSince ??= performance.now();
        if (performance.now() - this.failingSince >= this.millis) throw error;
      }
      await sleep(pause);
    }
  }

  /** One append, made however often it takes: the same ids each time, so it takes place once. */
  append(log: Pick<EventStore, 'append'>, request: AppendRequest, lane: AppendLane): Promise<Settled> {
    return this.through(async () => {
      const [result] = await log.append([request], lane);
      if (result === undefined || (!result.ok && result.error === 'StoreUnavailable'))
        throw new StoreUnavailable('EventStoreDB does not take appends.');
      return result as Settled;
    });
  }
}

export type Settled = Extract<AppendResult, { ok: true }> | { readonly ok: false; readonly error: 'RevisionConflict' };
