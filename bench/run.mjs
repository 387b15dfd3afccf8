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
import { writeDocument } from './document.mjs';
import { measureFloor } from './floor.mjs';
import { gateways } from './gateways.mjs';
import { history } from './history.mjs';
import { importFigures } from './import.mjs';
import { peerFigures } from './peers.mjs';
import { streamLag } from './stream-lag.mjs';

const { buildIfStale } = createRequire(import.meta.url)('../scripts/build-if-stale.js');

/** More targets say no more about the floor. */
const FLOOR_TARGETS = 100_000;

/** In the order they run, after the floor and the peers, to which they give ratios. */
const FIGURES = {
  import: importFigures,
  'dial-cycle': dialCycle,
  'single-cycle': singleCycle,
  'claim-latency': claimLatency,
  history,
  'audit-memory': auditMemory,
  'stream-lag': streamLag,
  gateways,
};
const NAMES = ['floor', ...Object.keys(FIGURES)];

function readOptions() {
  const { values } = parseArgs({
    options: {
      targets: { type: 'string', default: '20000' },
      only: { type: 'string', default: NAMES.join(',') },
      dialers: { type: 'string', default: '8' },
      events: { type: 'string', default: '300000' },
      listeners: { type: 'string', default: '100' },
      sizes: { type: 'string', default: '10000,100000' },
      large: { type: 'string' },
      'no-peers': { type: 'boolean', default: false },
      write: { type: 'string' },
    },
  });
  const only = values.only.split(',');
  const unknown = only.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw new Error(`there is no figure ${unknown}; there are ${NAMES.join(', ')}`);
  return {
    only,
    targets: whole('--targets', values.targets),
    large: whole('--large', values.large ?? values.targets),
    dialers: whole('--dialers', values.dialers),
    events: whole('--events', values.events),
    listeners: whole('--listeners', values.listeners),
    sizes: values.sizes.split(',').map((size) => whole('--sizes', size)),
    withPeers: !values['no-peers'],
    write: values.write,
  };
}

function whole(name, text) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} takes whole numbers from 1, not ${text}`);
  return value;
}

/** Counts stay as they are; of what was measured three digits say all there is to say. */
const COUNTS = new Set(['targets', 'claims']);
function rounded(value) {
  if (typeof value === 'number') return Number(value.toPrecision(3));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, COUNTS.has(name) ? inner : rounded(inner)]));
}

async function* measureAll({ only, withPeers, ...options }) {
  const measured = Math.min(options.targets, FLOOR_TARGETS);
  const floor = measureFloor(measured);
  if (only.includes('floor')) {
    yield { figure: 'floor', via: 'insert', value: floor.insert, unit: 'events/s', targets: measured };
    yield { figure: 'floor', via: 'scan', value: floor.scan, unit: 'events/s', targets: measured };
  }
  const peers = { import: {}, 'dial-cycle': {} };
  if (withPeers && Object.keys(peers).some((name) => only.includes(name))) {
    for await (const figure of peerFigures({ ...options, only })) {
      peers[figure.figure][figure.via] = figure.value;
      yield figure;
    }
  }
  for (const [name, measure] of Object.entries(FIGURES)) {
    if (only.includes(name)) yield* await measure({ ...options, floor, peers: peers[name] });
  }
}

function toRow({ figure, via, targets, value, unit, ratio = {} }) {
  const { floor, ...others } = ratio;
  const times = Object.entries(others).map(([name, times]) => [`× ${name}`, times]);
  return {
    figure,
    via,
    targets,
    value,
    unit,
    ...(floor && { 'of the floor': `${Math.round(100 * floor)} %` }),
    ...Object.fromEntries(times),
  };
}

async function main() {
  const { write, ...options } = readOptions();
  const machine = `${os.cpus().length} × ${os.cpus()[0]?.model ?? 'cpu'}, ${os.platform()}, Node ${process.version}`;
  process.stderr.write(`${machine}\n`);
  // Once: all figures of a run are of the same build.
  buildIfStale();
  const figures = [];
  for await (const measured of measureAll(options)) {
    const figure = rounded(measured);
    figures.push(figure);
    process.stdout.write(`${JSON.stringify(figure)}\n`);
  }
  console.table(figures.map(toRow));
  if (write !== undefined) await writeDocument(write, { machine, figures });
}

// What else was started, and the folders, go at the exit.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
