export * from './projection';
export type * from './read-store';
export { DocumentQuarantined, type AggregateDocument } from './documents';
export { parsePageToken, type PageCursor, type PageRequest } from './pages';
export { READ_MODELS } from './read-models';
export { getAccessKey, listAccessKeys, type AccessKeyDocument } from './access-keys';
export { getCustomer, listCustomers, type CustomerDocument } from './customers';
export { getOutdial, listOutdials, type OutdialDocument } from './outdials';
export { getOutplan, listOutplans, type OutplanDocument } from './outplans';
export { getProgress, getProgressDocument, type OutcomeCounts, type Progress, type ProgressDocument } from './progress';
export {
  callableWindow,
  expiringLeases,
  getTarget,
  getTargets,
  highestPriority,
  lastDue,
  listTargets,
  nextDue,
  openAttempts,
  targetsInOrder,
  type TargetDocument,
  type TargetListRequest,
} from './targets';
export { startProjector, type Projector, type ProjectorOptions, type ProjectorProgress } from './projector';
export type { ProjectionLog, ProjectionLogger } from './runner';
export { foldStreams, packFolds, unpackFolds, type FoldedStreams, type Helper, type PackedFolds } from './stream-folds';
export { openSqliteGenerations } from './sqlite-generations';
export { openSqliteReadStore, type SqliteReadStore } from './sqlite-read-store';
export { openGenerations, openReadStore, type OpenedGenerations, type OpenedReads, type ReadSource } from './read-source';
