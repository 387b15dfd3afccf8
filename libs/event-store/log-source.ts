import type { EventStore } from './event-store';
import { openEventStoreDb } from './eventstoredb-event-store';
import { openSqliteLogReader } from './sqlite-event-store';

/** Where a log is: what a thread or a command is told so that it can open it for itself. */
export type LogSource =
  | { readonly kind: 'sqlite'; readonly directory: string }
  | { readonly kind: 'eventstoredb'; readonly url: string; readonly categories: readonly string[] };

/** A log to read from. */
export interface LogReader extends Pick<EventStore, 'logId' | 'readStream' | 'readGroup' | 'readAll' | 'subscribe' | 'head' | 'close'> {
  /** There may be new events: a log in files is told so by whoever wrote them, a server says it itself. */
  wake(): void;
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
