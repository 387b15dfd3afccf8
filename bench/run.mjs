/**
 * `npm run bench -- --targets 20000 --only floor,dial-cycle`: a line of JSON for each figure, then a table. Exits 1 when a figure's totals are not
 * those of the work (work.mjs). See README.md.
 */

import { createRequire } from 'node:module';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { auditMemory } from './audit-memory.mjs';
import { claimLatency } from './claim-latency.mjs';
import { dialCycle, singleCycle } from './dial-cycle.mjs';
import { measureFloor } from './floor.mjs';
import { history } from './history.mjs';
import { streamLag } from './stream-lag.mjs';

const { buildIfStale } = createRequire(import.meta.url)('../scripts/build-if-stale.js');

/** In the order they run. The floor comes first: the others give ratios to it. */
const FIGURES = {
  floor: ({ targets, floor }) => [
    { figure: 'floor', via: 'insert', value: floor.insert, unit: 'events/s', targets },
    { figure: 'floor', via: 'scan', value: floor.scan, unit: 'events/s', targets },
  ],
  'dial-cycle': dialCycle,
  'single-cycle': singleCycle,
  'claim-latency': claimLatency,
  history,
  'audit-memory': auditMemory,
  'stream-lag': streamLag,
};

function readOptions() {
  const { values } = parseArgs({
    options: {
      targets: { type: 'string', default: '20000' },
      only: { type: 'string', default: Object.keys(FIGURES).join(',') },
      dialers: { type: 'string', default: '8' },
      events: { type: 'string', default: '300000' },
      listeners: { type: 'string', default: '100' },
      sizes: { type: 'string', default: '10000,100000' },
    },
  });
  const only = values.only.split(',');
  const unknown = only.find((name) => !(name in FIGURES));
  if (unknown !== undefined) throw new Error(`there is no figure ${unknown}; there are ${Object.keys(FIGURES).join(', ')}`);
  return {
    only,
    targets: whole('--targets', values.targets),
    dialers: whole('--dialers', values.dialers),
    events: whole('--events', values.events),
    listeners: whole('--listeners', values.listeners),
    sizes: values.sizes.split(',').map((size) => whole('--sizes', size)),
  };
}

function whole(name, text) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} takes whole numbers from 1, not ${text}`);
  return value;
}

/** Three digits say all there is to say. */
const rounded = (value) => Number(value.toPrecision(3));
const roundedDeep = (value) => {
  if (typeof value === 'number') return rounded(value);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, roundedDeep(inner)]));
};

/** Counts stay as they are. */
function toJson({ figure, via, value, unit, ratio, latency, targets }) {
  return JSON.stringify({
    figure,
    via,
    value: rounded(value),
    unit,
    ...(ratio && { ratio: roundedDeep(ratio) }),
    ...(latency && { latency: roundedDeep(latency) }),
    targets,
  });
}

function toRow({ figure, via, targets, value, unit, ratio }) {
  return { figure, via, targets, value: rounded(value), unit, 'of the floor': ratio?.floor ? `${Math.round(100 * ratio.floor)} %` : '' };
}

async function main() {
  const { only, ...options } = readOptions();
  process.stderr.write(`${os.cpus().length} × ${os.cpus()[0]?.model ?? 'cpu'}, ${os.platform()}, Node ${process.version}\n`);
  // Once: all figures of a run are of the same build.
  buildIfStale();
  const floor = measureFloor(options.targets);
  const figures = [];
  for (const [name, measure] of Object.entries(FIGURES)) {
    if (!only.includes(name)) continue;
    for (const figure of await measure({ ...options, floor })) {
      figures.push(figure);
      process.stdout.write(`${toJson(figure)}\n`);
    }
  }
  console.table(figures.map(toRow));
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
