import type { EventStore } from './event-store';
import type * as EventStoreDb from './eventstoredb-event-store';
import { openSqliteLogReader } from './sqlite-event-store';

/** Where a log is: what a thread or a command is told so that it can open it for itself. */
export type LogSource =
  | { readonly kind: 'sqlite'; readonly directory: string }
  | { readonly kind: 'eventstoredb'; readonly url: string; readonly categories: readonly string[] };

/** A log to read from. */
export interface LogReader extends Pick<
  EventStore,
  'logId' | 'readStream' | 'readStreams' | 'readGroup' | 'readAll' | 'subscribe' | 'head' | 'close'
> {
  /** There may be new events: a log in files is told so by whoever wrote them, a server says it itself. */
  wake(): void;
}

/**
 * Opens the log in EventStoreDB (see eventstoredb-event-store.ts). The client is loaded only where there is a server: it takes longer than the rest of a thread's
 * start.
 */
export async function openEventStoreDb(options: EventStoreDb.EventStoreDbOptions): Promise<EventStore> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- An import() would need the ending of a built file's name.
  const adapter = require('./eventstoredb-event-store') as typeof EventStoreDb;
  return adapter.openEventStoreDb(options);
}

/** Rejects with StoreUnavailable when it cannot be reached. */
export async function openLogReader(source: LogSource): Promise<LogReader> {
  if (source.kind === 'sqlite') return openSqliteLogReader(source.directory);
  const store = await openEventStoreDb(source);
  return {
    logId: store.logId,
    readStream: (stream, from) => store.readStream(stream, from),
    readGroup: (group, range) => store.readGroup(group, range),
    readAll: (range) => store.readAll(range),
    subscribe: (after, signal) => store.subscribe(after, signal),
    head: () => store.head(),
    wake: () => undefined,
    close: () => store.close(),
  };
}
