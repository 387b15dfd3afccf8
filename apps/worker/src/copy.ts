import { existsSync } from 'node:fs';
import path from 'node:path';
import { SingleBar } from 'cli-progress';
import { logSource, moveWebhooks, readModelDirectory, webhookPlaces } from '#application';
import { STREAM_CATEGORIES } from '#dialing';
import { copyLog, CopyRefused, DirectoryLocked, openEventStoreDb, openMongoStateStore, openSqliteEventStore } from '#event-store';
import type { CopyProgress, EventStore, LogSource, SqliteEventStore, StateStore } from '#event-store';
import { ConfigurationError } from '#platform';
import type { Configuration } from '#platform';

/**
 * `admin copy`: an embedded deployment's log and webhooks, brought to where a distributed one keeps them. docs/moving.md tells the whole move; docs/adr/0016-copying-a-log.md why it goes
 * the way it does.
 */

export interface CopyOrder {
  /** Connection string of an EventStoreDB. */
  readonly to: string;
  /** Of a MongoDB, for the state; without one it stays in DATA_DIR. */
  readonly stateTo?: string;
}

export interface Copied {
  readonly logId: string;
  readonly streams: number;
  readonly events: number;
  readonly webhooks: number;
}

/**
 * Rejects with ConfigurationError for what was asked for wrongly, CopyRefused for what must not be copied or is not whole, StoreUnavailable when the target stays
 * away. Whatever ended it, it can be run again.
 */
export async function copyDeployment(config: Configuration, { to, stateTo }: CopyOrder): Promise<Copied> {
  const target = targetOf(config, to);
  const source = await openSource(config);
  const show = showCopy();
  try {
    const events = await openEventStoreDb({ ...target, unfinished: true }).catch((error: unknown) => {
      throw error instanceof RangeError ? new ConfigurationError(`--to: ${error.message}.`) : error;
    });
    try {
      return await copyInto(source, events, await openState(config, target, events.logId, stateTo), show.update);
    } finally {
      await events.close();
    }
  } finally {
    show.end();
    await source.close();
  }
}

async function copyInto(
  source: SqliteEventStore,
  target: EventStore,
  state: StateStore,
  onProgress: (progress: CopyProgress) => void,
): Promise<Copied> {
  try {
    const cuts = await webhookPlaces(source.state);
    const log = await copyLog(source, target, { cuts, last: 'outdialtarget', onProgress });
    const places = { upTo: log.placeOf, ofEvents: log.placesOfEvents };
    const webhooks = await moveWebhooks(source.state, state, places);
    return { logId: target.logId, streams: log.streams, events: log.events, webhooks };
  } finally {
    await state.close();
  }
}

function targetOf(config: Configuration, to: string): Extract<LogSource, { kind: 'eventstoredb' }> {
  if (config.eventStoreUrl !== undefined) {
    throw new ConfigurationError('EVENTSTORE_URL: unset it; the log that is copied is the embedded one, in DATA_DIR.');
  }
  if (!/^(esdb|kurrentdb|kurrent)(\+discover)?:\/\/[^/?]+/.test(to)) {
    throw new ConfigurationError('--to: must be a connection string such as esdb://admin:changeit@host:2113?tls=true.');
  }
  return { kind: 'eventstoredb', url: to, categories: STREAM_CATEGORIES };
}

/** Opened as a service opens it, lock and all: nothing can be appended while it is copied. */
async function openSource(config: Configuration): Promise<SqliteEventStore> {
  const { directory } = logSource(config) as Extract<LogSource, { kind: 'sqlite' }>;
  if (!existsSync(path.join(directory, 'events.db'))) throw new ConfigurationError(`DATA_DIR: there is no event log in ${directory}.`);
  try {
    return await openSqliteEventStore({ directory });
  } catch (error) {
    if (error instanceof DirectoryLocked)
      throw new CopyRefused(
        `A service runs on ${config.dataDir}: stop it first. It must not be started again before the copy has taken its place.`,
      );
    throw error;
  }
}

/** Where a service on the copied log keeps its state: in MongoDB, or, when it is given nothing but EVENTSTORE_URL, in this same DATA_DIR. */
async function openState(config: Configuration, target: LogSource, logId: string, stateTo: string | undefined): Promise<StateStore> {
  if (stateTo === undefined) return (await openSqliteEventStore({ directory: readModelDirectory(target, config.dataDir, logId) })).state;
  return openMongoStateStore({ url: stateTo, logId }).catch((error: unknown) => {
    throw error instanceof RangeError ? new ConfigurationError(`--state-to: ${error.message}.`) : error;
  });
}

const n = (value: number): string => value.toLocaleString('en');
const LINE_EVERY_MILLIS = 3000;
const STAGES = { checking: 'checking the source', copying: 'copying', verifying: 'verifying the copy' } as const;

/** On stderr: a bar on a terminal; a line every few seconds, and at the end of each stage, where there is none. */
function showCopy(): { readonly update: (progress: CopyProgress) => void; readonly end: () => void } {
  let stage: CopyProgress['stage'] | null = null;
  let began = { at: 0, events: 0 };
  let next = 0;
  let last = '';
  const bar = process.stderr.isTTY ? newBar() : null;
  const say = (): void => {
    if (last !== '') process.stderr.write(`${last}\n`);
    last = '';
  };
  return {
    update: (progress) => {
      const now = performance.now();
      if (progress.stage !== stage) {
        if (bar === null) say();
        else if (stage === null) bar.start(1, 0);
        stage = progress.stage;
        began = { at: now, events: progress.events };
        next = now + LINE_EVERY_MILLIS;
      }
      const rate = Math.round((progress.events - began.events) / Math.max(0.001, (now - began.at) / 1000));
      const state = `${STAGES[progress.stage]}: ${n(progress.events)}${progress.of > 0 ? ` of ${n(progress.of)}` : ''} events · ${n(rate)}/s`;
      if (bar !== null) {
        bar.setTotal(Math.max(progress.of, progress.events));
        bar.update(progress.events, { state });
        return;
      }
      last = state;
      if (now < next) return;
      next = now + LINE_EVERY_MILLIS;
      say();
    },
    end: () => {
      if (bar === null) say();
      else bar.stop();
    },
  };
}

function newBar(): SingleBar {
  const format = '{bar} {percentage}%  {state}';
  return new SingleBar({ format, barCompleteChar: '█', barIncompleteChar: '░', barsize: 20, hideCursor: true, stream: process.stderr });
}

/** What to tell when it is done. */
export function copyReport(
  { logId, streams, events, webhooks }: Copied,
  { stateTo }: CopyOrder,
  { dataDir }: Configuration,
): readonly string[] {
  const secrets = path.join(dataDir, 'secrets.json');
  return [
    `copied: ${n(events)} events in ${n(streams)} streams, and ${n(webhooks)} webhooks with how far each has got`,
    'verified: as many streams and events, the chain of every stream, and each stream’s head is the source’s',
    `The copy is the log ${logId}. Positions are others there: resume points of streams and consistency tokens that clients hold are answered with 410,`,
    'and then begin with after=start or without a token. Answers kept for an Idempotency-Key were left behind.',
    'Next: do not start the service on the embedded log again. Start it with',
    '  EVENTSTORE_URL=<what was given as --to>',
    stateTo === undefined ? `  DATA_DIR=${dataDir}, where its webhooks are` : '  MONGODB_URL=<what was given as --state-to>',
    `  JWT_SECRET, ID_SECRET=<those it had until now; when they were not given to it: jwt_secret and id_secret in ${secrets}>`,
  ];
}
