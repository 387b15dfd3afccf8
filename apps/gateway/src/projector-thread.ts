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

/**
 * Milliseconds between two looks at the log while appends come without a pause. A single change is folded at once; under load a commit takes what came meanwhile, and a
 * target that was leased and reported in between is written once instead of twice.
 */
const REST = 40;
let resting = false;
let wokenMeanwhile = false;

function wake(): void {
  if (resting) {
    wokenMeanwhile = true;
    return;
  }
  log.wake();
  resting = true;
  setTimeout(() => {
    resting = false;
    if (!wokenMeanwhile) return;
    wokenMeanwhile = false;
    wake();
  }, REST);
}

async function answer(message: ToProjector): Promise<unknown> {
  switch (message.kind) {
    case 'wake':
      wake();
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
