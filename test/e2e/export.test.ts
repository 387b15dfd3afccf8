/** An outdial's targets as a file, and back. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { bodyOf, errorOf, eventually, listAll, newOutdial, outdialAt, phone, tel } from '../support/api';
import type { Client, Fields, Outdial, WireTarget } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

async function exported(outdial: Outdial, accept: string): Promise<{ readonly file: string; readonly type: string }> {
  const answer = await outdial.api.get(`${outdial.path}/targets/export`, { headers: { accept } });
  bodyOf(answer);
  return { file: answer.text, type: answer.headers.get('content-type') ?? '' };
}
async function imported(outdial: Outdial, file: string, type: string): Promise<void> {
  const answer = await api.send('POST', `${outdial.path}/targets`, file, { headers: { 'content-type': type } });
  bodyOf(answer);
  const { summary } = JSON.parse(answer.text.trimEnd().split('\n').at(-1) ?? '') as { summary: Record<string, number | string> };
  expect(summary).toMatchObject({ duplicates: 0, invalid: 0 });
  const headers = { 'consistency-token': String(summary.consistency_token) };
  await eventually(async () => bodyOf(await api.get(`${outdial.path}/progress`, { headers })));
}
/** What a target's owner said of it. */
const said = (target: WireTarget): Fields => {
  const own = Object.entries(target).filter(([name]) =>
    /^(external_id|name|detail|data|priority|destination_\d|try_count_max.*)$/.test(name),
  );
  return Object.fromEntries(own);
};

describe.each(['text/csv', 'application/x-ndjson'])('an export as %s', (type) => {
  test('can be imported again, to equal targets in the same order', async () => {
    const outdial = await newOutdial(api);
    const address = { ...tel(phone(1)), target_name: '', name: 'mobile, "old"', detail: 'line\r\nline' };
    await outdial.add({
      external_id: '=1+1',
      name: 'Ünïcödé 😀 "quoted"',
      detail: ' spaces ',
      data: '{"a":"b,c"}',
      priority: -7,
      destination_2: address,
    });
    await outdial.add({
      destination_0: tel(phone(2)),
      destination_4: { type: 'email', target: 'a@example.com' },
      try_count_max: 7,
      try_count_max_4: 0,
    });
    await outdial.add({ destination_1: { type: 'sip', target: 'sips:b@example.com' } });
    const { file, type: answered } = await exported(outdial, type);
    expect(answered.startsWith(type)).toBe(true);
    const copy = await newOutdial(api);
    await imported(copy, file, type);
    const given = await listAll<WireTarget>(api, `${outdial.path}/targets`);
    const got = await listAll<WireTarget>(api, `${copy.path}/targets`);
    expect(got.map(said)).toEqual(given.map(said));
    expect((await exported(copy, type)).file).toBe(file);
  });

  test('has every target of a long list once, and none that is deleted', async () => {
    const outdial = await newOutdial(api);
    const rows = Array.from({ length: 2600 }, (_, n) => ({ external_id: `row-${n}`, destination: tel(phone(n)) }));
    await imported(outdial, rows.map((row) => `${JSON.stringify(row)}\n`).join(''), 'application/x-ndjson');
    const [newest] = await listAll<WireTarget>(api, `${outdial.path}/targets`);
    bodyOf(await api.del(`${outdial.path}/targets/${newest?.id ?? ''}`));
    const { file } = await exported(outdial, type);
    const ids = [...file.matchAll(/row-\d+/g)].map(([id]) => id);
    expect(ids).toEqual(rows.slice(0, -1).map(({ external_id }) => external_id));
  });

  test('of nothing has no rows', async () => {
    const { file } = await exported(await newOutdial(api), type);
    expect(file.split('\n').filter((line) => line !== '')).toHaveLength(type === 'text/csv' ? 1 : 0);
  });
});

test('another customer’s outdial is not exported', async () => {
  const { id } = await newOutdial(api);
  const another = outdialAt(await service.customer(), id);
  expect(errorOf(await another.api.get(`${another.path}/targets/export`), 404).reason).toBe('OUTDIAL_NOT_FOUND');
});

test('a client that leaves in the middle, or reads nothing, is no trouble', async () => {
  const outdial = await newOutdial(api);
  const rows = Array.from({ length: 10_000 }, (_, n) => ({ destination: tel(phone(n)), data: 'x'.repeat(2000) }));
  await imported(outdial, rows.map((row) => `${JSON.stringify(row)}\n`).join(''), 'application/x-ndjson');
  const begin = async (): Promise<IncomingMessage> => {
    const asked = request(api.locate(`${outdial.path}/targets/export`), { headers: { authorization: `Bearer ${api.token}` } });
    asked.on('error', () => undefined).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return answer.on('error', () => undefined);
  };
  const [leaving, idle] = [await begin(), await begin()];
  await once(leaving, 'data');
  leaving.destroy();
  expect((await exported(outdial, 'text/csv')).file.trimEnd().split('\n')).toHaveLength(10_001);
  idle.destroy();
});
