import { OutdialError } from '#dialing';
import type { StateStore } from '#event-store';
import type { GenerationStatus, QuarantinedDocument } from '#read-models';
import type { Clock, Randomness, Scheduler } from './engine';

/** What the admin command line asks about the read models. */
export interface ProjectionOrders {
  status(): Promise<readonly GenerationStatus[]>;
  /** Builds all read models anew beside the live ones. Answers the new generation's name. */
  rebuild(): Promise<string>;
  /** Resolves when that generation has caught up and is live. */
  promote(name: string): Promise<void>;
  /** Folds quarantined documents again. Answers what is still quarantined. */
  retry(): Promise<readonly QuarantinedDocument[]>;
}

type Order = { readonly kind: 'status' | 'rebuild' | 'retry' } | { readonly kind: 'promote'; readonly name: string };
type Answer = { readonly value: unknown } | { readonly error: string };

/** An order as it lies in the state store: whoever builds the read models takes it up, and leaves the answer there. */
interface OrderRecord {
  readonly order: Order;
  /** Taken up. */
  readonly taken: boolean;
  readonly answer: Answer | null;
}

const PREFIX = 'projection-order/';
const KEPT_MILLIS = 60 * 60 * 1000;
const POLL_MILLIS = 200;
/** An order that nobody takes up for so long finds nobody. */
const UNHEARD_MILLIS = 15_000;

export interface OrderPorts {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly randomness: Randomness;
}

/** Gives orders to the process that builds the read models, wherever it runs. Rejects with UNAVAILABLE when there is none. */
export function ordersElsewhere(ports: OrderPorts): ProjectionOrders {
  const { state, clock, scheduler, randomness } = ports;
  const pause = (): Promise<void> => new Promise((resolve) => scheduler.after(POLL_MILLIS, resolve));
  const ask = async (order: Order): Promise<unknown> => {
    const key = `${PREFIX}${randomness.uuid()}`;
    const record: OrderRecord = { order, taken: false, answer: null };
    await state.put(key, JSON.stringify(record), 0, Math.floor(clock.now() / 1000) + KEPT_MILLIS);
    for (let waited = 0; ; waited += POLL_MILLIS) {
      await pause();
      const found = await state.get(key);
      const { taken, answer } = found ? (JSON.parse(found.value) as OrderRecord) : { taken: true, answer: { error: 'the order was lost' } };
      if (answer === null && (taken || waited < UNHEARD_MILLIS)) continue;
      await state.delete(key);
      if (answer === null) throw new OutdialError('UNAVAILABLE', 'NO_WORKER', 'No worker builds the read models now: start one.', [], 5);
      if ('error' in answer) throw new Error(answer.error);
      return answer.value;
    }
  };
  return {
    status: async () => (await ask({ kind: 'status' })) as readonly GenerationStatus[],
    rebuild: async () => (await ask({ kind: 'rebuild' })) as string,
    promote: async (name) => void (await ask({ kind: 'promote', name })),
    retry: async () => (await ask({ kind: 'retry' })) as readonly QuarantinedDocument[],
  };
}

/** Takes up what was ordered since the last look; answers come when they are there. Rejects with StoreUnavailable. */
export async function takeOrders(state: StateStore, projections: ProjectionOrders): Promise<void> {
  for (const { key, value, version } of await state.list(PREFIX)) {
    const record = JSON.parse(value) as OrderRecord;
    if (record.taken || !(await state.put(key, JSON.stringify({ ...record, taken: true } satisfies OrderRecord), version))) continue;
    void carryOut(record.order, projections).then((answer) =>
      // Lost with a store that is away: whoever asked asks again.
      state.put(key, JSON.stringify({ ...record, taken: true, answer } satisfies OrderRecord), version + 1).catch(() => false),
    );
  }
}

async function carryOut(order: Order, projections: ProjectionOrders): Promise<Answer> {
  try {
    const value = await (order.kind === 'promote' ? projections.promote(order.name) : projections[order.kind]());
    return { value: value ?? null };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
