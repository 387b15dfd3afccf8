'use strict';

/**
 * The suites of the stores' adapters, and everything that runs the built service — as a gateway and a worker — on the servers that EVENTSTORE_URL and MONGODB_URL name; on
 * stand-ins where they name none. What is about a store's own files, and what moves them, stays with the embedded run.
 */
const [, service] = require('./jest.config.js').projects;

/** @type {import('jest').Config} */
module.exports = {
  ...service,
  displayName: 'distributed',
  maxWorkers: 2,
  testMatch: [...service.testMatch, '<rootDir>/libs/{event-store,read-models}/{eventstoredb,mongo}-*.test.ts'],
  testPathIgnorePatterns: ['audit-files.test.ts', 'e2e/backup.test.ts', 'e2e/copy.test.ts'],
  globalSetup: '<rootDir>/scripts/jest-stand-ins.js',
};
