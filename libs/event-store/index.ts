export * from './event-store';
export * from './state-store';
