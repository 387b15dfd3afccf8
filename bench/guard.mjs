/**
 * `npm run bench:guard`: fails when the engine has become several times slower. It measures a little of the bench and compares it with the floor, measured
 * in the same breath, so that the same bounds hold on any machine: processor time first, which others on the machine hardly change, and time on the clock,
 * with wider bounds, for an engine that waits. One try in three has to be good enough.
 */

import { createRequire } from 'node:module';
import { cycle, cycleInProcess } from './dial-cycle.mjs';
import { measureFloor } from './floor.mjs';

const { buildIfStale } = createRequire(import.meta.url)('../scripts/build-if-stale.js');

const HOW = { targets: 3000, dialers: 8, batch: 100 };
const TRIES = 3;

/** Least shares of the floor, in percent: a third of what is usual of the processor, an eighth of the clock. */
const LEAST = {
  'import, processor': 1.2,
  'dial-cycle, processor': 2,
  'import, clock': 1.5,
  'dial-cycle, clock': 2,
  'dial-cycle over http, clock': 1.5,
};

/** Events stored a second ÷ those of the floor, in percent. */
async function measure() {
  const floor = measureFloor(HOW.targets);
  const { imported, ...dialed } = await cycleInProcess(HOW);
  const http = await cycle(HOW);
  const shares = {
    'import, processor': HOW.targets / imported.cpu / floor.insertCpu,
    // Two events an attempt.
    'dial-cycle, processor': (2 * dialed.attempts) / dialed.cpu / floor.insertCpu,
    'import, clock': HOW.targets / imported.seconds / floor.insert,
    'dial-cycle, clock': (2 * dialed.attempts) / dialed.seconds / floor.insert,
    'dial-cycle over http, clock': (2 * http.attempts) / http.seconds / floor.insert,
  };
  return Object.entries(shares).map(([name, share]) => [name, 100 * share]);
}

async function main() {
  buildIfStale();
  const best = new Map(Object.keys(LEAST).map((name) => [name, 0]));
  const slow = () => [...best.keys()].filter((name) => best.get(name) < LEAST[name]);
  for (let n = 0; n < TRIES && slow().length > 0; n++) {
    for (const [name, share] of await measure()) best.set(name, Math.max(best.get(name), share));
  }
  for (const [name, share] of best) process.stdout.write(`${name}: ${share.toFixed(1)} % of the floor, at least ${LEAST[name]} %\n`);
  if (slow().length === 0) return;
  throw new Error(`${slow().join('; ')}: several times slower than usual. bench/README.md says how to measure and profile it.`);
}

process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
