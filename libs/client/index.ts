export { connect, logIn, type Client, type TargetFilter, type WriteOptions } from './client';
export type { ImportLine, ImportOptions } from './imports';
export { ApiError, ConnectionError, type Body } from './requests';
export type * from './shapes';
