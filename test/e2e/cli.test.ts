/** The `outdial` command, as a person runs it against a service. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, newOutdial, outdialAt, phone, tel } from '../support/api';
import type { Client } from '../support/api';
import { ADMIN, useService } from '../support/service';

const COMMAND = path.join(__dirname, '../../scripts/outdial.js');
const service = useService();
let api: Client;
let directory: string;
beforeAll(async () => {
  api = await service.customer();
  directory = await mkdtemp(path.join(tmpdir(), 'outdial-cli-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { PATH: process.env.PATH, OUTDIAL_URL: service.url, OUTDIAL_TOKEN: api.token, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  return { child, ended: once(child, 'close').then(() => ({ code: child.exitCode, ...said })) };
}
const run = (args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended> => start(args, environment).ended;

async function file(name: string, content: string): Promise<string> {
  const where = path.join(directory, name);
  await writeFile(where, content);
  return where;
}
const csv = (count: number): string =>
  `name,destination_0,data\n${Array.from({ length: count }, (_, n) => `n${n},${phone(n)},${'x'.repeat(300)}\n`).join('')}`;

/** Stands between the command and the service, and cuts each connection that has sent so much. */
async function cuttingProxy(
  cutAfter: () => number,
): Promise<{ readonly url: string; readonly cuts: () => number; readonly close: () => Promise<unknown> }> {
  let cuts = 0;
  const open = new Set<Socket>();
  const server: Server = createServer((from) => {
    const { hostname, port } = new URL(service.url);
    const to = connect({ host: hostname, port: Number(port) });
    const limit = cutAfter();
    let bytes = 0;
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => other.destroy());
      socket.pipe(other);
    }
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes < limit) return;
      cuts += 1;
      from.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts: () => cuts,
    close: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('outdial import', () => {
  test('makes an outdial of a file, and says which rows were refused and why', async () => {
    const list = await file('list.csv', `name,destination_0\nAda,${phone(1)}\nAda again,${phone(1)}\nBen,nonsense\nCleo,${phone(2)}\n`);
    const { code, stdout, stderr } = await run(['import', list, '--create', 'January leads']);
    expect([code, stderr]).toEqual([3, expect.stringContaining(`${list}.refused.ndjson`)]);
    expect(stdout.replace(/ +/g, ' ')).toBe('created 2\nduplicates 1\ninvalid 1\nrows 4\n');
    const id = /outdial (\S+)/.exec(stderr)?.[1] ?? '';
    expect(await outdialAt(api, id).get()).toMatchObject({ name: 'January leads' });
    const refused = (await readFile(`${list}.refused.ndjson`, 'utf8')).trimEnd().split('\n');
    expect(refused.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { row: 2, result: 'duplicate' },
      { row: 3, result: 'invalid', details: [{ field: 'destination_0.target', value: 'nonsense' }] },
    ]);
  });

  test('a dry run changes nothing', async () => {
    const outdial = await newOutdial(api);
    const list = await file('dry.ndjson', `${JSON.stringify({ destination: tel(phone(1)) })}\n`);
    const { code, stdout, stderr } = await run(['import', list, '--outdial', outdial.id, '--dry-run']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/created +1\n/)]);
    expect(stderr).toContain('nothing was changed');
    expect((await outdial.progress()).targets.total).toBe(0);
    expect(existsSync(`${list}.refused.ndjson`)).toBe(false);
  });

  test('sends the file again when the connection breaks, and counts each row once', async () => {
    const outdial = await newOutdial(api);
    const limits = [300_000, 900_000];
    const proxy = await cuttingProxy(() => limits.shift() ?? Number.POSITIVE_INFINITY);
    const list = await file('broken.csv', csv(5000));
    const { code, stdout, stderr } = await run(['import', list, '--outdial', outdial.id, '--url', proxy.url]);
    await proxy.close();
    expect(proxy.cuts()).toBe(2);
    expect([code, stderr]).toEqual([0, expect.stringContaining('sent again')]);
    expect(stdout).toMatch(/rows +5,000\n/);
    await eventually(async () => expect((await outdial.progress()).targets.total).toBe(5000));
  });

  test('gives up on a service that nobody runs, and says so', async () => {
    const list = await file('nobody.csv', csv(1));
    const { code, stderr } = await run([
      'import',
      list,
      '--outdial',
      (await newOutdial(api)).id,
      '--url',
      'http://127.0.0.1:9',
      '--retries',
      '1',
    ]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('sent again')]);
    expect(stderr).toContain('nothing is doubled');
  });

  test('is interrupted by Ctrl-C, and completed by running it again', async () => {
    const outdial = await newOutdial(api);
    const list = await file('interrupted.csv', csv(30_000));
    const { child, ended } = start(['import', list, '--outdial', outdial.id]);
    await eventually(async () => expect((await outdial.progress()).targets.total).toBeGreaterThan(0));
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([130, expect.stringContaining(`outdial import ${list} --outdial ${outdial.id}`)]);
    expect((await run(['import', list, '--outdial', outdial.id])).code).toBe(0);
    await eventually(async () => expect((await outdial.progress()).targets.total).toBe(30_000));
  });

  test.each([
    ['no file', ['import']],
    ['a file that is not there', ['import', '/no/such.csv', '--create', 'x']],
    ['no outdial', ['import', COMMAND, '--format', 'csv']],
    ['a file of no known type', ['import', COMMAND, '--create', 'x']],
    ['an option that is none', ['progress', 'x', '--sideways']],
    ['no URL', ['progress', 'x', '--url', 'nowhere']],
    ['dialers that would dial', ['dial', '--outdial', 'x']],
    ['a command that is none', ['frobnicate']],
  ])('refuses %s as wrong usage', async (_, args) => {
    const { code, stdout, stderr } = await run(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).not.toBe('');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('tells in one line what the service refuses', async () => {
    const { code, stderr } = await run(['progress', '40bea034-1d17-474d-a5de-da00d0861c69']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^the service refused: OUTDIAL_NOT_FOUND: .*\n$/);
    const wrong = await run(['progress', '40bea034-1d17-474d-a5de-da00d0861c69'], { OUTDIAL_TOKEN: 'wrong' });
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('INVALID_CREDENTIALS')]);
  });
});

test('a list goes the whole way: imported, exported, dialed, done', async () => {
  const outdial = await newOutdial(api, { name: 'the whole way' }, { try_interval: 0, max_try_count_0: 1 });
  const list = await file('whole.csv', csv(200));
  expect((await run(['import', list, '--outdial', outdial.id])).code).toBe(0);
  const { stdout: exported } = await run(['export', outdial.id, '--format', 'ndjson']);
  expect(
    exported
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { name: string }).name),
  ).toEqual(Array.from({ length: 200 }, (_, n) => `n${n}`));
  const watch = start(['progress', outdial.id, '--watch', '--json']);
  const dialed = await run(['dial', '--outdial', outdial.id, '--simulate', '--dialers', '4']);
  expect([dialed.code, dialed.stdout]).toEqual([0, expect.stringContaining('200 done')]);
  const watched = await watch.ended;
  expect(watched.code).toBe(0);
  expect(JSON.parse(watched.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ targets: { total: 200, done: 200 } });
  expect((await run(['progress', outdial.id])).stdout).toContain('the whole way (active)');
});

test('who has no token logs in', async () => {
  const { id } = await newOutdial(service.admin);
  const credential = { OUTDIAL_TOKEN: '', OUTDIAL_USERNAME: 'admin', OUTDIAL_PASSWORD: ADMIN.password };
  const { code, stderr } = await run(['progress', id], credential);
  expect([code, stderr]).toEqual([0, '']);
});
