import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialedList } from './dial-cycle.mjs';
import { startService } from './service.mjs';
import { percentile } from './statistics.mjs';
import { removeFolder, temporaryFolder } from './temporary.mjs';

const WORKER = path.join(import.meta.dirname, '../dist/apps/worker/src/main.js');
const DIALERS_EACH = 8;
const BATCH = 10;
/** Milliseconds that each answer of a stand-in takes, as a network and a disk would: the dialers wait for the stores, not for the processor. */
const DELAY_MS = 10;
const SECRETS = { JWT_SECRET: 'a bench needs no secret', ID_SECRET: 'a bench needs no secret' };
const PATIENCE_MS = 30_000;

/**
 * Two gateways with 8 dialers each against one with 8, on the same stores: real ones when EVENTSTORE_URL and MONGODB_URL name them, else stand-ins that take their time. And what
 * a claim of 100 costs there, one after the other, beside a bare request: a few round trips, or a hundred.
 */
export async function gateways({ targets }) {
  const n = Math.min(targets, 4000);
  const one = await measure(1, n);
  const two = await measure(2, n);
  const figure = (via, { perSecond, conflicts }, more = {}) => ({
    figure: 'gateways',
    via,
    value: perSecond,
    unit: 'attempts/s',
    conflicts,
    ...more,
    targets: n,
  });
  return [
    figure('1 gateway', one),
    figure('2 gateways', two, { ratio: { '1 gateway': two.perSecond / one.perSecond } }),
    {
      figure: 'distributed-claim',
      via: 'http',
      value: one.claim,
      unit: 'ms p50',
      ratio: { 'one request': one.claim / one.request },
      targets: n,
    },
  ];
}

async function measure(count, targets) {
  const stores = await openStores();
  const worker = startWorker(stores.variables);
  const services = [];
  try {
    for (let n = 0; n < count; n++) services.push(await startService(undefined, stores.variables));
    const { client } = services[0];
    for (const service of services) await whenReady(service.client);
    const { claim, request } = count === 1 ? await claims(client) : {};
    const before = await appends(services);
    const urls = services.map((service) => service.client.url);
    const { seconds, attempts } = await dialedList(client, { targets, dialers: count * DIALERS_EACH, batch: BATCH, urls });
    const after = await appends(services);
    return {
      perSecond: attempts / seconds,
      conflicts: (after.conflicts - before.conflicts) / (after.tried - before.tried),
      claim,
      request,
    };
  } finally {
    for (const service of services) await service.stop();
    await worker.stop();
    await stores.close();
  }
}

/** Milliseconds of a claim of 100, and of a request that reads two streams. */
async function claims(client) {
  const { id } = await client.post('/v1.0/outdials', { name: 'claims' });
  await client.post(`/v1.0/outdials/${id}/targets`, {
    targets: Array.from({ length: 3000 }, (_, i) => ({
      external_id: String(i),
      destination: { type: 'tel', target: `+1557${String(2_000_000 + i)}` },
    })),
  });
  await sleep(1000);
  const timed = async (times, ask) => {
    const milliseconds = [];
    for (let n = 0; n < times; n++) {
      const start = performance.now();
      await ask();
      milliseconds.push(performance.now() - start);
    }
    return percentile(milliseconds.slice(2), 0.5);
  };
  const claim = await timed(22, async () => {
    const { result } = await client.post(`/v1.0/outdials/${id}/leases`, { limit: 100 });
    if (result.length !== 100) throw new Error(`a claim of 100 got ${result.length}`);
  });
  return { claim, request: await timed(22, () => client.get(`/v1.0/outdials/${id}`)) };
}

async function openStores() {
  const { EVENTSTORE_URL, MONGODB_URL } = process.env;
  if (EVENTSTORE_URL && MONGODB_URL) return { variables: { EVENTSTORE_URL, MONGODB_URL, ...SECRETS }, close: async () => undefined };
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'stand-ins.cjs'), String(DELAY_MS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  const close = async () => {
    child.stdin.end();
    await once(child, 'exit');
  };
  return { variables: { ...JSON.parse(line), ...SECRETS, CLOCK_SKEW: '0' }, close };
}

function startWorker(variables) {
  const dataDir = temporaryFolder('bench');
  const child = spawn(process.execPath, [WORKER], {
    env: { PATH: process.env.PATH, DATA_DIR: dataDir, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'warn', ...variables },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  process.prependOnceListener('exit', kill);
  return {
    async stop() {
      child.kill('SIGTERM');
      await exited;
      process.off('exit', kill);
      removeFolder(dataDir);
    },
  };
}

async function whenReady(client) {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(50)) {
    const ready = await client.get('/readyz').catch(() => null);
    if (ready !== null) return;
  }
  throw new Error('a gateway does not become ready');
}

async function appends(services) {
  const counts = { tried: 0, conflicts: 0 };
  for (const { client } of services) {
    const text = await (await fetch(`${client.url}/metrics`)).text();
    const value = (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
    counts.tried += value('outdial_appends');
    counts.conflicts += value('outdial_append_conflicts');
  }
  return counts;
}
