import { parentPort, workerData } from 'node:worker_threads';
import { decodeEvent } from '#dialing';
import { openSqliteLogReader } from '#event-store';
import { openSqliteGenerations, READ_MODELS, startProjector } from '#read-models';
import type { FromProjector, ToProjector } from './projector';

/**
 * The thread that owns the embedded read models: it alone writes them, so that folding never stands in the way of a request. It follows the log through
 * its own read-only connection and is woken after each commit; it does not poll.
 */
const { directory } = workerData as { readonly directory: string };
const port = parentPort;
if (!port) throw new Error('projector-thread is started as a worker thread');
const tell = (message: FromProjector): void => {
  port.postMessage(message);
};

const log = openSqliteLogReader(directory);
const projector = startProjector({
  log,
  generations: openSqliteGenerations({ directory, projections: READ_MODELS }),
  projections: READ_MODELS,
  decode: decodeEvent,
  onProgress: (progress) => {
    tell({ kind: 'progress', ...progress });
  },
});

async function answer(message: ToProjector): Promise<unknown> {
  switch (message.kind) {
    case 'wake':
      log.wake();
      return undefined;
    case 'status':
      return projector.status();
    case 'rebuild':
      return projector.rebuild();
    case 'retry':
      return projector.retry();
    case 'promote':
      return projector.promote(message.name);
    case 'stop':
      await projector.stop();
      await log.close();
      port?.close();
      return undefined;
  }
}

port.on('message', (message: ToProjector & { readonly id?: number }) => {
  answer(message).then(
    (value) => {
      if (message.id !== undefined) tell({ kind: 'answer', id: message.id, value });
    },
    (error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      if (message.id === undefined) throw error;
      tell({ kind: 'answer', id: message.id, error: text });
    },
  );
});
