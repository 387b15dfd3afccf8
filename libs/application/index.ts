export * from './access';
export * from './dialing';
export * from './idempotency';
export * from './outdials';
export * from './outplans';
export * from './request';
export * from './targets';
export * from './engine';
