'use strict';

/**
 * Two projects, so that the rules of the engine can be tested without building anything:
 *
 * - `rules`: everything that runs in the test's own process, compiled on the fly by swc.
 * - `service`: test/e2e and test/crash, which start the built service as a child process. Its global setup builds `dist` when it is
 *   older than the sources; Jest runs that only when a test of this project was chosen.
 */

/** Matches what tsconfig.json asks of tsc: class-validator and Nest read the types that decorators leave behind. */
const transform = {
  '^.+\\.ts$': [
    '@swc/jest',
    {
      sourceMaps: 'inline',
      module: { type: 'commonjs' },
      jsc: {
        target: 'es2023',
        keepClassNames: true,
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: true },
      },
    },
  ],
};

const common = {
  rootDir: __dirname,
  testEnvironment: '<rootDir>/scripts/jest-environment.js',
  transform,
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  // package.json "imports" names the compiled files; tests run the sources.
  moduleNameMapper: {
    '^#(platform|dialing|event-store|read-models|application|client)$': '<rootDir>/libs/$1/index.ts',
    '^#(application|dialing)/(audit|audit-verify|replay)$': '<rootDir>/libs/$1/$2.ts',
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.tmp/', '<rootDir>/data/'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/dist/', '<rootDir>/bench/'],
  restoreMocks: true,
  setupFilesAfterEnv: ['<rootDir>/scripts/jest-patience.js'],
};

const inService = ['<rootDir>/test/e2e/', '<rootDir>/test/crash/'];

/** @type {import('jest').Config} */
module.exports = {
  maxWorkers: 2,
  coverageDirectory: 'coverage',
  collectCoverageFrom: ['apps/**/*.ts', 'libs/**/*.ts', '!**/*.test.ts', '!**/*.contract.ts', '!**/index.ts'],
  projects: [
    {
      ...common,
      displayName: 'rules',
      testMatch: ['<rootDir>/{apps,libs,test}/**/*.test.ts'],
      testPathIgnorePatterns: [...common.testPathIgnorePatterns, ...inService],
    },
    {
      ...common,
      displayName: 'service',
      testMatch: inService.map((folder) => `${folder}**/*.test.ts`),
      globalSetup: '<rootDir>/scripts/jest-build.js',
    },
  ],
};
