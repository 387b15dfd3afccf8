/** A back-up of a running service, and a service on what was backed up. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { bodyOf, clientAt, newOutdial, nextPhone, outdialAt, tel } from '../support/api';
import { aDialedList, AT_ONCE, verify } from '../support/dialed-list';
import { prepareService, useService } from '../support/service';

const EMBEDDED = { variables: {}, shared: false, close: () => Promise.resolve() };
const service = useService();
let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'outdial-backup-'));
  folder = path.join(parent, 'back-up');
});
afterEach(async () => {
  await rm(parent, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function backUp(variables: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const entry = path.join(__dirname, '../../dist/apps/worker/src/admin.js');
  const env = { PATH: process.env.PATH, DATA_DIR: service.dataDir, ...variables };
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [entry, 'backup', folder], { env })) };
  } catch (error) {
    return error as Ended;
  }
}

test('while it dials: what was answered before is there, all of it fits, and a service goes on from it', async () => {
  const api = await service.customer();
  const { outdial, kept } = await aDialedList(api);
  const busy = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 100 });
  await busy.addAll(Array.from({ length: 50 }, () => ({ destination: tel(nextPhone()) })));
  const over = new AbortController();
  const dialing = (async () => {
    let reports = 0;
    for (; !over.signal.aborted; reports += 1) await busy.report(await busy.lease(), 'busy');
    return reports;
  })();
  const { code, stdout } = await backUp();
  over.abort();
  expect(await dialing).toBeGreaterThan(10);
  expect(code).toBe(0);
  expect(stdout).toMatch(/back-up: \d+ events in \d+ streams, the record holds/);
  expect(readdirSync(folder).sort()).toEqual(['secrets.json', 'store']);
  expect(readdirSync(path.join(folder, 'store')).sort()).toEqual(['events.db', 'state.db']);
  expect(statSync(path.join(folder, 'secrets.json')).mode & 0o077).toBe(0);
  expect(readdirSync(parent)).toEqual(['back-up']);

  const restored = await prepareService({ DATA_DIR: folder }, EMBEDDED);
  try {
    await restored.start();
    // The same secrets: the token goes on.
    const there = clientAt(() => restored.url, '/v1.0', api.token);
    for (const { id } of [outdial, busy]) {
      expect(await verify(there, outdialAt(there, id))).toMatchObject({ consistent: true, chain: { ok: true } });
    }
    const { result } = bodyOf(await there.get<{ result: readonly { attempt_id: string }[] }>(`${outdial.path}/audit`));
    expect(new Set(result.map(({ attempt_id }) => attempt_id))).toEqual(new Set(kept.keys()));
    await outdialAt(there, busy.id).report(await outdialAt(there, busy.id).lease(), 'answered');
  } finally {
    await restored.dispose();
  }
});

test('is not made over something, of nothing, or of a log in EventStoreDB', async () => {
  expect(await backUp({ DATA_DIR: path.join(parent, 'empty') })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no event log') as string,
  });
  const stores = { EVENTSTORE_URL: 'esdb://127.0.0.1:1', JWT_SECRET: 'a secret for a test', ID_SECRET: 'a secret for a test' };
  expect(await backUp(stores)).toMatchObject({ code: 2, stderr: expect.stringContaining('EVENTSTORE_URL') as string });
  expect(existsSync(folder)).toBe(false);
  expect(await backUp()).toMatchObject({ code: 0 });
  expect(await backUp()).toMatchObject({ code: 2, stderr: expect.stringContaining('is there already') as string });
});

test('of a record that does not hold is not given its name', async () => {
  const api = await service.customer();
  const { outdial } = await aDialedList(api);
  await service.stop();
  const db = new Database(path.join(service.dataDir, 'store', 'events.db'));
  const { changes } = db.prepare("UPDATE events SET type = 'Changed' WHERE stream = ? AND revision = 0").run(`outdial-${outdial.id}`);
  expect(changes).toBe(1);
  const ended = await backUp();
  expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining(`outdial-${outdial.id} event 0`) as string });
  expect(existsSync(folder)).toBe(false);
  db.prepare("UPDATE events SET type = 'OutdialCreated' WHERE stream = ? AND revision = 0").run(`outdial-${outdial.id}`);
  db.close();
  await service.start();
});
