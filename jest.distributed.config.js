'use strict';

/**
 * The suites of the stores' adapters, and everything that runs the built service, on the stores that EVENTSTORE_URL names; on a stand-in when it names none.
 * What breaks a store's own files stays with the embedded run.
 */
const [, service] = require('./jest.config.js').projects;

/** @type {import('jest').Config} */
module.exports = {
  ...service,
  displayName: 'distributed',
  maxWorkers: 2,
  testMatch: [...service.testMatch, '<rootDir>/libs/event-store/eventstoredb-*.test.ts'],
  testPathIgnorePatterns: ['audit-files.test.ts'],
  globalSetup: '<rootDir>/scripts/jest-stand-ins.js',
};
