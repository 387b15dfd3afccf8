import { OutdialError } from '#dialing';
import type { StateStore } from '#event-store';
import { derivedId } from './derived-id';
import type { Clock, Scheduler } from './engine';
import type { ClaimIntent } from './request';

/** The answer kept for a key: replayed as it was. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What makes two requests the same: the credential, where they went, and the caller's key. */
export interface IdempotentRequest {
  readonly actor: string;
  readonly method: string;
  readonly path: string;
  readonly key: string;
}

interface KeptRecord {
  readonly bodyHash: string;
  /** null: begun, and not known to have ended. */
  readonly answer: KeptAnswer | null;
  /** What a claim was about to append. */
  readonly intent: string | null;
}

const DAY_MILLIS = 24 * 60 * 60 * 1000;
/** How long a request waits for the one with the same key that another gateway runs. */
const WAIT_MILLIS = 10_000;
const POLL_MILLIS = 100;
/** Namespace of the command ids that derive from a key. */
const COMMANDS = '2b0d3c5e-0f4e-5c8e-8d61-5d3b8f6f1c02';

/**
 * A request with an Idempotency-Key takes effect once (the API contract, Conventions). Three things make it so, across a crash at any point: the record of key and body is on disk
 * before the command runs; the command's id derives from the key, and all event ids from that, so that appending again is recognised by the event store; and a
 * claim, whose targets differ from run to run, notes what it chose before it appends. A record without an answer is a run that a crash cut off (or that
 * failed with a 5xx): the next one with the key runs again, to the same effect.
 */
export class Idempotency {
  private readonly running = new Map<string, { readonly bodyHash: string; readonly answer: Promise<KeptAnswer> }>();

  constructor(
    private readonly state: StateStore,
    private readonly clock: Clock,
    private readonly scheduler: Scheduler,
  ) {}

  /** `execute` answers errors below 500 as answers, which are kept, and throws the rest, which are not. */
  async run(
    request: IdempotentRequest,
    bodyHash: string,
    execute: (commandId: string, intent: ClaimIntent) => Promise<KeptAnswer>,
  ): Promise<KeptAnswer> {
    const { actor, method, path, key } = request;
    const recordKey = `idempotency/${derivedId(COMMANDS, [actor, method, path, key].join('\n'))}`;
    const concurrent = this.running.get(recordKey);
    if (concurrent) {
      if (concurrent.bodyHash !== bodyHash) throw mismatch(key);
      return concurrent.answer;
    }
    const answer = this.runAlone(recordKey, key, bodyHash, (intent) => execute(recordKey.slice('idempotency/'.length), intent));
    this.running.set(recordKey, { bodyHash, answer });
    try {
      return await answer;
    } finally {
      this.running.delete(recordKey);
    }
  }

  private async runAlone(
    recordKey: string,
    key: string,
    bodyHash: string,
    execute: (intent: ClaimIntent) => Promise<KeptAnswer>,
  ): Promise<KeptAnswer> {
    const expiresAt = Math.floor(this.clock.now() / 1000) + DAY_MILLIS;
    let record: KeptRecord = { bodyHash, answer: null, intent: null };
    let version = 0;
    const begun = await this.state.get(recordKey);
    if (begun) {
      const kept = JSON.parse(begun.value) as KeptRecord;
      if (kept.bodyHash !== bodyHash) throw mismatch(key);
      if (kept.answer) return kept.answer;
      record = kept;
      version = begun.version;
    }
    const write = async (next: KeptRecord): Promise<boolean> => {
      if (!(await this.state.put(recordKey, JSON.stringify(next), version, expiresAt))) return false;
      record = next;
      version += 1;
      return true;
    };
    // Raising the version also takes the record over: of two gateways that run the same key, the slower one waits for the other's answer.
    if (!(await write(record))) return this.elsewhere(recordKey, key, bodyHash);
    const answer = await execute({
      noted: record.intent,
      note: async (text) => {
        if (!(await write({ ...record, intent: text }))) throw busy(key);
      },
    });
    await write({ ...record, answer });
    return answer;
  }

  /** Another gateway runs this key: its answer is this one's. */
  private async elsewhere(recordKey: string, key: string, bodyHash: string): Promise<KeptAnswer> {
    for (let waited = 0; waited < WAIT_MILLIS; waited += POLL_MILLIS) {
      const found = await this.state.get(recordKey);
      const kept = found ? (JSON.parse(found.value) as KeptRecord) : null;
      if (kept && kept.bodyHash !== bodyHash) throw mismatch(key);
      if (kept?.answer) return kept.answer;
      await new Promise<void>((resolve) => this.scheduler.after(POLL_MILLIS, resolve));
    }
    throw busy(key);
  }

  /** Forgets what has expired; called now and then. */
  async purge(): Promise<void> {
    await this.state.purge(Math.floor(this.clock.now() / 1000));
  }
}

const mismatch = (key: string): OutdialError =>
  new OutdialError(
    'IDEMPOTENCY_MISMATCH',
    'IDEMPOTENCY_MISMATCH',
    'This Idempotency-Key was used with another body: use a new key for a new request.',
    [{ field: 'Idempotency-Key', reason: 'was used with another body', value: key }],
  );
const busy = (key: string): OutdialError =>
  new OutdialError(
    'UNAVAILABLE',
    'IDEMPOTENT_REQUEST_UNDER_WAY',
    'A request with this Idempotency-Key is still under way; try again.',
    [{ field: 'Idempotency-Key', reason: 'is in use', value: key }],
    1,
  );
