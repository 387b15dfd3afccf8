'use strict';

const { availableParallelism } = require('node:os');

/**
 * What node is started with on this machine: `exec node $(node scripts/node-flags.js) …`. On two cores the threads of the engine have all there is, and helpers of the collector
 * only take it from them: without, a dial cycle costs a seventh less and the slowest claims are a tenth faster (docs/adr/0017-what-a-dial-cycle-costs.md). V8 takes this when
 * it starts and at no other time. Where there are more cores, helpers run on those that are free.
 */
const nodeFlags = availableParallelism() <= 2 ? ['--single-threaded-gc'] : [];

if (require.main === module) process.stdout.write(nodeFlags.join(' '));

/**
 * And in which environment, for the bench; `npm start` and the image say it themselves. The C library gives each of a dozen threads a heap of its own, and what is freed in one is of no use to
 * the others: with two heaps for all of them the process is 50 MB smaller, and no slower.
 */
const nodeEnvironment = { MALLOC_ARENA_MAX: '2' };

module.exports = { nodeFlags, nodeEnvironment };
