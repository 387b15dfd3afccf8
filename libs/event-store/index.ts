export * from './event-store';
export * from './state-store';
export { continuesChain, linkHash, verifyChain } from './chain';
export { wholeStreams, type Flaw, type StreamBatch, type StreamLog, type WholeStream } from './whole-streams';
export { DirectoryLocked, lockDirectory, type DirectoryLock } from './directory-lock';
export {
  openSqliteEventStore,
  openSqliteLogReader,
  type SqliteEventStore,
  type SqliteEventStoreOptions,
  type SqliteLogView,
} from './sqlite-event-store';
export type { EventStoreDbOptions } from './eventstoredb-event-store';
export { openEventStoreDb, openLogReader, type LogReader, type LogSource } from './log-source';
