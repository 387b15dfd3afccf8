/**
 * Whatever is sent, the answer says what is wrong with it; nothing of it is done, and nothing of it is the service's own failure.
 */
import fc from 'fast-check';
import { bodyOf, differences, errorOf, listAll, newOutdial, newOutplan, nextPhone, phone, tel } from '../support/api';
import type { Added, Answer, Client, Fate, Fields, Outdial } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
let outdial: Outdial;
/** What stands for the {names} in the paths below. */
let ids: Readonly<Record<string, string>>;

beforeAll(async () => {
  api = await service.customer();
  const plan = await newOutplan(api, { try_interval: 0 });
  outdial = await newOutdial(api, { outplan_id: plan.id });
  const target = await outdial.add({ destination_0: tel(nextPhone()), destination_1: tel(nextPhone()) });
  const { attempt_id } = await outdial.lease({ lease_seconds: 3600 });
  const key = bodyOf(await api.post<{ id: string }>('/accesskeys', { name: 'k', detail: '', expire: 3600 }), 201);
  ids = { outdial: outdial.id, target: target.id, attempt: attempt_id, outplan: plan.id, accesskey: key.id };
});

const filled = (path: string, others: Readonly<Record<string, string>> = {}): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => others[name] ?? ids[name] ?? '');

/** Everything that a request could have changed. */
async function everything(): Promise<unknown> {
  const { tm: _, ...progress } = await outdial.progress();
  const revision = (await api.get(filled('/outdials/{outdial}/targets/{target}'))).headers.get('etag');
  const lists = await Promise.all(['/outdials', '/outplans', '/accesskeys', `${outdial.path}/targets`].map((list) => listAll(api, list)));
  return { lists, progress, revision, attempts: await outdial.attempts(String(ids.target)) };
}

const LETTERS = { 'content-type': 'application/json' };
const sendText = (client: Client, method: string, path: string, body: string | Uint8Array<ArrayBuffer>): Promise<Answer<unknown>> =>
  client.send(method, path, body, { headers: LETTERS });

// ---------------------------------------------------------------- what each route takes

const notText = [5, true, [], {}, ['x']];
const notAnId = ['x', '', 5, [], {}, '11111111-1111-4111-8111-11111111111', '11111111111141118111111111111111 '];
const integer = (min: number, max?: number): readonly unknown[] => [
  min - 1,
  min - 1e9,
  ...(max === undefined ? [] : [max + 1, 1e9, 1e300]),
  min + 0.5,
  '3',
  '',
  true,
  [],
  [3],
  {},
];
const notAList = [5, 'x', true, {}, null];
const notAnAddress = [
  5,
  'x',
  true,
  [],
  {},
  { type: 'tel' },
  { target: '+15551234567' },
  { type: 'tel', target: '12' },
  { type: 'tel', target: 5 },
  { type: 5, target: '+15551234567' },
  { type: 'fax', target: '+15551234567' },
  { type: 'tel', target: '+15551234567', name: 5 },
];
const notAMoment = ['x', '', 5, true, [], {}, '2024-02-30 00:00:00.000000'];
const notAMap = [5, 'x', true, [], { answered: {} }, { busy: { interval: -1 } }, { busy: { retry: 'no' } }, { engaged: {} }, { busy: [] }];
const limits = Object.fromEntries([0, 1, 2, 3, 4].map((n) => [`try_count_max_${n}`, integer(0, 100)]));
const dialInfo = {
  source: notAnAddress,
  dial_timeout: integer(0),
  try_interval: integer(0),
  ...Object.fromEntries([0, 1, 2, 3, 4].map((n) => [`max_try_count_${n}`, integer(0, 100)])),
  retry: notAMap,
};
const outdialFields = { name: notText, detail: notText, data: notText, campaign_id: notAnId, outplan_id: notAnId };
const targetFields = {
  name: notText,
  detail: notText,
  data: notText,
  priority: integer(-100, 100),
  try_count_max: integer(0, 100),
  ...limits,
};
const A_TARGET = { destination_0: tel('+15559999999') };

interface Route {
  readonly method: 'POST' | 'PUT';
  readonly path: string;
  /** A body that would be taken. */
  readonly body: Fields;
  /** Wrong values, field by field. */
  readonly wrong: Readonly<Record<string, readonly unknown[]>>;
  /** Who sends it, when it is not a customer. */
  readonly by?: 'admin' | 'nobody';
}

const routes: readonly Route[] = [
  { method: 'POST', path: '/outdials', body: { name: 'x' }, wrong: outdialFields },
  { method: 'PUT', path: '/outdials/{outdial}', body: {}, wrong: outdialFields },
  { method: 'PUT', path: '/outdials/{outdial}/campaign_id', body: {}, wrong: { campaign_id: notAnId } },
  { method: 'PUT', path: '/outdials/{outdial}/data', body: {}, wrong: { data: notText } },
  { method: 'POST', path: '/outplans', body: { name: 'x' }, wrong: { name: notText, detail: notText, ...dialInfo } },
  { method: 'PUT', path: '/outplans/{outplan}', body: {}, wrong: { name: notText, detail: notText, ...dialInfo } },
  { method: 'PUT', path: '/outplans/{outplan}/dial_info', body: {}, wrong: dialInfo },
  {
    method: 'POST',
    path: '/outdials/{outdial}/targets',
    body: A_TARGET,
    wrong: { ...targetFields, external_id: notText, destination_0: notAnAddress, destination_3: notAnAddress },
  },
  { method: 'POST', path: '/outdials/{outdial}/targets', body: {}, wrong: { targets: notAList, destination: notAnAddress } },
  {
    method: 'PUT',
    path: '/outdials/{outdial}/targets/{target}',
    body: {},
    wrong: { ...targetFields, destination_3: notAnAddress, tm_next_try: notAMoment },
  },
  { method: 'POST', path: '/outdials/{outdial}/targets/{target}/cancel', body: {}, wrong: { reason: notText } },
  { method: 'POST', path: '/outdials/{outdial}/targets/{target}/destinations/0/exhaust', body: {}, wrong: { reason: notText } },
  {
    method: 'POST',
    path: '/outdials/{outdial}/leases',
    body: { limit: 1 },
    wrong: { limit: integer(1, 1000), lease_seconds: integer(1, 86_400), dialer: notText, outplan_id: notAnId },
  },
  {
    method: 'POST',
    path: '/outdials/{outdial}/leases/extend',
    body: { attempts: [], lease_seconds: 60 },
    wrong: { attempts: [...notAList, [5], [{}], [{ attempt_id: 'x', target_id: 'y' }]], lease_seconds: integer(1, 86_400) },
  },
  { method: 'POST', path: '/outdials/{outdial}/leases/release', body: {}, wrong: { attempts: [...notAList, ['x'], [null], [{}]] } },
  { method: 'POST', path: '/outdials/{outdial}/outcomes', body: {}, wrong: { outcomes: notAList } },
  {
    method: 'POST',
    path: '/outdials/{outdial}/targets/{target}/attempts',
    body: {},
    wrong: { destination_index: integer(0, 4), lease_seconds: integer(1, 86_400), dialer: notText },
  },
  {
    method: 'PUT',
    path: '/outdials/{outdial}/targets/{target}/attempts/{attempt}',
    body: { outcome: 'busy' },
    wrong: { outcome: [5, '', 'engaged', 'released', null, [], {}], disposition: notText, detail: notText, tm_end: notAMoment },
  },
  {
    method: 'POST',
    path: '/accesskeys',
    body: { name: 'x', detail: '', expire: 60 },
    wrong: { name: notText, detail: notText, expire: integer(1) },
  },
  {
    method: 'POST',
    path: '/customers',
    body: { name: 'x', detail: '', username: 'never-created', password: 'never used at all' },
    wrong: { name: notText, detail: notText, username: [...notText, ''], password: [...notText, ''] },
    by: 'admin',
  },
  { method: 'PUT', path: '/password', body: { old: 'x', new: 'y' }, wrong: { old: notText, new: [...notText, ''] } },
];

const client = ({ by }: Route): Client => (by === 'admin' ? service.admin : api);
const named = routes.map((route) => ({ name: `${route.method} ${route.path}`, route }));

describe.each(named)('$name', ({ route }) => {
  const send = (body: string | Uint8Array<ArrayBuffer>): Promise<Answer<unknown>> =>
    sendText(client(route), route.method, filled(route.path), body);
  const firstField = Object.keys(route.wrong)[0] ?? '';

  test.each(Object.keys(route.wrong))('names the field %s when it is wrong, and does nothing', async (field) => {
    const before = await everything();
    const misjudged: unknown[] = [];
    for (const value of route.wrong[field] ?? []) {
      const answer = await send(JSON.stringify({ ...route.body, [field]: value }));
      const fields = answer.status === 400 ? errorOf(answer, 400).details.map((detail) => detail.field) : [];
      const parts = fields.flatMap((name) => name.split(/[.[\]]+/));
      if (!parts.includes(field)) misjudged.push({ value, status: answer.status, text: answer.text.slice(0, 300) });
    }
    expect(misjudged).toEqual([]);
    expect(await everything()).toEqual(before);
  });

  test('names a field that it does not know, though everything else is right', async () => {
    const before = await everything();
    const error = errorOf(await send(JSON.stringify({ ...route.body, [`${firstField}_`]: 'x' })), 400);
    expect(error).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_ARGUMENT' });
    expect(error.details.map((detail) => detail.field)).toContain(`${firstField}_`);
    expect(await everything()).toEqual(before);
  });

  test.each([
    ['half an object', '{"name": "x"'],
    ['two objects', '{} {}'],
    ['a word', 'name'],
    ['single quotes', "{'name': 'x'}"],
    ['a trailing comma', '{"name": "x",}'],
    ['NaN', '{"name": NaN}'],
    ['text that is no UTF-8', Uint8Array.from([...Buffer.from('{"'), 0xc3, 0x28, ...Buffer.from('": "x"}')])],
  ])('takes no %s for JSON', async (_, body) => {
    expect(errorOf(await send(body), 400)).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_JSON_BODY' });
  });

  test.each(['[]', '[{}]', '"text"', '5', 'true', 'null'])('wants an object, not %s', async (body) => {
    expect(errorOf(await send(body), 400).status).toBe('INVALID_ARGUMENT');
  });

  test('is not led astray by what JavaScript makes of names', async () => {
    const before = await everything();
    const attempts = [
      { text: '{"__proto__": {"admin": true}, "constructor": {"prototype": {"admin": true}}}' },
      { text: '{"__proto__": null}' },
      { text: '{"toString": "x", "hasOwnProperty": "y", "valueOf": 5}' },
      { text: '{"constructor": "x"}' },
    ];
    for (const { text } of attempts) expect((await send(text)).status).toBe(400);
    expect(await everything()).toEqual(before);
  });

  test('is not overcome by depth', async () => {
    const before = await everything();
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const answer = await send(`{${JSON.stringify(firstField)}: ${deep}}`);
    expect(answer.status).toBe(400);
    expect(await everything()).toEqual(before);
  });
});

// ---------------------------------------------------------------- ids and parameters

const idRoutes = [
  'GET /outdials/{outdial}',
  'DELETE /outdials/{outdial}',
  'POST /outdials/{outdial}/pause',
  'POST /outdials/{outdial}/resume',
  'POST /outdials/{outdial}/archive',
  'GET /outdials/{outdial}/progress',
  'GET /outdials/{outdial}/targets',
  'GET /outdials/{outdial}/attempts',
  'GET /outdials/{outdial}/targets/{target}',
  'DELETE /outdials/{outdial}/targets/{target}',
  'GET /outdials/{outdial}/targets/{target}/attempts',
  'GET /outplans/{outplan}',
  'DELETE /outplans/{outplan}',
  'GET /accesskeys/{accesskey}',
  'DELETE /accesskeys/{accesskey}',
  ...named.filter(({ route }) => route.path.includes('{')).map(({ name }) => name),
];

describe.each([...new Set(idRoutes)])('the ids in %s', (name) => {
  const [method = '', path = ''] = name.split(' ');
  const bodies = routes.find((route) => `${route.method} ${route.path}` === name)?.body;
  const ask = (others: Readonly<Record<string, string>>): Promise<Answer<unknown>> =>
    bodies === undefined ? api.send(method, filled(path, others)) : sendText(api, method, filled(path, others), JSON.stringify(bodies));

  test.each([...path.matchAll(/\{(\w+)\}/g)].map(([, placeholder]) => placeholder ?? ''))('are UUIDs: {%s}', async (placeholder) => {
    const before = await everything();
    const malformed = [
      'x',
      '0',
      '-1',
      'null',
      'undefined',
      '%00',
      '%F0%9F%92%A9',
      '..%2f..%2fetc',
      "'%20OR%201=1",
      'g'.repeat(36),
      'a'.repeat(5000),
    ];
    for (const wrong of malformed) {
      const answer = await ask({ [placeholder]: wrong });
      // A path may also be too long to be looked at.
      if (wrong.length < 1000) expect(errorOf(answer, 400)).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_ID' });
      else expect([400, 404, 414]).toContain(answer.status);
    }
    expect(await everything()).toEqual(before);
  });
});

test.each([
  ['/outdials/{outdial}/targets?status=new', 'status'],
  ['/outdials/{outdial}/targets?page_token=x', 'page_token'],
  ['/outdials/{outdial}/attempts?open=perhaps', 'open'],
  ['/outplans?page_token=x', 'page_token'],
  ['/accesskeys?page_token=x', 'page_token'],
])('the parameter of GET %s is named', async (path, field) => {
  const error = errorOf(await api.get(filled(path)), 400);
  expect(error).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_REQUEST_PARAMETER' });
  expect(error.details.map((detail) => detail.field)).toEqual([field]);
});

test.each(['/v1.0/outdials/%', '/v1.0/outdials/%E0%A4%A', '/v1.0//outdials', '/%00', '/v1.0/../v1.0/x'])(
  'the path %s is refused like any other',
  async (path) => {
    const answer = await service.root.get(path, { headers: { authorization: `Bearer ${api.token}` } });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
  },
);

// ---------------------------------------------------------------- text

describe('text that cannot be kept as it is', () => {
  const texts = ['{"NUL": "a\\u0000b"}', '{"lone": "a\\ud800b"}', '{"lone": "\\udc00"}'].map((text) => ({
    text,
    value: Object.values(JSON.parse(text) as Record<string, string>)[0] ?? '',
  }));
  /** JSON.stringify escapes lone surrogates, so that they arrive as they were meant. */
  const bodies: readonly (readonly [string, string, (text: string) => Fields])[] = [
    ['POST', '/outdials', (name) => ({ name })],
    ['PUT', '/outdials/{outdial}', (data) => ({ data })],
    ['POST', '/outplans', (detail) => ({ name: 'x', detail })],
    ['POST', '/outdials/{outdial}/targets', (external_id) => ({ ...A_TARGET, external_id })],
    ['PUT', '/outdials/{outdial}/targets/{target}', (name) => ({ name })],
    ['POST', '/outdials/{outdial}/targets/{target}/cancel', (reason) => ({ reason })],
    ['POST', '/outdials/{outdial}/leases', (dialer) => ({ limit: 1, dialer })],
    ['POST', '/accesskeys', (name) => ({ name, detail: '', expire: 60 })],
  ];
  test.each(bodies.map(([method, path, body]) => ({ method, path, body })))(
    'is refused by $method $path',
    async ({ method, path, body }) => {
      const before = await everything();
      for (const { value } of texts) {
        const error = errorOf(await sendText(api, method, filled(path), JSON.stringify(body(value))), 400);
        expect(Object.keys(body(value))).toContain(error.details[0]?.field);
      }
      expect(await everything()).toEqual(before);
    },
  );

  test('spoils only its own row of an array', async () => {
    const other = await newOutdial(api);
    const rows = [
      ...texts.map(({ value }, n) => ({ name: value, destination: tel(phone(n)) })),
      { name: 'fine', destination: tel(phone(9)) },
    ];
    const added = await other.addAll(rows);
    expect(added.summary).toEqual({ total: 4, created: 1, duplicates: 0, invalid: 3 });
    bodyOf(await api.del(other.path));
  });
});

// ---------------------------------------------------------------- sizes

describe('more than is allowed', () => {
  test('targets in an array are refused as a whole, and 10,000 are not', async () => {
    const other = await newOutdial(api);
    const rows = Array.from({ length: 10_001 }, (_, n) => ({ destination: tel(phone(n)) }));
    const error = errorOf(await api.post(`${other.path}/targets`, { targets: rows }), 400);
    expect(error.details[0]?.field).toBe('targets');
    expect((await other.progress()).targets.total).toBe(0);
    expect((await other.addAll(rows.slice(1))).summary.created).toBe(10_000);
  });

  test('outcomes at once are refused as a whole', async () => {
    const report = { attempt_id: ids.attempt, target_id: ids.target, outcome: 'busy' };
    const before = await everything();
    const error = errorOf(await api.post(`${outdial.path}/outcomes`, { outcomes: Array.from({ length: 1001 }, () => report) }), 400);
    expect(error.details[0]?.field).toBe('outcomes');
    expect(await everything()).toEqual(before);
  });

  test.each(['/outdials', '/outdials/{outdial}/targets', '/outdials/{outdial}/outcomes'])('bytes are refused: POST %s', async (path) => {
    const before = await everything();
    const answer = await sendText(api, 'POST', filled(path), `{"name": "${'x'.repeat(33 * 1024 * 1024)}"}`);
    expect(errorOf(answer, 413).status).toBe('PAYLOAD_TOO_LARGE');
    expect(await everything()).toEqual(before);
  });
});

describe('nothing at all', () => {
  test('is done by empty lists', async () => {
    const before = await everything();
    const added = await api.post<Added>(`${outdial.path}/targets`, { targets: [] });
    if (added.status === 200) expect(added.body.summary).toEqual({ total: 0, created: 0, duplicates: 0, invalid: 0 });
    else errorOf(added, 400);
    for (const [path, field] of [
      ['outcomes', 'outcomes'],
      ['leases/extend', 'attempts'],
      ['leases/release', 'attempts'],
    ] as const) {
      const answer = await api.post<{ result: readonly unknown[] }>(`${outdial.path}/${path}`, { [field]: [] });
      if (answer.status === 200) expect(answer.body.result).toEqual([]);
      else errorOf(answer, 400);
    }
    expect(await everything()).toEqual(before);
  });
});

test('each report that is wrong is invalid, and the ones beside it are not', async () => {
  const other = await newOutdial(api);
  await other.addAll([1, 2].map((n) => ({ destination: tel(phone(n)) })));
  const [a, b] = (await other.claim({ limit: 2 })).result.map(({ attempt_id, target_id }) => ({ attempt_id, target_id }));
  const right = { ...a, outcome: 'answered' };
  const wrong = [
    {},
    { ...b },
    { ...b, outcome: 7 },
    { ...b, outcome: 'answered', attempt_id: 5 },
    { ...b, outcome: 'answered', target_id: 'x' },
    { ...b, outcome: 'answered', tm_end: 'x' },
    { ...b, outcome: 'answered', disposition: {} },
    { ...b, outcome: 'answered', colour: 'red' },
  ];
  const answer = await api.post<{ result: readonly Fate[] }>(`${other.path}/outcomes`, { outcomes: [...wrong, right] });
  const fates = bodyOf(answer).result.map(({ result }) => result);
  expect(fates).toEqual([...wrong.map(() => 'invalid'), 'recorded']);
  expect((await other.progress()).targets).toMatchObject({ done: 1, progressing: 1 });
});

// ---------------------------------------------------------------- anything

describe('anything at all', () => {
  let playground: Outdial;
  let inPlayground: Readonly<Record<string, string>>;
  beforeAll(async () => {
    playground = await newOutdial(api, {}, { try_interval: 0 });
    const target = await playground.add();
    inPlayground = { outdial: playground.id, target: target.id, attempt: (await playground.lease()).attempt_id };
  });

  /** The service answers, and the fault is never its own. */
  const bearable = (answer: Answer<unknown>): void => {
    if (answer.status >= 500) throw new Error(`${answer.status}: ${answer.text}`);
    if (answer.status >= 400) errorOf(answer, answer.status);
  };
  const options = { numRuns: 200, interruptAfterTimeLimit: 15_000, markInterruptAsFailure: false };
  const anyValue = fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' });

  test('as the value of any field', async () => {
    const field = fc.constantFrom(...routes.flatMap((route) => Object.keys(route.wrong).map((name) => ({ route, name }))));
    await fc.assert(
      fc.asyncProperty(field, anyValue, async ({ route, name }, value) => {
        // The password is left alone, for it would end the token.
        if (route.path === '/password') return;
        bearable(
          await sendText(client(route), route.method, filled(route.path, inPlayground), JSON.stringify({ ...route.body, [name]: value })),
        );
      }),
      { ...options, numRuns: 500 },
    );
  });

  test('as a body', async () => {
    const body = fc.oneof(
      anyValue.map((value) => JSON.stringify(value)),
      fc.string({ unit: 'binary' }),
      fc.uint8Array({ maxLength: 200 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), body, async (route, sent) => {
        bearable(await sendText(client(route), route.method, filled(route.path, inPlayground), Uint8Array.from(Buffer.from(sent))));
      }),
      options,
    );
  });

  test('as a row of an array', async () => {
    const fields = [
      'name',
      'data',
      'external_id',
      'priority',
      'destination',
      'destination_0',
      'destination_4',
      'try_count_max',
      'try_count_max_2',
    ];
    // A whole body that names these is refused before it has rows.
    const value = anyValue.filter((it) => !/"(__proto__|constructor)"/.test(JSON.stringify(it)));
    const target = fc.dictionary(fc.constantFrom(...fields), fc.oneof(value, fc.constant(tel('+15551234567'))), { maxKeys: 4 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(target, value), { maxLength: 5 }), async (rows) => {
        const { total, created, duplicates, invalid } = (await playground.addAll(rows as readonly Fields[])).summary;
        expect([total, created + duplicates + invalid]).toEqual([rows.length, rows.length]);
      }),
      options,
    );
  });

  test('as a parameter, an id or a header', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const parameter = fc.constantFrom(
      'page_size',
      'page_token',
      'status',
      'external_id',
      'destination',
      'at',
      'from',
      'to',
      'open',
      'dialer',
      'after',
    );
    const path = fc.constantFrom('', '/targets', '/attempts', '/progress');
    await fc.assert(
      fc.asyncProperty(parameter, text, path, async (name, value, rest) => {
        // What cannot be written in UTF-8 cannot be sent in a URL.
        const wellFormed = Buffer.from(value).toString();
        bearable(await api.get(`${playground.path}${rest}`, { query: { [name]: wellFormed } }));
        bearable(await api.get(`/outdials/${encodeURIComponent(wellFormed)}${rest}`));
        const header = Buffer.from(wellFormed).toString('base64');
        const headers = { 'consistency-token': header, 'if-match': header, 'x-request-id': header, accept: header };
        bearable(await api.get(playground.path, { headers }));
      }),
      { ...options, numRuns: 100 },
    );
  });
});

test('after all of this the service works as before', async () => {
  expect((await service.root.get('/readyz')).status).toBe(200);
  const other = await newOutdial(api);
  const target = await other.add();
  expect(await other.report(await other.lease(), 'answered')).toMatchObject({ result: 'recorded', status: 'done' });
  expect((await other.target(target.id)).done_reason).toBe('answered');
  expect(await differences(outdial)).toEqual([]);
});
