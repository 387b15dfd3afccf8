/** The move of an embedded deployment to EventStoreDB: what the command does to stores of the service's own making, and that the service goes on there as before. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { allAttempts, bodyOf, clientAt, errorOf, eventually, listAll, newOutdial, nextPhone, outdialAt, tel } from '../support/api';
import type { Client, Outdial } from '../support/api';
import { openMongoStateStore } from '#event-store';
import { aDialedList, AT_ONCE, verify } from '../support/dialed-list';
import { startFakeEventStoreDb, type FakeEventStoreDb } from '../support/eventstoredb/fake-eventstoredb';
import { startFakeMongoDb } from '../support/mongodb/fake-mongodb';
import { ADMIN, prepareService, standIns } from '../support/service';
import type { Ending, Service } from '../support/service';

const ENTRY = path.join(__dirname, '../../dist/apps/worker/src/admin.js');
const EMBEDDED = { variables: {}, shared: false, close: () => Promise.resolve() };
type Variables = Readonly<Record<string, string | undefined>>;

/** `npm run admin -- …`, ended by `interrupt` when it says so. */
async function admin(dataDir: string, args: readonly string[], variables: Variables = {}, interrupt?: () => boolean): Promise<Ending> {
  const child = spawn(process.execPath, [ENTRY, ...args], { env: { PATH: process.env.PATH, DATA_DIR: dataDir, ...variables } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setInterval(() => interrupt?.() === true && child.kill('SIGKILL'), 1);
  await once(child, 'close');
  clearInterval(timer);
  return { code: child.exitCode, stdout, stderr };
}

/** Where an event stands is all that a copy changes; and a progress tells when it was asked for. */
const comparable = (told: unknown): unknown =>
  JSON.parse(JSON.stringify(told, (name, member: unknown) => (['position', 'upto'].includes(name) ? undefined : member)));

/** What a user sees of a deployment, as the service tells it. */
async function seen(api: Client, outdials: readonly string[]): Promise<unknown> {
  const told = outdials.map(async (id) => {
    const outdial = outdialAt(api, id);
    return {
      outdial: bodyOf(await api.get(outdial.path)),
      progress: { ...(await outdial.progress()), tm: null },
      targets: await listAll(api, `${outdial.path}/targets`),
      attempts: await allAttempts(outdial),
      audit: bodyOf<{ result: unknown }>(await api.get(`${outdial.path}/audit`)).result,
      verified: await verify(api, outdial),
    };
  });
  return comparable({
    each: await Promise.all(told),
    outdials: await listAll(api, '/outdials'),
    outplans: await listAll(api, '/outplans'),
    keys: await listAll(api, '/accesskeys'),
  });
}

interface Endpoint {
  readonly url: string;
  /** `data` of what it took, as text, in the order it came. */
  readonly taken: string[];
  /** It takes this many more, then answers 503. */
  takes: number;
  close(): Promise<void>;
}

async function anEndpoint(): Promise<Endpoint> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      endpoint.takes -= 1;
      if (endpoint.takes >= 0) {
        const { type, data } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly type: string; readonly data: object };
        endpoint.taken.push(JSON.stringify({ type, data }));
      }
      response.writeHead(endpoint.takes >= 0 ? 204 : 503).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint: Endpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    taken: [],
    takes: Infinity,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return endpoint;
}

/** Webhooks read the log this many events at a time: of what was under way when the service ended, so many may be sent again. */
const WEBHOOK_BATCH = 100;

/** A deployment that has events of every category, made by the service: a stopped one, and what it looked like. */
interface Deployment {
  readonly dataDir: string;
  readonly outdials: readonly string[];
  readonly key: string;
  readonly looked: unknown;
  readonly heads: string;
  /** An id of the stream of changes. */
  readonly resumePoint: string;
}

const WEBHOOKS = { WEBHOOK_ALLOW_PRIVATE: 'true' };
let service: Service;
let made: Deployment;
let prompt: Endpoint;
let slow: Endpoint;
beforeAll(async () => {
  [prompt, slow] = [await anEndpoint(), await anEndpoint()];
  service = await prepareService(WEBHOOKS, EMBEDDED);
  await service.start();
  made = await aDeployment(prompt, slow);
}, 120_000);
afterAll(async () => {
  await service.dispose();
  await Promise.all([prompt.close(), slow.close()]);
});

async function aBigList(api: Client): Promise<Outdial> {
  const outdial = await newOutdial(api, { name: 'große Liste ☎' }, { ...AT_ONCE, max_try_count_0: 3 });
  for (let batch = 0; batch < 3; batch += 1) {
    await outdial.addAll(Array.from({ length: 400 }, (_, n) => ({ name: `Zoë ${n} ✓`, destination: tel(nextPhone()), priority: n % 3 })));
  }
  for (let batch = 0; batch < 12; batch += 1) {
    const { result } = await outdial.claim({ limit: 100 });
    const outcomes = result.map(({ attempt_id, target_id }, n) => ({ attempt_id, target_id, outcome: n % 2 ? 'busy' : 'answered' }));
    bodyOf(await api.post(`${outdial.path}/outcomes`, { outcomes: outcomes.slice(batch) }));
  }
  return outdial;
}

/** Of the first change that a stream tells. */
async function anIdOf(api: Client, stream: string): Promise<string> {
  const response = await fetch(api.locate(stream, { after: 'start' }), { headers: { authorization: `Bearer ${api.token}` } });
  let said = '';
  for await (const chunk of response.body ?? []) {
    said += Buffer.from(chunk as Uint8Array).toString();
    const id = /^id: ?(\S+)$/m.exec(said)?.[1];
    if (id !== undefined) return id;
  }
  throw new Error(`the stream told no id: ${said}`);
}

async function aDeployment(prompt: Endpoint, slow: Endpoint): Promise<Deployment> {
  const { token: key } = bodyOf(await service.admin.post<{ token: string }>('/accesskeys', { name: 'k', detail: '', expire: 3600 }), 201);
  const api = clientAt(() => service.url, '/v1.0', key);
  for (const { url } of [prompt, slow]) bodyOf(await api.post('/webhooks', { url, events: ['target.done', 'target.deleted'] }), 201);
  slow.takes = 150;
  const { outdial: dialed } = await aDialedList(api);
  const [big, gone, archived] = [await aBigList(api), await newOutdial(api), await newOutdial(api, {}, AT_ONCE)];
  await gone.add();
  bodyOf(await api.del(gone.path));
  await archived.add();
  bodyOf(await api.post(`${archived.path}/archive`));
  await eventually(async () => expect(slow.takes).toBeLessThan(0));
  await eventually(async () => expect(prompt.taken.length).toBeGreaterThan(300));
  const outdials = [dialed.id, big.id, archived.id];
  const looked = await seen(api, outdials);
  const resumePoint = await anIdOf(api, `${big.path}/targets/stream`);
  await service.stop();
  const heads = path.join(service.dataDir, 'heads.ndjson');
  await writeFile(heads, (await admin(service.dataDir, ['audit', 'heads'])).stdout);
  return { dataDir: service.dataDir, outdials, key, looked, heads, resumePoint };
}

let events: FakeEventStoreDb;
let dataDir: string;
beforeEach(async () => {
  events = await startFakeEventStoreDb();
  dataDir = await mkdtemp(path.join(tmpdir(), 'outdial-copy-'));
  await cp(made.dataDir, dataDir, { recursive: true });
});
afterEach(async () => {
  await events.close();
  await rm(dataDir, { recursive: true, force: true });
});

const secrets = (): { readonly jwt_secret: string; readonly id_secret: string } =>
  JSON.parse(readFileSync(path.join(made.dataDir, 'secrets.json'), 'utf8')) as { jwt_secret: string; id_secret: string };
const copy = (interrupt?: () => boolean): Promise<Ending> => admin(dataDir, ['copy', '--to', events.url], {}, interrupt);
const onTheCopy = (...args: readonly string[]): Promise<Ending> => admin(dataDir, args, onCopy());

/** How the report tells to go on: on the same directory, with the same secrets. */
const onCopy = (): Variables => ({ EVENTSTORE_URL: events.url, JWT_SECRET: secrets().jwt_secret, ID_SECRET: secrets().id_secret });

async function counts(): Promise<{ readonly events: number; readonly streams: number }> {
  const db = new Database(path.join(dataDir, 'store', 'events.db'), { readonly: true });
  const found = db.prepare('SELECT count(*) AS events, count(DISTINCT stream) AS streams FROM events').get();
  db.close();
  return found as { events: number; streams: number };
}

test('everything is there: the service goes on as before, the record holds against heads written before, webhooks miss nothing', async () => {
  const { code, stdout, stderr } = await copy();
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { events: count, streams } = await counts();
  expect(count).toBeGreaterThan(3000);
  expect(stdout).toContain(`copied: ${count.toLocaleString('en')} events in ${streams.toLocaleString('en')} streams, and 2 webhooks`);
  expect(stderr).toMatch(/^(checking the source: .*\n)+(copying: .*\n)+(verifying the copy: .*\n)+$/);
  for (const secret of Object.values(secrets())) expect(stdout + stderr).not.toContain(secret);
  const verdict = `${count} events in ${streams} streams, ${streams} heads compared: the record holds`;
  expect((await onTheCopy('audit', 'verify', '--at', made.heads)).stdout).toContain(verdict);

  const before = [...slow.taken];
  const told = [...prompt.taken];
  const moved = await prepareService({ ...WEBHOOKS, ...onCopy(), DATA_DIR: dataDir }, EMBEDDED);
  slow.takes = Infinity;
  try {
    await moved.start();
    const api = clientAt(() => moved.url, '/v1.0', made.key);
    expect(await seen(api, made.outdials)).toEqual(made.looked);
    // What one endpoint has got all along is what the other one has to get in the end: nothing is missing, and no more is repeated than after a restart.
    await eventually(async () => expect(new Set(slow.taken)).toEqual(new Set(told)));
    expect(slow.taken.length - new Set(slow.taken).size).toBeLessThanOrEqual(WEBHOOK_BATCH);
    expect(before.length).toBeGreaterThan(WEBHOOK_BATCH);
    expect(prompt.taken).toEqual(told);
    const stream = `/outdials/${made.outdials[1] ?? ''}/targets/stream`;
    errorOf(await api.get(stream, { query: { after: made.resumePoint } }), 410);
    // Dialing goes on, and is told to both.
    const outdial = outdialAt(api, made.outdials[1] ?? '');
    await outdial.report(await outdial.lease(), 'answered');
    await eventually(async () => expect(prompt.taken).toHaveLength(told.length + 1));
    expect(await moved.stop()).toBe(0);
  } finally {
    await moved.dispose();
  }
  expect(await copy()).toMatchObject({ code: 1, stderr: expect.stringContaining('a service has gone on with the copy since') as string });
}, 120_000);

test('killed again and again, it is completed by being run again; meanwhile no service starts on a part of it', async () => {
  let killed = 0;
  for (const share of [0.05, 0.3, 0.6, 0.9]) {
    const { streams } = await counts();
    const ending = await copy(() => events.appends() > streams * share);
    if (ending.code !== null) break;
    killed += 1;
    expect(await onTheCopy('audit', 'verify')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is not complete: run') as string,
    });
  }
  expect(killed).toBeGreaterThan(0);
  expect(await copy()).toMatchObject({ code: 0 });
  expect((await onTheCopy('audit', 'verify', '--at', made.heads)).stdout).toContain('the record holds');
}, 120_000);

test('connections that are cut and answers that are lost while it runs change nothing', async () => {
  let faults = 0;
  const copying = copy(() => {
    if (events.appends() > faults * 300 && faults < 6) {
      faults += 1;
      const kind = (['loseAnswers', 'loseRequests'] as const)[faults % 2] ?? 'loseAnswers';
      events.faults[kind] += 1;
    }
    return false;
  });
  expect(await copying).toMatchObject({ code: 0 });
  expect(faults).toBeGreaterThan(2);
  expect((await onTheCopy('audit', 'verify', '--at', made.heads)).stdout).toContain('the record holds');
}, 120_000);

test('webhooks go to the MongoDB that is named, as far as each has come', async () => {
  const mongo = await startFakeMongoDb();
  try {
    const { code, stdout } = await admin(dataDir, ['copy', '--to', events.url, '--state-to', mongo.url]);
    expect(code).toBe(0);
    expect(stdout).toContain('MONGODB_URL=');
    const logId = /The copy is the log (\S+)\./.exec(stdout)?.[1] ?? '';
    const state = await openMongoStateStore({ url: mongo.url, logId });
    try {
      const [webhooks, progress] = [await state.list('webhook/'), await state.list('webhook-progress/')];
      const urls = webhooks.map(({ value }) => (JSON.parse(value) as { url: string }).url);
      expect(urls.sort()).toEqual([prompt.url, slow.url].sort());
      const states = progress.map(({ value }) => (JSON.parse(value) as { state: string }).state);
      expect(states.sort()).toEqual(['active', 'failing']);
    } finally {
      await state.close();
    }
  } finally {
    await mongo.close();
  }
}, 60_000);

describe('it refuses with one line', () => {
  const refused = async (args: readonly string[], variables: Variables, code: number, said: string): Promise<void> => {
    const ending = await admin(dataDir, ['copy', ...args], variables);
    expect(ending).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(said) as string });
    expect(ending.stderr.trimEnd().split('\n')).toHaveLength(1);
  };

  test('a URL that is none, or that the client cannot read; none of them is repeated: it may hold a password', async () => {
    await refused(['--to', 'mongodb://admin:changeit@host'], {}, 2, '--to: must be a connection string');
    await refused(['--to', 'esdb://admin:hunter2@host:2113?tls=maybe'], {}, 2, '--to: is no connection string');
    expect((await admin(dataDir, ['copy', '--to', 'esdb://admin:hunter2@host:2113?tls=maybe'])).stderr).not.toContain('hunter2');
  });

  test('EVENTSTORE_URL, and a directory without a log', async () => {
    await refused(['--to', events.url], onCopy(), 2, 'EVENTSTORE_URL: unset it');
    await refused(['--to', events.url, '--state-to', 'mysql://host'], {}, 2, '--state-to: must begin with mongodb://');
    const empty = path.join(dataDir, 'empty');
    await refused(['--to', events.url], { DATA_DIR: empty }, 2, `DATA_DIR: there is no event log in ${empty}`);
    expect(await readdir(empty)).not.toContain('store');
  });

  test('a target that is another deployment’s', async () => {
    const stores = await standIns();
    const other = await prepareService({}, stores);
    try {
      await other.start();
      await other.stop();
      await refused(['--to', stores.events.url], {}, 1, 'The target holds another Outdial log already');
    } finally {
      await other.dispose();
    }
  });

  test('a source that a service runs on', async () => {
    const running = await prepareService({ DATA_DIR: dataDir, ADMIN_PASSWORD: ADMIN.password }, EMBEDDED);
    try {
      await running.start();
      await refused(['--to', events.url], {}, 1, `A service runs on ${dataDir}: stop it first`);
    } finally {
      await running.dispose();
    }
  });

  test('a source whose record does not hold: the first event that does not fit is named, and nothing is written', async () => {
    const db = new Database(path.join(dataDir, 'store', 'events.db'));
    const stream = db
      .prepare("SELECT stream FROM events WHERE stream LIKE 'outdialtarget-%' AND revision = 1 LIMIT 1")
      .pluck()
      .get() as string;
    db.prepare("UPDATE events SET data = replace(data, '{', '{ ') WHERE stream = ? AND revision = 1").run(stream);
    db.close();
    const ending = await copy();
    expect(ending).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`${stream} event 1 `) as string });
    expect((await onTheCopy('audit', 'verify')).stdout).toContain('0 events in 0 streams');
  });
});
