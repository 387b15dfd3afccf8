import { parentPort, workerData } from 'node:worker_threads';
import { openLogReader } from '#event-store';
import type { LogSource } from '#event-store';
import { openReadStore, READ_MODELS } from '#read-models';
import type { ReadSource } from '#read-models';
import { auditText } from './audit-text';
import type { AuditTask } from './audit-text';
import type { FromAudit } from './audits';

/** One report on a thread of its own, with its own connections: the threads that serve and write never wait for it. */
const port = parentPort;
if (!port) throw new Error('This is a worker thread: see audits.ts.');
const { source, models, task } = workerData as { readonly source: LogSource; readonly models: ReadSource; readonly task: AuditTask };
const tell = (message: FromAudit): void => {
  port.postMessage(message);
};

/** Pieces are joined up to this size: a message for each would cost more than what is in it. */
const CHUNK = 64 * 1024;

/** Chunks that may be on their way: the next is made while the last is being sent, and no further ahead of who reads. */
let credit = 2;
let resume: () => void = () => undefined;
port.on('message', () => {
  credit += 1;
  resume();
});

async function send(text: string): Promise<void> {
  while (credit === 0) await new Promise<void>((resolve) => (resume = resolve));
  credit -= 1;
  tell({ kind: 'chunk', text });
}

async function run(): Promise<void> {
  const log = await openLogReader(source);
  const reads = await openReadStore(models, READ_MODELS);
  try {
    let pending = '';
    for await (const text of auditText(task, { log, reads })) {
      pending += text;
      if (pending.length < CHUNK) continue;
      await send(pending);
      pending = '';
    }
    if (pending !== '') await send(pending);
    tell({ kind: 'end' });
  } finally {
    await reads.close();
    await log.close();
    port?.close();
  }
}

run().catch((error: unknown) => {
  tell({ kind: 'error', message: error instanceof Error ? error.message : String(error) });
});
