/** The client that others use, against a service. */
import { execFile } from 'node:child_process';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { ApiError, connect, logIn } from '#client';
import type { Client, ImportLine } from '#client';
import { eventually, phone } from '../support/api';
import { ADMIN, useService } from '../support/service';

const service = useService();
let client: Client;
beforeAll(async () => {
  client = connect({ url: service.url, token: await logIn(service.url, ADMIN.username, ADMIN.password) });
});

async function all<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test('a dialer’s day: a list, targets, leases, outcomes, and what became of them', async () => {
  const outdial = await client.createOutdial({ name: 'a day' }, { idempotencyKey: 'the first' });
  expect(await client.createOutdial({ name: 'a day' }, { idempotencyKey: 'the first' })).toEqual(outdial);
  expect(await client.outdial(outdial.id)).toEqual(outdial);
  const target = await client.addTarget(outdial.id, { external_id: 'a', destination: { type: 'tel', target: phone(1) } });
  const [lease] = (await client.claim(outdial.id, { limit: 5, dialer: 'me' })).result;
  expect(lease).toMatchObject({ target_id: target.id, dialer: 'me' });
  const outcome = { attempt_id: lease?.attempt_id ?? '', target_id: target.id, outcome: 'answered' };
  expect(await client.report(outdial.id, [outcome])).toMatchObject([{ result: 'recorded', status: 'done', done_reason: 'answered' }]);
  expect(await client.attempts(outdial.id, target.id)).toMatchObject([{ outcome: 'answered' }]);
  expect(await client.target(outdial.id, target.id)).toMatchObject({ status: 'done' });
  expect((await client.progress(outdial.id)).done.answered).toBe(1);
  expect((await all(client.outdials())).map(({ id }) => id)).toContain(outdial.id);
  await expect(client.outdial(target.id)).rejects.toBeInstanceOf(ApiError);
});

test('a file is imported as a stream, listed page by page, and exported', async () => {
  const { id } = await client.createOutdial({ name: 'a file' });
  async function* file(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('name,destination_0\n');
    for (let n = 0; n < 250; n += 1) yield Buffer.from(`n${n},${phone(n)}\n`);
  }
  const lines = await all<ImportLine>(client.importTargets(id, file(), { format: 'csv' }));
  expect(lines).toHaveLength(251);
  expect(lines.at(-1)).toMatchObject({ summary: { total: 250, created: 250 } });
  await eventually(async () => expect(await all(client.targets(id))).toHaveLength(250));
  expect(await all(client.targets(id, { destination: phone(7) }))).toMatchObject([{ name: 'n7' }]);
  const csv = Buffer.concat(await all(client.exportTargets(id, { format: 'csv' }))).toString();
  expect(csv.trimEnd().split('\r\n')).toHaveLength(251);
  const again = await all<ImportLine>(client.importTargets(id, Readable.from([Buffer.from(csv)]), { format: 'csv', results: 'none' }));
  expect(again).toMatchObject([{ summary: { total: 250, duplicates: 250 } }]);
});

test('a file that is refused says so while it is sent', async () => {
  const { id } = await client.createOutdial({ name: 'archived' });
  await client.post(`/outdials/${id}/archive`, {});
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < 2000; n += 1) yield Buffer.alloc(10_000, 'x\n');
  }
  await expect(all(client.importTargets(id, endless(), { format: 'ndjson' }))).rejects.toMatchObject({ reason: 'ARCHIVED' });
});

test('others import it by the package’s name', async () => {
  const script = 'import("outdial/client").then(({ connect }) => console.log(typeof connect))';
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: `${__dirname}/../..` });
  expect(stdout).toBe('function\n');
});
