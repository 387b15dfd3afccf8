import { workerData } from 'node:worker_threads';
import { openLogReader } from '#event-store';
import type { LogSource, Share } from '#event-store';
import type { ReadSource } from '#read-models';
import { SideThread } from '../side-thread';
import { auditPieces } from './audit-text';
import type { AuditTask } from './audit-text';
import type { FromAudit } from './audits';

/** A report, or what of it falls to this thread, with connections of its own: the threads that serve and write never wait for it. */
const { source, models, task, share } = workerData as {
  readonly source: LogSource;
  readonly models: ReadSource;
  readonly task: AuditTask;
  readonly share: Share | undefined;
};

/** Pieces of some 100 KB. */
const side = new SideThread<FromAudit>(2);
const encoder = new TextEncoder();

async function run(): Promise<void> {
  const log = await openLogReader(source);
  try {
    for await (const { at, text, chain } of auditPieces(task, { log, models, share })) {
      const bytes = encoder.encode(text);
      await side.send({ kind: 'piece', at, bytes, chain }, [bytes.buffer]);
    }
  } finally {
    await log.close();
  }
}

void run()
  .then(
    (): FromAudit => ({ kind: 'end' }),
    (error: unknown): FromAudit => ({ kind: 'error', message: error instanceof Error ? error.message : String(error) }),
  )
  .then((last) => {
    side.end(last);
  });
