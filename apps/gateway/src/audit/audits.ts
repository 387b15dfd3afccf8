import { on, once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { StoreUnavailable } from '#event-store';
import type { LogSource } from '#event-store';
import type { ReadSource } from '#read-models';
import type { AuditTask } from './audit-text';

export type FromAudit =
  { readonly kind: 'chunk'; readonly text: string } | { readonly kind: 'end' } | { readonly kind: 'error'; readonly message: string };

/** Reports at once: each takes a core while it runs. Others wait for their turn. */
const AT_ONCE = 2;

/**
 * What a thread may hold. It needs a tenth of it but for a damaged log, of which it keeps the names of all streams; without a limit the collector lets the garbage of a long
 * report pile up.
 */
const RESOURCES = { maxYoungGenerationSizeMb: 64, maxOldGenerationSizeMb: 1024 };

/** Where reports are made. */
export interface Audits {
  /** The answer to a task, as fast as it is read; ending the iteration early ends the work. */
  text(task: AuditTask): AsyncGenerator<string>;
  stop(): Promise<void>;
}

/** Reports over the log, each on a thread of its own. */
export function auditThreads(where: { readonly source: LogSource; readonly models: ReadSource }): Audits {
  const turns = new Turns(AT_ONCE);
  const running = new Set<Worker>();

  async function* text(task: AuditTask): AsyncGenerator<string> {
    await turns.take();
    const worker = new Worker(require.resolve('./audit-thread'), { workerData: { ...where, task }, resourceLimits: RESOURCES });
    running.add(worker);
    const over = new AbortController();
    // A thread that dies says so once; whoever waits for its next message must hear of it.
    const died = once(worker, 'exit', { signal: over.signal }).then(
      () => over.abort(),
      () => undefined,
    );
    try {
      for await (const [message] of on(worker, 'message', { signal: over.signal })) {
        const heard = message as FromAudit;
        if (heard.kind === 'end') return;
        if (heard.kind === 'error') throw new StoreUnavailable(heard.message);
        yield heard.text;
        worker.postMessage('next');
      }
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') throw new StoreUnavailable('The report has ended too early.');
      throw error;
    } finally {
      over.abort();
      await worker.terminate();
      await died;
      running.delete(worker);
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
