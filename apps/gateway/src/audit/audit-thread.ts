import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { openLogReader } from '#event-store';
import type { LogSource, Share } from '#event-store';
import type { ReadSource } from '#read-models';
import { auditPieces } from './audit-text';
import type { AuditTask } from './audit-text';
import type { FromAudit } from './audits';

/** A report, or what of it falls to this thread, with connections of its own: the threads that serve and write never wait for it. */
const port = parentPort;
if (!port) throw new Error('This is a worker thread: see audits.ts.');
const { source, models, task, share } = workerData as {
  readonly source: LogSource;
  readonly models: ReadSource;
  readonly task: AuditTask;
  readonly share: Share | undefined;
};

/** Pieces that may be on their way, of some 100 KB each: the next is made while the last is being sent, and no further ahead of who reads, or of a service that has more urgent things to do. */
let credit = 2;
let resume: () => void = () => undefined;
port.on('message', () => {
  credit += 1;
  resume();
});

/** Claims go first. Only Linux has a priority for each thread; elsewhere this would be the whole process's. */
const NICENESS = 10;
if (process.platform === 'linux') setPriority(NICENESS);

const encoder = new TextEncoder();

async function run(to: NonNullable<typeof port>): Promise<void> {
  const log = await openLogReader(source);
  try {
    for await (const { at, text, chain } of auditPieces(task, { log, models, share })) {
      while (credit === 0) await new Promise<void>((resolve) => (resume = resolve));
      credit -= 1;
      const bytes = encoder.encode(text);
      to.postMessage({ kind: 'piece', at, bytes, chain } satisfies FromAudit, [bytes.buffer]);
    }
  } finally {
    await log.close();
  }
}

void run(port)
  .then(
    (): FromAudit => ({ kind: 'end' }),
    (error: unknown): FromAudit => ({ kind: 'error', message: error instanceof Error ? error.message : String(error) }),
  )
  .then((last) => {
    port.postMessage(last);
    port.close();
  });
