import { parentPort, workerData } from 'node:worker_threads';
import { decodeEvent } from '#dialing';
import { openLogReader, openMongoStateStore } from '#event-store';
import type { LogReader } from '#event-store';
import { Presence } from '#application';
import { systemScheduler } from '#platform';
import { openGenerations, READ_MODELS, startProjector } from '#read-models';
import type { Generations, Projector } from '#read-models';
import type { FromProjector, ProjectorPlace, ToProjector } from './projector';

/**
 * The thread that writes the read models: it alone does, so that folding never stands in the way of a request. It follows the log through
 * its own read-only connection and is woken after each commit; it does not poll.
 */
const { source, models, shared } = workerData as ProjectorPlace;
const port = parentPort;
if (!port) throw new Error('projector-thread is started as a worker thread');
const tell = (message: FromProjector): void => {
  port.postMessage(message);
};

interface Started {
  readonly log: LogReader;
  readonly projector: Projector;
  close(): Promise<void>;
}

async function start(): Promise<Started> {
  const log = await openLogReader(source);
  const readers = shared ? await watchReaders() : null;
  const generations: Generations & { close(): Promise<void> } = await openGenerations(models, READ_MODELS, {
    ...(readers === null ? {} : { usedVersions: () => Promise.resolve(readers.presence.versions) }),
  });
  const projector = startProjector({
    log,
    generations,
    projections: READ_MODELS,
    decode: decodeEvent,
    onProgress: (progress) => {
      tell({ kind: 'progress', ...progress });
    },
  });
  const close = async (): Promise<void> => {
    await projector.stop();
    await generations.close();
    await log.close();
    await readers?.close();
  };
  return { log, projector, close };
}

/** The gateways that read the models, of other releases too. */
async function watchReaders(): Promise<{ readonly presence: Presence; close(): Promise<void> }> {
  if (models.kind !== 'mongodb') throw new Error('only read models in MongoDB can be shared');
  const state = await openMongoStateStore(models);
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const presence = new Presence({ state, scheduler: systemScheduler, log: quiet, now: () => Date.now() }, null);
  await presence.start();
  const close = async (): Promise<void> => {
    await presence.stop();
    await state.close();
  };
  return { presence, close };
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
  const running = await started;
  const { log, projector } = running;
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
      await running.close();
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
