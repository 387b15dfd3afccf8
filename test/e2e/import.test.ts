/** Adding targets as a stream: NDJSON and CSV of any size, a line of answer for each row. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { bodyOf, errorOf, eventually, listAll, newOutdial, outdialAt, phone, tel } from '../support/api';
import type { Answer, ApiError, Client, Fields, Outdial, WireTarget } from '../support/api';
import { prepareService, useService } from '../support/service';

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
/** A request whose body is still to come. */
const post = (outdial: Outdial, query: Query = {}): ClientRequest =>
  request(outdial.api.locate(`${outdial.path}/targets`, query), {
    method: 'POST',
    headers: { authorization: `Bearer ${outdial.api.token}`, 'content-type': NDJSON },
  });
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
  const result = read(answer.text);
  await seen(outdial, result.summary.consistency_token);
  return result;
}
/** Until the lists show it: the read models may have a large import of another test to fold yet. */
const seen = (outdial: Outdial, token: string | number | undefined): Promise<unknown> =>
  eventually(async () =>
    bodyOf(await api.get(outdial.path + '/progress', { headers: token === undefined ? {} : { 'consistency-token': String(token) } })),
  );
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

  test.each<[string, Query]>([
    ['as it is', {}],
    ['with duplicates updated', { on_duplicate: 'update' }],
    ['with deleted targets added again', { readd: 'true' }],
    ['with both', { on_duplicate: 'update', readd: 'true' }],
  ])('comes to what its dry run told, %s', async (_, query) => {
    const outdial = await newOutdial(api);
    const [live, deleted] = [await outdial.add({ external_id: 'live' }), await outdial.add({ external_id: 'deleted' })];
    bodyOf(await api.del(`${outdial.path}/targets/${deleted.id}`));
    // Far apart as well as side by side: rows are taken in chunks.
    const rows = ['new', 'live', 'new', 'deleted', ...Array.from({ length: 300 }, (_, n) => `n${n}`), 'deleted', 'new', 'n299', 'live'];
    const body = ndjson(rows.map((external_id, n) => ({ external_id, name: `row ${n}`, destination: tel(phone(n)) })));
    const before = await outdial.target(live.id);
    const dry = await run(outdial, NDJSON, body, { ...query, dry_run: 'true' });
    expect(await outdial.target(live.id)).toEqual(before);
    expect((await outdial.progress()).targets.total).toBe(1);
    const real = await run(outdial, NDJSON, body, query);
    expect(dry.lines).toEqual(real.lines);
    const { consistency_token, ...counts } = real.summary;
    expect(dry.summary).toEqual(counts);
    expect(consistency_token).toBeDefined();
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
    bodyOf(await api.del(outdial.path));
    expect(errorOf(await send(outdial, 'text/csv', 'destination_0\n'), 409).reason).toBe('DELETED');
    const another = outdialAt(await service.customer(), outdial.id);
    expect(
      errorOf(await another.api.send('POST', `${another.path}/targets`, '', { headers: { 'content-type': NDJSON } }), 404).reason,
    ).toBe('OUTDIAL_NOT_FOUND');
  });

  test('that is refused is answered though its sender sends everything first', async () => {
    const outdial = await newOutdial(api);
    bodyOf(await api.post(`${outdial.path}/archive`));
    const row = `${JSON.stringify({ destination: tel(phone(1)), data: 'x'.repeat(1000) })}\n`;
    const { host, hostname, port, pathname } = new URL(api.locate(`${outdial.path}/targets`));
    const socket = connect({ host: hostname, port: Number(port) });
    const head = [
      `POST ${pathname} HTTP/1.1`,
      `host: ${host}`,
      `authorization: Bearer ${api.token}`,
      `content-type: ${NDJSON}`,
      `content-length: ${20_000 * row.length}`,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    for (let n = 0; n < 20; n += 1) if (!socket.write(row.repeat(1000))) await once(socket, 'drain');
    const [said] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    const answer = said.toString();
    expect(answer).toMatch(/^HTTP\/1.1 409 /);
    expect(answer).toContain('ARCHIVED');
  });

  test('into an outdial that is archived meanwhile ends with the reason, and keeps what was told', async () => {
    const outdial = await newOutdial(api);
    const sending = post(outdial);
    sending.write(ndjson([{ destination: tel(phone(1)) }]));
    const [answer] = (await once(sending, 'response')) as [IncomingMessage];
    bodyOf(await api.post(`${outdial.path}/archive`));
    sending.end(ndjson([{ destination: tel(phone(2)) }]));
    const [first, last, ...more] = (await text(answer))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Fields);
    expect(first).toMatchObject({ row: 1, result: 'created' });
    expect(last).toMatchObject({ error: { status: 'CONFLICT', reason: 'ARCHIVED' } });
    expect(more).toEqual([]);
    expect((await outdial.progress()).targets.total).toBe(1);
  });

  test('tells what became of each row before the next one is sent', async () => {
    const outdial = await newOutdial(api);
    const sending = post(outdial);
    const said: string[] = [];
    sending.write(ndjson([{ destination: tel(phone(0)) }]));
    const [answer] = (await once(sending, 'response')) as [IncomingMessage];
    answer.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    for (let n = 1; n < 4; n += 1) {
      await eventually(async () => expect(said.join('').match(/created/g)).toHaveLength(n));
      sending.write(ndjson([{ destination: tel(phone(n)) }]));
    }
    sending.end();
    await once(answer, 'end');
    expect(read(said.join('')).summary).toMatchObject({ total: 4, created: 4 });
  });

  test('takes no notice of an Idempotency-Key', async () => {
    const outdial = await newOutdial(api);
    const headers = { 'content-type': NDJSON, 'idempotency-key': 'the same' };
    const results: string[] = [];
    for (const row of [phone(1), phone(1), phone(2)]) {
      const answer = await api.send('POST', `${outdial.path}/targets`, ndjson([{ destination: tel(row) }]), { headers });
      results.push(String(read(bodyOf({ ...answer, body: answer.text })).lines[0]?.result));
    }
    expect(results).toEqual(['created', 'duplicate', 'created']);
  });

  test('goes on while dialers are served', async () => {
    const outdial = await newOutdial(api);
    const sending = post(outdial, { results: 'none' });
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    const rows = (from: number): string => ndjson(Array.from({ length: 2000 }, (_, n) => ({ destination: tel(phone(from + n)) })));
    sending.write(rows(0));
    await eventually(async () => expect((await outdial.claim({ limit: 1 })).result).toHaveLength(1));
    let claimed = 1;
    for (let n = 1; n <= 10; n += 1) {
      sending.write(rows(n * 2000));
      claimed += (await outdial.claim({ limit: 10 })).result.length;
    }
    sending.end();
    const [answer] = await answered;
    const { summary } = read(await text(answer));
    await seen(outdial, summary.consistency_token);
    expect(summary).toMatchObject({ total: 22_000, created: 22_000 });
    expect(claimed).toBe(101);
    expect((await outdial.progress()).targets).toEqual({ total: 22_000, idle: 22_000 - 101, progressing: 101, done: 0 });
  });

  test.each([
    ['in another alphabet', { 'content-type': 'text/csv; charset=iso-8859-1' }],
    ['compressed', { 'content-type': 'text/csv', 'content-encoding': 'gzip' }],
    ['of another type', { 'content-type': 'application/vnd.ms-excel' }],
  ])('%s is refused', async (_, headers) => {
    const outdial = await newOutdial(api);
    errorOf(await api.send('POST', `${outdial.path}/targets`, 'destination_0\n', { headers }), 415);
    errorOf(await api.send('POST', `${outdial.path}/leases`, '{"limit":1}', { headers: { 'content-type': 'text/csv' } }), 415);
  });

  test('is what a dry run is for: of JSON it is refused, not run', async () => {
    const outdial = await newOutdial(api);
    const answer = await api.post(`${outdial.path}/targets`, { targets: [{ destination: tel(phone(1)) }] }, { query: { dry_run: true } });
    expect(errorOf(answer, 400).details[0]?.field).toBe('dry_run');
    expect((await outdial.progress()).targets.total).toBe(0);
  });

  test('that is cut off in the middle is completed by sending it again', async () => {
    const outdial = await newOutdial(api);
    const rows = Array.from({ length: 5000 }, (_, n) => ({ external_id: `t${n}`, destination: tel(phone(n)) }));
    const cut = post(outdial);
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
    const size = 80_000;
    const sending = post(outdial);
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
    const said = await text(answer);
    expect(said.length).toBeGreaterThan(20_000_000);
    const result = read(said);
    expect(result.summary).toMatchObject({ total: size, created: size });
    expect(result.lines).toHaveLength(size);
    await seen(outdial, result.summary.consistency_token);
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

  test('ends where it cannot be read on, says where, and keeps the rows before', async () => {
    const outdial = await newOutdial(api);
    // Much more follows, of which nothing can be told any more; it must not keep its sender from reading why.
    const rest = `+15550000009,${'x'.repeat(1000)}\n`.repeat(20_000);
    const answer = await send(outdial, 'text/csv', `destination_0,name\n+15550000001,a\n+15550000002,b\n+15550000003,"c\n${rest}`);
    bodyOf(answer);
    const lines = answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Fields);
    expect(lines).toMatchObject([
      { row: 1, result: 'created' },
      { row: 2, result: 'created' },
      { error: { status: 'INVALID_ARGUMENT', details: [{ field: 'row 3' }] } },
    ]);
    await eventually(async () => expect((await outdial.progress()).targets.total).toBe(2));
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

/** Read models on a stand-in are built a tenth as fast, and an import stays near them. */
const MANY = process.env.STAND_INS ? 40_000 : 200_000;

describe(`an import of ${MANY.toLocaleString('en')} rows`, () => {
  test('takes no memory that grows with it', async () => {
    // A heap that could not hold them: to keep them would end the service.
    const small = await prepareService({ NODE_OPTIONS: '--max-old-space-size=160' });
    try {
      await small.start();
      const outdial = await newOutdial(small.admin);
      const rss = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${small.pid}/status`, 'utf8'))?.[1]) * 1024;
      const before = rss();
      const sending = post(outdial);
      const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
      for (let from = 0; from < MANY; from += 1000) {
        const rows = Array.from({ length: 1000 }, (_, n) => ({ destination: tel(phone(from + n)), data: 'x'.repeat(1000) }));
        if (!sending.write(ndjson(rows))) await once(sending, 'drain');
      }
      sending.end();
      const [answer] = await answered;
      const { summary } = read(await text(answer));
      expect(summary).toMatchObject({ total: MANY, created: MANY });
      // The caches of SQLite fill up to 224 MB. The rows alone are 220 MB of text, several times as much as objects.
      expect(rss() - before).toBeLessThan(600 * 1024 * 1024);
      expect(await small.stop()).toBe(0);
    } finally {
      await small.dispose();
    }
  }, 120_000);
});
