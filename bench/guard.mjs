/**
 * `npm run bench:guard`: fails when the engine has become several times slower. It measures a little of the bench and compares it with the floor, measured
 * in the same breath, so that the same bounds hold on any machine. One try in three has to be good enough: others may be using the machine, too.
 */

import { createRequire } from 'node:module';
import { cycle, cycleInProcess } from './dial-cycle.mjs';
import { measureFloor } from './floor.mjs';

const { buildIfStale } = createRequire(import.meta.url)('../scripts/build-if-stale.js');

const HOW = { targets: 2000, dialers: 8, batch: 100 };
const TRIES = 3;

/** Least shares of the floor: about a third of what is usual on two cores at this size, where half of the time is the start of everything. */
const LEAST = { 'import in process': 0.05, 'dial-cycle in process': 0.07, 'dial-cycle over http': 0.06 };

/** Shares of the floor: events stored a second ÷ those of the floor, as slow as that was before or after. */
async function measure() {
  const before = measureFloor(HOW.targets).insert;
  const inProcess = await cycleInProcess(HOW);
  const overHttp = await cycle(HOW);
  const floor = Math.min(before, measureFloor(HOW.targets).insert);
  return {
    'import in process': HOW.targets / inProcess.imported.seconds / floor,
    'dial-cycle in process': (2 * inProcess.attempts) / inProcess.seconds / floor,
    'dial-cycle over http': (2 * overHttp.attempts) / overHttp.seconds / floor,
  };
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

async function main() {
  buildIfStale();
  const best = Object.fromEntries(Object.keys(LEAST).map((name) => [name, 0]));
  const slow = () => Object.keys(LEAST).filter((name) => best[name] < LEAST[name]);
  for (let n = 0; n < TRIES && slow().length > 0; n++) {
    for (const [name, share] of Object.entries(await measure())) best[name] = Math.max(best[name], share);
  }
  for (const [name, share] of Object.entries(best)) {
    process.stdout.write(`${name}: ${percent(share)} of the floor, at least ${percent(LEAST[name])}\n`);
  }
  if (slow().length === 0) return;
  throw new Error(
    `${slow().join(', ')}: several times slower than usual. npm run bench says how slow; bench/README.md, how to profile it.`,
  );
}

process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
