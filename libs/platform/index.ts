export * from './admin-access';
export * from './clock';
export * from './configuration';
export * from './credentials';
export * from './in-turns';
export * from './logging';
export * from './metrics';
