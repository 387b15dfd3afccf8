/** Several gateways and workers on the same stores: what a user sees while processes and servers fail, and that the record holds afterwards. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyOf, clientAt, errorOf, eventually, nextPhone, outdialAt, pause, tel } from '../support/api';
import type { Answer, Client, Outdial, WireLease } from '../support/api';
import { aList, dial, holds } from '../support/hard-times';
import { ADMIN, standIns, startProcess, whenReady } from '../support/service';
import type { Process } from '../support/service';

type Kind = 'gateway' | 'worker';
/** How long an answer may take while a store is away: "quickly" is well within a client's own patience. */
const SOON = 5000;
/** An owner that is gone is replaced within seconds. */
const TAKEOVER = 9000;

/** Some processes on two stand-ins, and the first user at each gateway. */
class Deployment {
  readonly processes: Process[] = [];
  readonly gateways: Process[] = [];
  readonly workers: Process[] = [];

  private constructor(readonly stores: Awaited<ReturnType<typeof standIns>>) {}

  static async start(gateways: number, workers: number): Promise<Deployment> {
    const made = new Deployment(await standIns({ events: true, models: true }));
    for (let n = 0; n < workers; n += 1) await made.add('worker');
    for (let n = 0; n < gateways; n += 1) await made.add('gateway');
    if (workers > 0) for (const { root } of made.gateways) await whenReady(root);
    return made;
  }

  async add(kind: Kind): Promise<Process> {
    const process = await startProcess(kind, { ...this.stores.variables, WEBHOOK_ALLOW_PRIVATE: 'true' });
    this.processes.push(process);
    (kind === 'gateway' ? this.gateways : this.workers).push(process);
    return process;
  }

  async user(gateway = this.gateways[0]): Promise<Client> {
    if (!gateway) throw new Error('there is no gateway');
    const { token } = bodyOf(await gateway.root.post<{ token: string }>('/auth/login', ADMIN));
    return clientAt(() => gateway.url, '/v1.0', token);
  }

  users(): Promise<readonly Client[]> {
    return Promise.all(this.gateways.map((gateway) => this.user(gateway)));
  }

  /** The worker that does this work. */
  async ownerOf(work: string): Promise<Process> {
    for (const worker of this.workers) {
      if (worker.child.exitCode !== null || worker.child.signalCode !== null) continue;
      const { parts } = await worker.ready();
      if (parts.worker?.detail.includes(work)) return worker;
    }
    throw new Error(`nobody does ${work}`);
  }

  async end(): Promise<void> {
    for (const { child } of this.processes) child.kill('SIGCONT');
    await Promise.all(this.processes.map((process) => process.end('SIGKILL')));
    await this.stores.close();
  }
}

let deployment: Deployment;
afterEach(async () => {
  await deployment.end();
});

async function soon<T>(answer: Promise<Answer<T>>): Promise<Answer<T>> {
  const began = performance.now();
  const given = await answer;
  expect(performance.now() - began).toBeLessThan(SOON);
  return given;
}

const dialers = (apis: readonly Client[], outdial: Outdial, count: number, attempts: Map<string, WireLease>, idle = 20): Promise<unknown> =>
  Promise.all(
    // Each begins at another gateway.
    Array.from({ length: count }, (_, n) => dial(n % 2 ? apis : apis.toReversed(), outdial, `d${n}`, attempts, { idle })),
  );

const metric = async (process: Process, name: string): Promise<number> => {
  const { text } = await process.root.get('/metrics');
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN);
};

test('two gateways hand out each target once, whoever reports where, and tell who does what', async () => {
  deployment = await Deployment.start(2, 2);
  const apis = await deployment.users();
  const [api, other] = apis as [Client, Client];
  const outdial = await aList(api, 600);
  const attempts = new Map<string, WireLease>();
  await dialers(apis, outdial, 8, attempts);
  expect(new Set([...attempts.values()].map(({ target_id }) => target_id)).size).toBe(600);
  await holds(outdial, attempts);
  // What one gateway was told is at the other.
  expect(await outdialAt(other, outdial.id).get()).toEqual(await outdial.get());
  const { status, parts } = await deployment.gateways[1]!.ready();
  expect(status).toBe('ok');
  expect(parts.workers?.detail).toMatch(/projections-.*: worker-.*; expiry: worker-.*; webhooks: worker-.*/);
  expect(parts.gateways?.detail).toBe('2 at work');
  expect(await metric(deployment.gateways[0]!, 'outdial_work_without_owner')).toBe(0);
  const owned = await Promise.all(deployment.workers.map((worker) => metric(worker, 'outdial_owns_projections')));
  expect(owned.toSorted()).toEqual([0, 1]);
  const [appends, conflicts] = await Promise.all(
    ['outdial_appends', 'outdial_append_conflicts'].map(async (name) =>
      (await Promise.all(deployment.gateways.map((gateway) => metric(gateway, name)))).reduce((sum, one) => sum + one, 0),
    ),
  );
  expect(appends).toBeGreaterThan(1200);
  expect(conflicts! / appends!).toBeLessThan(0.05);
});

test('a gateway that stops serves a list to its end by what is left of it, and a killed one’s share is dialed by the other', async () => {
  deployment = await Deployment.start(2, 1);
  const apis = await deployment.users();
  const outdial = await aList(apis[0]!, 400);
  const attempts = new Map<string, WireLease>();
  const dialed = dialers(apis, outdial, 6, attempts);
  await pause(300);
  await deployment.gateways[1]!.end('SIGKILL');
  await dialed;
  expect((await outdial.progress()).targets.idle).toBe(0);
  await holds(outdial, attempts);
  await eventually(async () => expect((await deployment.gateways[0]!.ready()).parts.gateways?.detail).toBe('1 at work'));
});

test('MongoDB is cut before, within and after writes, and away: lists say so quickly, and agree with the log afterwards', async () => {
  deployment = await Deployment.start(1, 1);
  const { mongo } = deployment.stores;
  const api = await deployment.user();
  const outdial = await aList(api, 400);
  const attempts = new Map<string, WireLease>();
  const trouble = (async () => {
    for (let round = 0; round < 16; round += 1) {
      await pause(250);
      Object.assign(mongo.faults, {
        cutAfter: 1,
        cutBefore: 1,
        cutWithin: [round % 7, 1],
        notPrimary: round % 2,
        writeConcernErrors: round % 2,
      });
      if (round % 8 !== 5) continue;
      await mongo.away();
      expect(errorOf(await soon(api.get(`${outdial.path}/progress`)), 503).status).toBe('UNAVAILABLE');
      const refused = await soon(api.get(`${outdial.path}/targets`));
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      const { status, parts } = await deployment.gateways[0]!.ready();
      expect({ status, read_store: parts.read_store?.ok, event_store: parts.event_store?.ok }).toEqual({
        status: 'unavailable',
        read_store: false,
        event_store: true,
      });
      // A report needs the log alone.
      expect((await soon(api.get(outdial.path))).status).toBe(200);
      await mongo.back();
    }
  })();
  await Promise.all([trouble, dialers([api], outdial, 6, attempts, 50)]);
  expect(attempts.size).toBeGreaterThanOrEqual(400);
  await holds(outdial, attempts);
}, 180_000);

test('both stores are away for a minute while a list is dialed: requests are told so quickly, and nothing is lost, doubled or contradicted', async () => {
  deployment = await Deployment.start(2, 2);
  const { mongo, events } = deployment.stores;
  const apis = await deployment.users();
  const outdial = await aList(apis[0]!, 300);
  const attempts = new Map<string, WireLease>();
  const dialed = dialers(apis, outdial, 4, attempts, 50);
  await pause(400);
  await Promise.all([events.away(), mongo.away()]);
  const until = Date.now() + 60_000;
  while (Date.now() < until) {
    expect((await soon(apis[0]!.get(`${outdial.path}/progress`))).status).toBe(503);
    const { parts } = await deployment.gateways[1]!.ready();
    expect([parts.event_store?.ok, parts.read_store?.ok]).toEqual([false, false]);
    expect((await deployment.gateways[1]!.root.get('/healthz')).status).toBe(200);
    await pause(3000);
  }
  await Promise.all([events.back(), mongo.back()]);
  await dialed;
  for (const { root } of deployment.gateways) await whenReady(root);
  await holds(outdial, attempts);
}, 240_000);

test('a worker is killed between the documents and the checkpoint, again and again: another goes on, and nothing is counted twice', async () => {
  deployment = await Deployment.start(1, 2);
  const { mongo } = deployment.stores;
  const api = await deployment.user();
  const outdial = await aList(api, 400);
  const attempts = new Map<string, WireLease>();
  const dialed = dialers([api], outdial, 4, attempts, 150);
  for (let kill = 0; kill < 3; kill += 1) {
    const owner = await eventually(() => deployment.ownerOf('projections-'), 20_000);
    mongo.faults.delayMs = 30;
    const documents = mongo.count('update');
    // Its documents have come and are answered a moment later; the checkpoint comes after that.
    await eventually(async () => {
      if (mongo.count('update') === documents || !String(mongo.last('update')?.update).endsWith('_targets'))
        throw new Error('no documents yet');
    }, 10_000).catch(() => undefined);
    await owner.end('SIGKILL');
    mongo.faults.delayMs = 0;
    await deployment.add('worker');
  }
  await dialed;
  await holds(outdial, attempts);
}, 180_000);

test('an owner that is paused is replaced within seconds; when it wakes it overwrites nothing and leaves its work to the other', async () => {
  deployment = await Deployment.start(1, 2);
  const api = await deployment.user();
  const outdial = await aList(api, 300);
  const attempts = new Map<string, WireLease>();
  const owner = await eventually(() => deployment.ownerOf('projections-'));
  const dialed = dialers([api], outdial, 4, attempts, 150);
  await pause(200);
  owner.child.kill('SIGSTOP');
  const other = deployment.workers.find((worker) => worker !== owner)!;
  await eventually(async () => expect((await other.ready()).parts.worker?.detail).toContain('projections-'), TAKEOVER);
  await outdial.addAll(Array.from({ length: 50 }, () => ({ destination: tel(nextPhone()) })));
  await eventually(async () => expect((await outdial.progress()).targets.total).toBe(350));
  owner.child.kill('SIGCONT');
  await dialed;
  await eventually(async () => expect((await owner.ready()).parts.worker?.detail).toBe('waits to take over'));
  await holds(outdial, attempts);
}, 120_000);

test('leases expire without their gateway, and after the worker that expired leases was killed; an extended one lives', async () => {
  deployment = await Deployment.start(1, 2);
  const api = await deployment.user();
  const outdial = await aList(api, 3);
  const [first, extended] = [await outdial.lease({ lease_seconds: 1 }), await outdial.lease({ lease_seconds: 1 })];
  bodyOf(
    await api.post(`${outdial.path}/leases/extend`, {
      attempts: [{ attempt_id: extended.attempt_id, target_id: extended.target_id }],
      lease_seconds: 600,
    }),
  );
  const outcomeOf = async (lease: WireLease): Promise<string | null> => (await outdial.attempts(lease.target_id))[0]!.outcome;
  await eventually(async () => expect(await outcomeOf(first)).toBe('unknown'), 4000);
  await (await deployment.ownerOf('expiry')).end('SIGKILL');
  const second = await outdial.lease({ lease_seconds: 1 });
  await eventually(async () => expect(await outcomeOf(second)).toBe('unknown'), TAKEOVER + 4000);
  expect(await outcomeOf(extended)).toBeNull();
  expect((await outdial.report(first, 'answered')).result).toBe('late');
});

test('without a worker targets are handed out as ever, /readyz says what is missing, and one that comes catches up', async () => {
  deployment = await Deployment.start(1, 1);
  const api = await deployment.user();
  const outdial = await aList(api, 30);
  await eventually(async () => expect((await outdial.progress()).callable).toBe(30));
  expect(await deployment.workers[0]!.end('SIGTERM')).toBe(0);
  const attempts = new Map<string, WireLease>();
  await dial([api], outdial, 'alone', attempts, { limit: 10 });
  expect(attempts.size).toBeGreaterThanOrEqual(30);
  await eventually(async () => {
    const { status, parts } = await deployment.gateways[0]!.ready();
    expect(status).toBe('unavailable');
    expect(parts.workers?.ok).toBe(false);
    expect(parts.workers?.detail).toMatch(/^no worker does projections-.*, expiry, webhooks$/);
  });
  expect(await metric(deployment.gateways[0]!, 'outdial_work_without_owner')).toBe(3);
  await deployment.add('worker');
  await whenReady(deployment.gateways[0]!.root);
  await holds(outdial, attempts);
});

test('webhooks are delivered by a worker, also after it was killed, and end when they are deleted at any gateway', async () => {
  deployment = await Deployment.start(2, 2);
  const [api, other] = (await deployment.users()) as [Client, Client];
  const told: { readonly data: { readonly target_id: string; readonly status: string } }[] = [];
  const endpoint: Server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      told.push(JSON.parse(Buffer.concat(chunks).toString()) as (typeof told)[number]);
      response.end();
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/`;
    const { id } = bodyOf(await api.post<{ id: string }>('/webhooks', { url }), 201);
    const outdial = await aList(other, 1);
    const heard = (target: string): readonly string[] =>
      told.filter(({ data }) => data.target_id === target).map(({ data }) => data.status);
    await eventually(async () => expect(told.map(({ data }) => data.status)).toEqual(['idle']));
    const lease = await outdial.lease();
    await eventually(async () => expect(heard(lease.target_id)).toEqual(['idle', 'progressing']));
    await (await deployment.ownerOf('webhooks')).end('SIGKILL');
    await outdial.report(lease, 'answered');
    await eventually(async () => expect(heard(lease.target_id)).toContain('done'), TAKEOVER + 4000);
    bodyOf(await other.del(`/webhooks/${id}`));
    await pause(1500);
    const before = told.length;
    await outdial.add();
    await pause(1500);
    expect(told).toHaveLength(before);
  } finally {
    endpoint.closeAllConnections();
    endpoint.close();
  }
});

test('a worker without shared stores is refused with a line that names what it lacks', async () => {
  deployment = await Deployment.start(0, 0);
  const { EVENTSTORE_URL: _, ...others } = deployment.stores.variables;
  await expect(startProcess('worker', others)).rejects.toThrow(/EVENTSTORE_URL: a worker needs it/);
  const { MONGODB_URL: __, ...without } = deployment.stores.variables;
  await expect(startProcess('worker', without)).rejects.toThrow(/MONGODB_URL: a worker needs it/);
});

test('the admin command line orders a rebuild from the worker that owns the read models', async () => {
  deployment = await Deployment.start(1, 1);
  const api = await deployment.user();
  const outdial = await aList(api, 50);
  await dial([api], outdial, 'd', new Map());
  const before = await outdial.progress();
  const said = await admin(['projections', 'rebuild', '--promote'], deployment.stores.variables);
  expect(said).toMatch(/building g2\ng2 is live/);
  await eventually(async () => expect(await outdial.progress()).toMatchObject({ targets: before.targets, attempts: before.attempts }));
  expect(await admin(['projections', 'status'], deployment.stores.variables)).toMatch(/^\* g2 /m);
});

async function admin(words: readonly string[], variables: Readonly<Record<string, string | undefined>>): Promise<string> {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const path = await import('node:path');
  const dataDir = await mkdtemp(path.join(tmpdir(), 'outdial-admin-'));
  try {
    const entry = path.join(__dirname, '../../dist/apps/worker/src/admin.js');
    const { stdout } = await promisify(execFile)(process.execPath, [entry, ...words], {
      env: { PATH: process.env.PATH, DATA_DIR: dataDir, ...variables },
      timeout: 60_000,
    });
    return stdout;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
