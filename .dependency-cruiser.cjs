'use strict';

/** Which part of the house may use which (docs: architecture). `npm run check:imports` holds every import against these rules. */

const tests = '[.](test|contract)[.]ts$';
/** Installed only by who compares with them: `npm ci --prefix bench`. */
const peers = Object.keys(require('./bench/package.json').dependencies);
const io = '^(node:)?(fs|net|http|https|http2|tls|dns|dgram|child_process|cluster|worker_threads|timers|perf_hooks|readline)(/|$)';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'What depends on itself through others cannot be read, tested or replaced alone. Types count.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'bottom-libs-stand-alone',
      comment: 'The core, the event store, the platform and the client know no other lib: codecs and ports are passed in.',
      severity: 'error',
      from: { path: '^libs/(client|dialing|event-store|platform)/' },
      to: { path: '^libs/', pathNot: '^libs/$1/' },
    },
    {
      name: 'read-models-on-core-and-store',
      comment: 'Read models fold events: they need the events and where they stand, nothing else.',
      severity: 'error',
      from: { path: '^libs/read-models/' },
      to: { path: '^libs/', pathNot: '^libs/(read-models|dialing|event-store)/' },
    },
    {
      name: 'libs-know-no-app',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^(apps|bench|scripts)/' },
    },
    {
      name: 'front-door-only',
      comment:
        'A lib is used through its index.ts, so that what it shows is one list. Contract suites are for whoever writes an adapter. The audit, and what a replay needs of the domain, have doors of their own: a report’s threads start without the framework and without the libraries that read what callers send.',
      severity: 'error',
      from: { path: '^(?:libs|apps|test|bench)/([^/]+)/' },
      to: {
        path: '^libs/[^/]+/',
        pathNot: [
          '^libs/$1/',
          '^libs/[^/]+/index[.]ts$',
          '^libs/application/audit(-verify)?[.]ts$',
          '^libs/dialing/replay[.]ts$',
          '[.]contract[.]ts$',
        ],
      },
    },
    {
      name: 'no-nest-below-the-application',
      comment: 'The core, the stores and the read models must outlive the framework.',
      severity: 'error',
      from: { path: '^libs/(client|dialing|event-store|read-models)/' },
      to: { path: '(^|/)node_modules/@nestjs/' },
    },
    {
      name: 'client-runs-anywhere',
      comment: 'It needs fetch, and nothing of Node.',
      severity: 'error',
      from: { path: '^libs/client/', pathNot: tests },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    {
      name: 'core-does-no-io',
      comment: 'Of what Node has, the core uses hashing and comparing.',
      severity: 'error',
      from: { path: '^libs/dialing/', pathNot: tests },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|util)$' },
    },
    {
      name: 'application-does-no-io',
      comment: 'I/O, timers and threads come in through ports: the whole engine can then run from a seed.',
      severity: 'error',
      from: { path: '^libs/application/', pathNot: tests },
      to: { dependencyTypes: ['core'], path: io },
    },
    {
      name: 'no-test-code-in-the-product',
      severity: 'error',
      from: { path: '^(apps|libs|scripts)/', pathNot: tests },
      to: { path: [tests, '^test/', '^bench/'] },
    },
    {
      name: 'no-dev-dependency-in-the-product',
      comment: 'It would not be there after `npm ci --omit=dev`.',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: tests },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-unlisted-package',
      severity: 'error',
      from: { path: '^(apps|libs|test|scripts|bench)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-unresolvable-import',
      severity: 'error',
      from: { path: '^(apps|libs|test|scripts|bench)/' },
      to: { couldNotResolve: true, pathNot: `^(${peers.join('|')})$` },
    },
  ],
  options: {
    doNotFollow: { path: '(^|/)(node_modules|dist)/' },
    tsPreCompilationDeps: true,
    // bench/ has a package.json of its own and uses the product's packages too.
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.json' },
    // `types`: package.json "imports" then leads to the sources, not to dist.
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'require', 'node', 'default'],
      mainFields: ['main', 'types'],
    },
  },
};
