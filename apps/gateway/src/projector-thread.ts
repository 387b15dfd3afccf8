import { parentPort, workerData } from 'node:worker_threads';
import { decodeEvent } from '#dialing';
import { openLogReader } from '#event-store';
import type { LogReader, LogSource } from '#event-store';
import { openSqliteGenerations, READ_MODELS, startProjector } from '#read-models';
import type { Projector } from '#read-models';
import type { FromProjector, ToProjector } from './projector';

/**
 * The thread that owns the embedded read models: it alone writes them, so that folding never stands in the way of a request. It follows the log through
 * its own read-only connection and is woken after each commit; it does not poll.
 */
const { source, directory } = workerData as { readonly source: LogSource; readonly directory: string };
const port = parentPort;
if (!port) throw new Error('projector-thread is started as a worker thread');
const tell = (message: FromProjector): void => {
  port.postMessage(message);
};

async function start(): Promise<{ readonly log: LogReader; readonly projector: Projector }> {
  const log = await openLogReader(source);
  const projector = startProjector({
    log,
    generations: openSqliteGenerations({ directory, projections: READ_MODELS }),
    projections: READ_MODELS,
    decode: decodeEvent,
    onProgress: (progress) => {
      tell({ kind: 'progress', ...progress });
    },
  });
  return { log, projector };
}

/** Orders wait for it; when it fails the thread ends, and the gateway says why. */
const started = start();

/**
 * Milliseconds between two looks at the log while appends come without a pause. A single change is folded at once; under load a commit takes what came meanwhile, and a
 * target that was leased and reported in between is written once instead of twice.
 */
const REST = 40;
let resting = false;
let wokenMeanwhile = false;

function wake(log: LogReader): void {
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
    wake(log);
  }, REST);
}

async function answer(message: ToProjector): Promise<unknown> {
  const { log, projector } = await started;
  switch (message.kind) {
    case 'wake':
      wake(log);
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
