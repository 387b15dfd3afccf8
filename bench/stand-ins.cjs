'use strict';

/**
 * The stand-ins for EventStoreDB and MongoDB that the tests have, as a process of their own for measurements where no real servers are there: `node bench/stand-ins.cjs
 * <milliseconds>` answers each request after so long, prints the two URLs as a line of JSON, and ends with its parent.
 */

const { transformFileSync } = require('@swc/core');
const Module = require('node:module');
const path = require('node:path');

// The tests' support is TypeScript, which nothing builds.
Module._extensions['.ts'] = (module, file) => {
  const options = { module: { type: 'commonjs' }, jsc: { target: 'es2023', parser: { syntax: 'typescript' } } };
  module._compile(transformFileSync(file, options).code, file);
};
const support = path.join(__dirname, '../test/support');
const { startFakeEventStoreDb } = require(path.join(support, 'eventstoredb/fake-eventstoredb.ts'));
const { startFakeMongoDb } = require(path.join(support, 'mongodb/fake-mongodb.ts'));

async function main() {
  const delayMs = Number(process.argv[2] ?? 0);
  const [events, models] = [await startFakeEventStoreDb(), await startFakeMongoDb()];
  events.faults.delayMs = delayMs;
  models.faults.delayMs = delayMs;
  process.stdout.write(`${JSON.stringify({ EVENTSTORE_URL: events.url, MONGODB_URL: models.url })}\n`);
  process.stdin.resume();
  process.stdin.once('end', () => process.exit(0));
}

void main();
