import { mkdirSync } from 'node:fs';
import { logSource, readModelDirectory } from '#application';
import { openEventStoreDb, openMongoStateStore, openSqliteEventStore } from '#event-store';
import type { EventStore, LogSource, StateStore } from '#event-store';
import type { Configuration } from '#platform';
import type { ReadSource } from '#read-models';

/** What an engine keeps its things in. */
export interface Stores {
  readonly events: EventStore;
  readonly state: StateStore;
  /** For threads, which open the log and the read models for themselves. */
  readonly source: LogSource;
  readonly models: ReadSource;
  /** Other processes use the same stores: what only one process may do is done by workers. */
  readonly shared: boolean;
  close(): Promise<void>;
}

export interface StoreListeners {
  /** Events of this process are in the log. */
  readonly onAppended: () => void;
  /** A store has failed for good. */
  readonly onFatal: (error: unknown) => void;
}

/** The stores that the configuration names, each variable by itself: the log in EventStoreDB, the read models in MongoDB, and what has no URL in DATA_DIR. */
export async function openStores(config: Configuration, listeners: StoreListeners): Promise<Stores> {
  const source = logSource(config);
  const { mongoUrl } = config;
  if (source.kind === 'sqlite') {
    const events = await openSqliteEventStore({ directory: source.directory, ...listeners });
    const models = modelsIn(mongoUrl, events.logId, source.directory);
    return { events, state: events.state, source, models, shared: false, close: () => events.close() };
  }
  const events = await openEventStoreDb(source);
  const stores = mongoUrl === undefined ? withLocalState(config, listeners, source, events) : withSharedState(mongoUrl, source, events);
  return stores.catch(async (error: unknown) => {
    await events.close();
    throw error;
  });
}

async function withLocalState(config: Configuration, { onFatal }: StoreListeners, source: LogSource, events: EventStore): Promise<Stores> {
  const directory = readModelDirectory(source, config.dataDir, events.logId);
  mkdirSync(directory, { recursive: true });
  // Its writer keeps the small state, and the lock that refuses a second service on the same directory; no event goes into it.
  const local = await openSqliteEventStore({ directory, onFatal });
  const close = async (): Promise<void> => {
    await events.close();
    await local.close();
  };
  return { events, state: local.state, source, models: { kind: 'sqlite', directory }, shared: false, close };
}

async function withSharedState(mongoUrl: string, source: LogSource, events: EventStore): Promise<Stores> {
  const state = await openMongoStateStore({ url: mongoUrl, logId: events.logId });
  const close = async (): Promise<void> => {
    await events.close();
    await state.close();
  };
  return { events, state, source, models: { kind: 'mongodb', url: mongoUrl, logId: events.logId }, shared: true, close };
}

const modelsIn = (mongoUrl: string | undefined, logId: string, directory: string): ReadSource =>
  mongoUrl === undefined ? { kind: 'sqlite', directory } : { kind: 'mongodb', url: mongoUrl, logId };
