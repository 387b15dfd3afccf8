export * from './event-store';
export * from './state-store';
export { continuesChain, linkHash, verifyChain } from './chain';
export { wholeStreams, type Flaw, type StreamBatch, type StreamLog, type WholeStream } from './whole-streams';
export { newShare, type Share } from './share';
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
export { isDuplicate, MongoConnection, mongoDriver, mongoPrefix } from './mongo-connection';
export { openMongoStateStore } from './mongo-state-store';
export { CopyUnfinished, logsContinuedBy } from './log-copy-marks';
export { copyLog, CopyRefused, type CopyLimits, type CopyProgress, type LogCopy } from './log-copy';
export { backUpSqliteStore } from './sqlite-backup';
