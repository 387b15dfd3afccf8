import { Worker } from 'node:worker_threads';
import { ChainTally } from '#application/audit';
import { newShare, StoreUnavailable } from '#event-store';
import type { LogSource } from '#event-store';
import type { ReadSource } from '#read-models';
import { SIDE_THREAD_MEMORY, sideThreads } from '../side-thread';
import { frameOf } from './audit-text';
import type { AuditPiece, AuditTask } from './audit-text';

export type FromAudit =
  | ({ readonly kind: 'piece'; readonly bytes: Uint8Array<ArrayBuffer> } & Omit<AuditPiece, 'text'>)
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly message: string };

/** Reports at once. Others wait for their turn. */
const AT_ONCE = 2;

/** Attempts. A second thread takes longer to start than one takes for such a report. */
const SMALL = 2000;

/** Where reports are made. */
export interface Audits {
  /**
   * The answer to a task as UTF-8, as fast as it is read; ending the iteration early ends the work. `attempts`: how many there are about, if that is known.
   * Throws `StoreUnavailable`.
   */
  text(task: AuditTask, attempts?: number): AsyncGenerator<Uint8Array>;
  stop(): Promise<void>;
}

/** Reports over the log, on threads of their own: as many as there are cores, where the work can be shared. */
export function auditThreads(where: { readonly source: LogSource; readonly models: ReadSource }, threads = sideThreads()): Audits {
  const turns = new Turns(AT_ONCE);
  const running = new Set<Worker>();

  /** A second report takes what the first has left, and one at least. */
  const crewFor = (task: AuditTask, attempts: number): number => {
    const shared = task.kind === 'attempts' && where.source.kind === 'sqlite' && attempts > SMALL;
    return shared ? Math.max(1, threads - running.size) : 1;
  };

  async function* text(task: AuditTask, attempts = Infinity): AsyncGenerator<Uint8Array> {
    await turns.take();
    const of = crewFor(task, attempts);
    const workerData = { ...where, task, share: of === 1 ? undefined : newShare(of) };
    const workers = Array.from(
      { length: of },
      () => new Worker(require.resolve('./audit-thread'), { workerData, resourceLimits: SIDE_THREAD_MEMORY }),
    );
    for (const worker of workers) running.add(worker);
    try {
      yield* framed(task, new Crew(workers).pieces());
    } finally {
      await Promise.all(workers.map((worker) => worker.terminate()));
      for (const worker of workers) running.delete(worker);
      turns.give();
    }
  }

  return {
    text,
    async stop() {
      await Promise.all([...running].map((worker) => worker.terminate()));
    },
  };
}

type Piece = Extract<FromAudit, { kind: 'piece' }>;

/** An answer in one, of its pieces. Its head comes with the first of them: what goes wrong before is still an error with a status. */
async function* framed(task: AuditTask, pieces: AsyncIterable<Piece>): AsyncGenerator<Uint8Array> {
  const { head, between, tail } = frameOf(task);
  const tally = new ChainTally();
  let before = head;
  for await (const { bytes, chain } of pieces) {
    if (chain !== null) tally.add(chain);
    if (bytes.length === 0) continue;
    if (before !== '') yield Buffer.from(before);
    yield bytes;
    before = between;
  }
  const end = (before === head ? head : '') + tail(tally.verdict());
  if (end !== '') yield Buffer.from(end);
}

/** The threads of one report. */
class Crew {
  private readonly made = new Map<number, { readonly piece: Piece; readonly by: Worker }>();
  private readonly atWork: Set<Worker>;
  private failure: Error | null = null;
  private wake: () => void = () => undefined;

  constructor(workers: readonly Worker[]) {
    this.atWork = new Set(workers);
    for (const worker of workers) {
      worker.on('message', (message: FromAudit) => {
        this.hear(message, worker);
      });
      worker.on('error', (error) => {
        this.fail(error);
      });
      // A thread that dies says so once; it has been heard to the end before.
      worker.on('exit', () => {
        if (this.atWork.has(worker)) this.fail(new StoreUnavailable('The report has ended too early.'));
      });
    }
  }

  /** In the order of their places. A thread makes no more than two that are not asked for; who holds up the others has made none that waits. */
  async *pieces(): AsyncGenerator<Piece> {
    for (let at = 0; ; at += 1) {
      let next = this.made.get(at);
      while (next === undefined) {
        if (this.failure !== null) throw this.failure;
        if (this.atWork.size === 0) return;
        await new Promise<void>((resolve) => (this.wake = resolve));
        next = this.made.get(at);
      }
      this.made.delete(at);
      yield next.piece;
      next.by.postMessage('next');
    }
  }

  private hear(message: FromAudit, by: Worker): void {
    if (message.kind === 'piece') this.made.set(message.at, { piece: message, by });
    else if (message.kind === 'end') this.atWork.delete(by);
    else this.failure ??= new StoreUnavailable(message.message);
    this.wake();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.wake();
  }
}

/** A number of turns, taken first come, first served. */
class Turns {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async take(): Promise<void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  give(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free += 1;
  }
}
