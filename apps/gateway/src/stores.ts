import { mkdirSync } from 'node:fs';
import { logSource, readModelDirectory } from '#application';
import { openEventStoreDb, openSqliteEventStore } from '#event-store';
import type { EventStore, LogSource, StateStore } from '#event-store';
import type { Configuration } from '#platform';

/** What an engine keeps its things in. */
export interface Stores {
  readonly events: EventStore;
  readonly state: StateStore;
  /** For threads, which open the log for themselves. */
  readonly source: LogSource;
  /** Where the read models are. */
  readonly directory: string;
  close(): Promise<void>;
}

export interface StoreListeners {
  /** Events of this process are in the log. */
  readonly onAppended: () => void;
  /** A store has failed for good. */
  readonly onFatal: (error: unknown) => void;
}

/** The stores that the configuration names: the log in EventStoreDB when it has a URL; everything else in DATA_DIR. */
export async function openStores(config: Configuration, listeners: StoreListeners): Promise<Stores> {
  const source = logSource(config);
  if (source.kind === 'sqlite') {
    const events = await openSqliteEventStore({ directory: source.directory, ...listeners });
    return { events, state: events.state, source, directory: source.directory, close: () => events.close() };
  }
  const events = await openEventStoreDb(source);
  const directory = readModelDirectory(source, config.dataDir, events.logId);
  mkdirSync(directory, { recursive: true });
  // Its writer keeps the small state, and the lock that refuses a second service on the same directory; no event goes into it.
  const local = await openSqliteEventStore({ directory, onFatal: listeners.onFatal });
  return {
    events,
    state: local.state,
    source,
    directory,
    async close() {
      await events.close();
      await local.close();
    },
  };
}
