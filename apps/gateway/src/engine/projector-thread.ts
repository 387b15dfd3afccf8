import { parentPort, workerData } from 'node:worker_threads';
import { decodeEvent } from '#dialing';
import { openLogReader, openMongoStateStore } from '#event-store';
import type { LogReader } from '#event-store';
import { Presence } from '#application';
import { systemScheduler } from '#platform';
import { openGenerations, READ_MODELS, startProjector } from '#read-models';
import type { Generations, Projector } from '#read-models';
import { buildThreads } from './build-threads';
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

const logAt =
  (level: 'info' | 'warn' | 'error') =>
  (fields: object, message: string): void => {
    tell({ kind: 'log', level, fields, message });
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
    helpers: buildThreads(source),
    logger: { info: logAt('info'), warn: logAt('warn'), error: logAt('error') },
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
 * Milliseconds between two looks at the log. A single change is folded at once. While appends come without a pause the rest doubles, from the shortest to the longest: a
 * commit then takes what came meanwhile, and a target that was leased and reported in between is written once instead of twice, which is most of what a dial cycle costs
 * this thread (docs/adr/0017-what-a-dial-cycle-costs.md). Who waits for a change cuts the rest short: only a query that waits for nothing may see what is as old.
 */
const REST = { shortest: 40, longest: 250, whileAwaited: 10 };

/** When to look at the log. */
class Looks {
  private timer: NodeJS.Timeout | null = null;
  private rest = REST.shortest;
  private since = 0;
  private wokenMeanwhile = false;
  private awaited = false;

  constructor(private readonly look: () => void) {}

  /** There are new events. */
  wake(): void {
    if (this.timer === null) this.now();
    else this.wokenMeanwhile = true;
  }

  /** Somebody waits for an event that is in the log. */
  hurry(): void {
    if (this.timer === null || this.awaited) return;
    this.awaited = true;
    this.restUntil(this.since + REST.whileAwaited);
  }

  private now(): void {
    this.look();
    this.wokenMeanwhile = false;
    this.awaited = false;
    this.since = performance.now();
    this.restUntil(this.since + this.rest);
  }

  private restUntil(end: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.rest = this.wokenMeanwhile ? Math.min(2 * this.rest, REST.longest) : REST.shortest;
      if (this.wokenMeanwhile) this.now();
    }, end - performance.now());
  }
}

const looks = started.then(({ log }) => new Looks(() => log.wake()));

async function answer(message: ToProjector): Promise<unknown> {
  const running = await started;
  const { projector } = running;
  switch (message.kind) {
    case 'wake':
      (await looks).wake();
      return undefined;
    case 'hurry':
      (await looks).hurry();
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
