/** Adding targets as a stream: NDJSON and CSV of any size, a line of answer for each row. */
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { bodyOf, errorOf, listAll, newOutdial, phone, tel } from '../support/api';
import type { Answer, ApiError, Client, Fields, Outdial, WireTarget } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

interface Line {
  readonly row: number;
  readonly result: string;
  readonly id?: string;
  readonly external_id?: string;
  readonly deleted?: boolean;
  readonly details?: ApiError['details'];
}
interface Import {
  readonly lines: readonly Line[];
  readonly summary: Readonly<Record<string, number | string>>;
}
type Query = Readonly<Record<string, string>>;

const NDJSON = 'application/x-ndjson';
const send = (outdial: Outdial, type: string, body: string | Uint8Array<ArrayBuffer>, query: Query = {}): Promise<Answer<unknown>> =>
  api.send('POST', `${outdial.path}/targets`, body, { query, headers: { 'content-type': type } });
function read(answer: string): Import {
  const lines = answer
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line & { summary?: Import['summary'] });
  const summary = lines.at(-1)?.summary;
  if (!summary) throw new Error(`the answer does not end with a summary: ${answer.slice(-1000)}`);
  return { lines: lines.slice(0, -1), summary };
}
async function run(outdial: Outdial, type: string, body: string | Uint8Array<ArrayBuffer>, query: Query = {}): Promise<Import> {
  const answer = await send(outdial, type, body, query);
  bodyOf(answer);
  return read(answer.text);
}
const ndjson = (rows: readonly Fields[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const targets = (outdial: Outdial): Promise<readonly WireTarget[]> => listAll<WireTarget>(api, `${outdial.path}/targets`);
const fates = ({ lines }: Import): readonly (readonly [number, string])[] => lines.map(({ row, result }) => [row, result]);

describe('an NDJSON import', () => {
  test('answers a line for each row in order, and a summary', async () => {
    const outdial = await newOutdial(api);
    const known = await outdial.add({ destination: tel(phone(1)) });
    const answer = await send(
      outdial,
      NDJSON,
      ndjson([
        { external_id: 'a', destination: tel(phone(10)), priority: 5 },
        { destination: tel('+1 555 0000001') },
        { destination: tel('12') },
        { external_id: 'a', destination: tel(phone(11)) },
      ]) + '{"destination":\n',
    );
    expect(answer.headers.get('content-type')).toMatch(/^application\/x-ndjson/);
    const result = read(answer.text);
    expect(fates(result)).toEqual([
      [1, 'created'],
      [2, 'duplicate'],
      [3, 'invalid'],
      [4, 'duplicate'],
      [5, 'invalid'],
    ]);
    expect(result.lines[0]).toMatchObject({ external_id: 'a' });
    expect(result.lines[1]).toMatchObject({ id: known.id });
    expect(result.lines[2]?.details?.[0]?.field).toContain('destination.target');
    expect(result.lines[3]?.id).toBe(result.lines[0]?.id);
    expect(result.summary).toMatchObject({ total: 5, created: 1, duplicates: 2, invalid: 2 });
    expect(await targets(outdial)).toHaveLength(2);
  });

  test('may end without a line break, and have empty lines and CRLF', async () => {
    const outdial = await newOutdial(api);
    const result = await run(
      outdial,
      NDJSON,
      `${JSON.stringify({ destination: tel(phone(1)) })}\r\n\r\n${JSON.stringify({ destination: tel(phone(2)) })}`,
    );
    expect(result.summary).toMatchObject({ created: 2, invalid: 0 });
  });

  test('of nothing is a summary of nothing', async () => {
    expect((await run(await newOutdial(api), NDJSON, '')).summary).toMatchObject({ total: 0, created: 0 });
  });

  test.each([
    ['all', ['created', 'duplicate', 'invalid']],
    ['refused', ['duplicate', 'invalid']],
    ['none', []],
  ])('answers the lines that are asked for: %s', async (results, expected) => {
    const outdial = await newOutdial(api);
    const rows = [{ destination: tel(phone(1)) }, { destination: tel(phone(1)) }, { destination: tel('1') }];
    const result = await run(outdial, NDJSON, ndjson(rows), { results });
    expect(result.lines.map((line) => line.result)).toEqual(expected);
    expect(result.summary).toMatchObject({ total: 3, created: 1, duplicates: 1, invalid: 1 });
  });

  test('refuses parameters that it does not know', async () => {
    const outdial = await newOutdial(api);
    expect(errorOf(await send(outdial, NDJSON, '', { results: 'some' }), 400).details[0]?.field).toBe('results');
    expect(errorOf(await send(outdial, NDJSON, '', { dry_run: 'perhaps' }), 400).details[0]?.field).toBe('dry_run');
  });

  test('changes nothing when it is a dry run, and tells what would have been', async () => {
    const outdial = await newOutdial(api);
    await outdial.add({ destination: tel(phone(1)) });
    const rows = ndjson([
      { destination: tel(phone(1)) },
      { destination: tel(phone(2)) },
      { destination: tel(phone(2)) },
      { destination: tel('1') },
    ]);
    const dry = await run(outdial, NDJSON, rows, { dry_run: 'true' });
    expect(await targets(outdial)).toHaveLength(1);
    expect((await outdial.progress()).targets.total).toBe(1);
    const real = await run(outdial, NDJSON, rows);
    expect(fates(dry)).toEqual(fates(real));
  });

  test('sent again doubles nothing', async () => {
    const outdial = await newOutdial(api);
    const body = ndjson(Array.from({ length: 500 }, (_, n) => ({ external_id: `t${n}`, destination: tel(phone(n)) })));
    expect((await run(outdial, NDJSON, body)).summary).toMatchObject({ created: 500 });
    expect((await run(outdial, NDJSON, body)).summary).toMatchObject({ created: 0, duplicates: 500 });
    expect((await outdial.progress()).targets.total).toBe(500);
  });

  test('updates duplicates when asked to, and keeps their counts', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0 });
    await run(outdial, NDJSON, ndjson([{ external_id: 'a', name: 'old', destination: tel(phone(1)) }]));
    const lease = await outdial.lease();
    await outdial.report(lease, 'busy');
    const again = await run(outdial, NDJSON, ndjson([{ external_id: 'a', name: 'new', destination: tel(phone(1)) }]), {
      on_duplicate: 'update',
    });
    expect(fates(again)).toEqual([[1, 'updated']]);
    expect(await outdial.target(lease.target_id)).toMatchObject({ name: 'new', try_count_0: 1 });
  });

  test('never revives a deleted target unless it says so', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add({ destination: tel(phone(1)) });
    bodyOf(await api.del(`${outdial.path}/targets/${target.id}`));
    const body = ndjson([{ destination: tel(phone(1)) }]);
    expect((await run(outdial, NDJSON, body)).lines).toEqual([{ row: 1, result: 'duplicate', id: target.id, deleted: true }]);
    expect(await targets(outdial)).toEqual([]);
    expect((await run(outdial, NDJSON, body, { readd: 'true' })).lines).toMatchObject([{ result: 'created', id: target.id }]);
    expect(await targets(outdial)).toHaveLength(1);
  });

  test('into an outdial that takes no targets is refused before it begins', async () => {
    const outdial = await newOutdial(api);
    bodyOf(await api.post(`${outdial.path}/archive`));
    expect(errorOf(await send(outdial, NDJSON, ndjson([{ destination: tel(phone(1)) }])), 409).reason).toBe('ARCHIVED');
  });

  test('that is cut off in the middle is completed by sending it again', async () => {
    const outdial = await newOutdial(api);
    const rows = Array.from({ length: 5000 }, (_, n) => ({ external_id: `t${n}`, destination: tel(phone(n)) }));
    const cut = request(api.locate(`${outdial.path}/targets`), {
      method: 'POST',
      headers: { authorization: `Bearer ${api.token}`, 'content-type': NDJSON },
    });
    cut.on('error', () => undefined);
    cut.write(ndjson(rows.slice(0, 3000)));
    const [answer] = (await once(cut, 'response')) as [IncomingMessage];
    answer.on('error', () => undefined);
    await once(answer, 'data');
    cut.destroy();
    const result = await run(outdial, NDJSON, ndjson(rows), { results: 'none' });
    expect(result.summary).toMatchObject({ total: 5000, invalid: 0 });
    expect(Number(result.summary.created) + Number(result.summary.duplicates)).toBe(5000);
    expect(Number(result.summary.duplicates)).toBeGreaterThan(0);
    expect((await outdial.progress()).targets.total).toBe(5000);
  });

  test('is read to its end by the service though nobody reads the answer meanwhile', async () => {
    const outdial = await newOutdial(api);
    const size = 60_000;
    const sending = request(api.locate(`${outdial.path}/targets`), {
      method: 'POST',
      headers: { authorization: `Bearer ${api.token}`, 'content-type': NDJSON },
    });
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    // Each row comes with a long id, so that the answer is larger than all buffers between the two.
    const filler = 'x'.repeat(180);
    for (let n = 0; n < size; n += 1000) {
      const rows = Array.from({ length: 1000 }, (_, k) => ({ external_id: `${filler}${n + k}`, destination: tel(phone(n + k)) }));
      if (!sending.write(ndjson(rows))) await once(sending, 'drain');
    }
    sending.end();
    await once(sending, 'finish');
    const [answer] = await answered;
    const result = read(await text(answer));
    expect(result.summary).toMatchObject({ total: size, created: size });
    expect(result.lines).toHaveLength(size);
  }, 60_000);
});

describe('a CSV import', () => {
  const csv = (...lines: readonly string[]): string => `${lines.join('\n')}\n`;

  test('has columns for everything, in any order', async () => {
    const outdial = await newOutdial(api);
    const result = await run(
      outdial,
      'text/csv',
      csv(
        'priority,destination_1,external_id,name,detail,data,destination_0,destination_0_name,destination_1_type,try_count_max,try_count_max_1',
        '7,user@example.com,crm-1,John,a lead,"{""a"":1}",+1 555 0000001,mobile,email,4,1',
        ',,crm-2,Jane,,,sips:jane@example.com,,,,',
        ',,crm-3,Bob,,,bob@example.com,,,,',
      ),
    );
    expect(fates(result)).toEqual([
      [1, 'created'],
      [2, 'created'],
      [3, 'created'],
    ]);
    const [bob, jane, john] = await targets(outdial);
    expect(john).toMatchObject({
      external_id: 'crm-1',
      name: 'John',
      detail: 'a lead',
      data: '{"a":1}',
      priority: 7,
      destination_0: { type: 'tel', target: phone(1), name: 'mobile' },
      destination_1: { type: 'email', target: 'user@example.com' },
      try_count_max: 4,
      try_count_max_1: 1,
    });
    expect(jane).toMatchObject({
      destination_0: { type: 'sip', target: 'sips:jane@example.com' },
      destination_1: null,
      priority: 0,
      try_count_max: null,
    });
    expect(bob).toMatchObject({ destination_0: { type: 'email', target: 'bob@example.com' } });
  });

  test('may have a byte order mark, CRLF, and line breaks and commas within quotes', async () => {
    const outdial = await newOutdial(api);
    const result = await run(
      outdial,
      'text/csv',
      `\uFEFFname,destination_0\r\n"Smith, ""J""\r\nand son",+15550000001\r\nplain,+15550000002`,
    );
    expect(result.summary).toMatchObject({ total: 2, created: 2 });
    expect((await targets(outdial)).map(({ name }) => name)).toEqual(['plain', 'Smith, "J"\r\nand son']);
  });

  test('counts its rows from 1 without the header, and spoils none for another', async () => {
    const outdial = await newOutdial(api);
    const result = await run(
      outdial,
      'text/csv',
      csv('destination_0,priority', '+15550000001,', 'nonsense,', '+15550000003,many', '+15550000004,1'),
    );
    expect(fates(result)).toEqual([
      [1, 'created'],
      [2, 'invalid'],
      [3, 'invalid'],
      [4, 'created'],
    ]);
    expect(result.lines[1]?.details?.[0]?.field).toContain('destination_0');
    expect(result.lines[2]?.details?.[0]?.field).toBe('priority');
  });

  test('refuses columns that it does not know, unless they are to be ignored', async () => {
    const outdial = await newOutdial(api);
    const body = csv('destination_0,shoe_size', '+15550000001,43');
    const error = errorOf(await send(outdial, 'text/csv', body), 400);
    expect(JSON.stringify(error)).toContain('shoe_size');
    expect(await targets(outdial)).toEqual([]);
    expect((await run(outdial, 'text/csv', body, { ignore_unknown: 'true' })).summary).toMatchObject({ created: 1 });
  });

  test.each([
    ['an unclosed quote', 'destination_0,name\n+15550000001,"open'],
    ['a row that is too long', 'destination_0,name\n+15550000001,a,b,c\n'],
    ['the same column twice', 'destination_0,destination_0\n+15550000001,+15550000002\n'],
    ['no header', '\n\n'],
    ['zero bytes', '\0\0\0\0\n\0\0'],
  ])('with %s never is an error of the service', async (_, body) => {
    const outdial = await newOutdial(api);
    const answer = await send(outdial, 'text/csv', body);
    expect(answer.status).toBeLessThan(500);
    const last = JSON.parse(answer.text.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
    expect(Object.keys(last)).toEqual([expect.stringMatching(/^(summary|error)$/)]);
  });
});
