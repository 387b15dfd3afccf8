'use strict';

const build = require('./jest-build.js');

/** The stores of a distributed run: the real ones that the environment names, else stand-ins, one for each service. Says which. */
module.exports = async function start() {
  await build();
  if (process.env.EVENTSTORE_URL) return;
  process.env.STAND_INS = 'eventstoredb';
  process.stdout.write('EVENTSTORE_URL is not set: a stand-in takes the place of EventStoreDB\n');
};
