'use strict';

const build = require('./jest-build.js');

/** The stores of a distributed run: the real ones that the environment names, else stand-ins, one for each service. Says which. */
module.exports = async function start() {
  await build();
  const absent = Object.entries({ eventstoredb: 'EVENTSTORE_URL', mongodb: 'MONGODB_URL' }).filter(([, name]) => !process.env[name]);
  if (absent.length === 0) return;
  process.env.STAND_INS = absent.map(([server]) => server).join();
  const names = absent.map(([, name]) => name).join(' and ');
  process.stdout.write(`not set: ${names}; stand-ins take the place of ${absent.map(([server]) => server).join(' and ')}\n`);
};
