/** What holds on every route: pages, errors, headers, conditions, keys and tokens. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { bodyOf, errorOf, listAll, micros, newOutdial, newOutplan, nextPhone, phone, tel, NEVER, TIMESTAMP, UUID } from '../support/api';
import type { Added, Answer, Ask, Claim, Client, Fate, Fields, Outdial, Page, WireOutdial, WireOutplan, WireTarget } from '../support/api';
import { prepareService, useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});
/** For a test that looks at all that a customer has. */
const startAfresh = async (): Promise<void> => {
  api = await service.customer();
};

const NOBODY = '11111111-1111-4111-8111-111111111111';
const JSON_BODY = { 'content-type': 'application/json' };
const names = (page: Page<WireOutdial>): readonly string[] => page.result.map(({ name }) => name);
const outdialsNamed = async (...wanted: readonly string[]): Promise<void> => {
  for (const name of wanted) await newOutdial(api, { name });
};
const outdials = async (query: Ask['query']): Promise<Page<WireOutdial>> =>
  bodyOf(await api.get<Page<WireOutdial>>('/outdials', { query }));
const manyTargets = (count: number): readonly Fields[] => Array.from({ length: count }, (_, n) => ({ destination: tel(phone(n)) }));

describe('pages', () => {
  test('come newest first, and end with an empty token', async () => {
    await startAfresh();
    await outdialsNamed('a', 'b', 'c', 'd', 'e');
    const first = await outdials({ page_size: 2 });
    const second = await outdials({ page_size: 2, page_token: first.next_page_token });
    const third = await outdials({ page_size: 2, page_token: second.next_page_token });
    expect([first, second, third].map(names)).toEqual([['e', 'd'], ['c', 'b'], ['a']]);
    expect(third.next_page_token).toBe('');
  });

  test('have no token when exactly the last row is on them', async () => {
    await startAfresh();
    await outdialsNamed('a', 'b');
    expect((await outdials({ page_size: 2 })).next_page_token).toBe('');
  });

  test('of nothing are an empty list', async () => {
    await startAfresh();
    expect(await outdials({})).toEqual({ result: [], next_page_token: '' });
  });

  test('of times before everything are an empty list', async () => {
    await startAfresh();
    await outdialsNamed('a');
    expect(await outdials({ page_token: '1999-01-01 00:00:00.000000' })).toEqual({ result: [], next_page_token: '' });
  });

  test.each(['0', '-1', '101', '1000', '1.5', 'many', '', '1e1', ' 5'])('have 100 rows when page_size is %p', async (page_size) => {
    const outdial = await newOutdial(api);
    await outdial.addAll(manyTargets(103));
    const page = bodyOf(await api.get<Page<WireTarget>>(`${outdial.path}/targets`, { query: { page_size } }));
    expect(page.result).toHaveLength(100);
    const rest = bodyOf(
      await api.get<Page<WireTarget>>(`${outdial.path}/targets`, { query: { page_size, page_token: page.next_page_token } }),
    );
    expect(rest.result).toHaveLength(3);
  });

  test.each([1, 2, 7, 50, 100])('of %d rows walk over targets of one request without losing or repeating one', async (page_size) => {
    const outdial = await newOutdial(api);
    const added = await outdial.addAll(manyTargets(107));
    const walked = await listAll<WireTarget>(api, `${outdial.path}/targets`, { page_size });
    expect(walked.map(({ id }) => id).sort()).toEqual(added.result.map(({ id }) => id).sort());
    const created = walked.map(({ tm_create }) => tm_create);
    expect(created).toEqual([...created].sort().reverse());
  });

  test('neither lose nor repeat what was there at the first one while rows are added', async () => {
    const outdial = await newOutdial(api);
    const before = (await outdial.addAll(manyTargets(50))).result.map(({ id }) => id);
    const path = `${outdial.path}/targets`;
    const walked: string[] = [];
    for (let page_token: string | undefined; page_token !== '';) {
      const query = { page_size: 9, ...(page_token === undefined ? {} : { page_token }) };
      const page: Page<WireTarget> = bodyOf(await api.get<Page<WireTarget>>(path, { query }));
      walked.push(...page.result.map(({ id }) => id));
      page_token = page.next_page_token;
      await outdial.addAll([{ destination: tel(nextPhone().replace('+1555', '+1777')) }]);
    }
    expect(walked.sort()).toEqual(before.sort());
  });

  test('take a bare tm_create as strictly older, in the format of answers and in RFC 3339', async () => {
    await startAfresh();
    await outdialsNamed('a', 'b', 'c');
    const [, middle] = (await outdials({})).result;
    const token = String(middle?.tm_create);
    expect(names(await outdials({ page_token: token }))).toEqual(['a']);
    expect(names(await outdials({ page_token: `${token.replace(' ', 'T')}Z` }))).toEqual(['a']);
  });

  test('take a token that names a row, too, as what comes after that row', async () => {
    await startAfresh();
    await outdialsNamed('a', 'b', 'c');
    const [, middle] = (await outdials({})).result;
    expect(names(await outdials({ page_token: `${String(middle?.tm_create)}~${String(middle?.id)}` }))).toEqual(['a']);
  });

  test.each(['yesterday', '2024-02-31 00:00:00.000000', `2024-01-01 00:00:00.000000~x`, '~', 'null'])(
    'refuse the token %p',
    async (page_token) => {
      const error = errorOf(await api.get('/outdials', { query: { page_token } }), 400);
      expect(error).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_REQUEST_PARAMETER' });
      expect(error.details[0]?.field).toBe('page_token');
    },
  );
});

describe('errors', () => {
  test('have a status, a reason, a message and the id of the request, which is in the header too', async () => {
    const answer = await api.get(`/outdials/${NOBODY}`);
    const error = errorOf(answer, 404);
    expect(error).toMatchObject({ status: 'NOT_FOUND', reason: 'OUTDIAL_NOT_FOUND' });
    expect(error.message).not.toBe('');
    expect(error.request_id).toBe(answer.headers.get('x-request-id'));
    expect(error.request_id).not.toBe('');
  });

  test.each([
    ['an error', () => api.get(`/outdials/${NOBODY}`, { headers: { 'x-request-id': 'the-callers-own-id.1' } })],
    ['an answer', () => api.get('/outdials', { headers: { 'x-request-id': 'the-callers-own-id.1' } })],
    ['an unknown route', () => api.get('/nothing', { headers: { 'x-request-id': 'the-callers-own-id.1' } })],
    ['a request without credentials', () => service.root.get('/v1.0/outdials', { headers: { 'x-request-id': 'the-callers-own-id.1' } })],
    ['a login', () => service.root.post('/auth/login', {}, { headers: { 'x-request-id': 'the-callers-own-id.1' } })],
  ])('and answers keep the caller’s request id: %s', async (_, ask) => {
    expect((await ask()).headers.get('x-request-id')).toBe('the-callers-own-id.1');
  });

  test('and answers get ids of their own otherwise', async () => {
    const ids = await Promise.all([1, 2, 3].map(async () => (await api.get('/outdials')).headers.get('x-request-id')));
    expect(ids).not.toContain(null);
    expect(new Set(ids).size).toBe(3);
  });

  test.each([
    ['/outdials/{}', 'OUTDIAL_NOT_FOUND'],
    ['/outdials/{}/progress', 'OUTDIAL_NOT_FOUND'],
    ['/outdials/{}/targets', 'OUTDIAL_NOT_FOUND'],
    ['/outdials/{}/attempts?open=true', 'OUTDIAL_NOT_FOUND'],
    [`/outdials/{}/targets/${NOBODY}`, 'OUTDIAL_NOT_FOUND'],
    ['/outplans/{}', 'OUTPLAN_NOT_FOUND'],
    ['/accesskeys/{}', undefined],
  ])('name what was not found: GET %s', async (route, reason) => {
    const error = errorOf(await api.get(route.replace('{}', NOBODY)), 404);
    expect(error).toMatchObject({ status: 'NOT_FOUND', ...(reason === undefined ? {} : { reason }) });
    const malformed = errorOf(await api.get(route.replace('{}', 'not-an-id')), 400);
    expect(malformed).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_ID' });
  });

  test('name a target that was not found in an outdial that was', async () => {
    const outdial = await newOutdial(api);
    for (const rest of ['', '/attempts']) {
      expect(errorOf(await api.get(`${outdial.path}/targets/${NOBODY}${rest}`), 404).reason).toBe('OUTDIAL_TARGET_NOT_FOUND');
    }
    expect(errorOf(await api.get(`${outdial.path}/targets/x`), 400).reason).toBe('INVALID_ID');
  });

  test('do not find a target of one outdial in another', async () => {
    const [one, other] = [await newOutdial(api), await newOutdial(api)];
    const target = await one.add();
    expect(errorOf(await api.get(`${other.path}/targets/${target.id}`), 404).reason).toBe('OUTDIAL_TARGET_NOT_FOUND');
    expect(errorOf(await api.del(`${other.path}/targets/${target.id}`), 404).reason).toBe('OUTDIAL_TARGET_NOT_FOUND');
  });

  test('say which routes there are not', async () => {
    expect(errorOf(await api.get('/nothing'), 404)).toMatchObject({ status: 'NOT_FOUND', reason: 'ROUTE_NOT_FOUND' });
    expect(errorOf(await api.post(`/outdials/${NOBODY}/nothing`, {}), 404).reason).toBe('ROUTE_NOT_FOUND');
  });

  test.each([
    ['PATCH', '/outdials', ['GET', 'POST']],
    ['DELETE', '/outdials', ['GET', 'POST']],
    ['POST', `/outdials/${NOBODY}`, ['GET', 'PUT', 'DELETE']],
    ['GET', `/outdials/${NOBODY}/leases`, ['POST']],
    ['PATCH', `/outdials/${NOBODY}/targets/${NOBODY}`, ['GET', 'PUT', 'DELETE']],
  ])('say which methods a route has: not %s %s', async (method, path, allowed) => {
    const answer = await api.send(method, path);
    expect(errorOf(answer, 405).status).toBe('METHOD_NOT_ALLOWED');
    const allow = (answer.headers.get('allow') ?? '').split(/,\s*/);
    expect(allow).toEqual(expect.arrayContaining(allowed));
    expect(allow).not.toContain(method);
  });

  test.each(['text/plain', 'application/xml', 'multipart/form-data; boundary=x'])('refuse a body of type %s', async (type) => {
    const answer = await api.send('POST', '/outdials', '{"name":"x"}', { headers: { 'content-type': type } });
    expect(errorOf(answer, 415).status).toBe('UNSUPPORTED_MEDIA_TYPE');
  });

  test('refuse a body of more than 32 MiB, and take one of nearly that', async () => {
    const body = (bytes: number): string => JSON.stringify({ name: 'large', data: 'x'.repeat(bytes) });
    const tooLarge = await api.send('POST', '/outdials', body(32 * 1024 * 1024), { headers: JSON_BODY });
    expect(errorOf(tooLarge, 413).status).toBe('PAYLOAD_TOO_LARGE');
    const outdial = await newOutdial(api);
    const rows = Array.from({ length: 10_000 }, (_, n) => ({ destination: tel(phone(n)), name: 'n'.repeat(200) }));
    expect((await outdial.addAll(rows)).summary.created).toBe(10_000);
  });

  test('name every unknown field of a body', async () => {
    const error = errorOf(await api.post('/outdials', { name: 'x', colour: 'red', size: 3 }), 400);
    expect(error).toMatchObject({ status: 'INVALID_ARGUMENT', reason: 'INVALID_ARGUMENT' });
    expect(error.details.map(({ field }) => field).sort()).toEqual(['colour', 'size']);
  });
});

describe('outside /v1.0', () => {
  test('the service says that it is alive and ready, in numbers and in words', async () => {
    expect((await service.root.get('/healthz')).status).toBe(200);
    expect((await service.root.get('/readyz')).status).toBe(200);
    const metrics = await service.root.get('/metrics');
    expect(metrics.status).toBe(200);
    expect(metrics.text).toMatch(/^# HELP /m);
  });

  test('the OpenAPI document names every route', async () => {
    const { paths } = bodyOf(await service.root.get<{ paths: Record<string, object> }>('/openapi.json'));
    const routes = Object.keys(paths).map((path) => path.replace(/\{\w+\}/g, '{}'));
    const outdial = [
      '',
      '/campaign_id',
      '/data',
      '/pause',
      '/resume',
      '/archive',
      '/progress',
      '/targets',
      '/leases',
      '/outcomes',
      '/attempts',
    ];
    const target = ['', '/cancel', '/attempts', '/attempts/{}', '/destinations/{}/exhaust'];
    const leases = ['/leases/extend', '/leases/release'];
    const others = ['/outdials', '/outplans', '/outplans/{}', '/outplans/{}/dial_info', '/accesskeys', '/accesskeys/{}'];
    expect(routes).toEqual(
      expect.arrayContaining(
        [
          ...[...outdial, ...leases].map((rest) => `/outdials/{}${rest}`),
          ...target.map((rest) => `/outdials/{}/targets/{}${rest}`),
          ...others,
          '/customers',
          '/customers/{}',
          '/password',
        ].map((path) => `/v1.0${path}`),
      ),
    );
  });
});

describe('requests that need no body', () => {
  test.each([
    ['no body', (path: string) => api.post<WireOutdial>(path)],
    ['an empty object', (path: string) => api.post<WireOutdial>(path, {})],
    ['an empty body that is said to be JSON', (path: string) => api.send<WireOutdial>('POST', path, '', { headers: JSON_BODY })],
  ])('may have %s', async (_, ask) => {
    const outdial = await newOutdial(api);
    expect(bodyOf(await ask(`${outdial.path}/pause`)).state).toBe('paused');
  });

  test('may name a content type, as clients that always do so', async () => {
    const outdial = await newOutdial(api);
    expect((await api.get(outdial.path, { headers: JSON_BODY })).status).toBe(200);
    expect((await api.del(outdial.path, { headers: JSON_BODY })).status).toBe(200);
  });
});

/** The three kinds of resource that are changed by PUT. */
const resources = [
  ['outdial', async () => (await newOutdial(api)).path],
  ['outplan', async () => `/outplans/${(await newOutplan(api)).id}`],
  [
    'target',
    async () => {
      const outdial = await newOutdial(api);
      return `${outdial.path}/targets/${(await outdial.add()).id}`;
    },
  ],
] as const;
type Resource = WireOutdial | WireOutplan | WireTarget;

describe.each(resources)('conditions on an %s', (_, make) => {
  const etagOf = (answer: Answer<unknown>): string => {
    bodyOf(answer);
    const etag = answer.headers.get('etag');
    if (etag === null) throw new Error('there is no ETag');
    return etag;
  };

  test('hold as long as nothing else changed it', async () => {
    const path = await make();
    const first = etagOf(await api.get(path));
    const second = etagOf(await api.put(path, { name: 'second' }, { headers: { 'if-match': first } }));
    expect(second).not.toBe(first);
    expect(etagOf(await api.get(path))).toBe(second);
    const stale = await api.put(path, { name: 'third' }, { headers: { 'if-match': first } });
    expect(errorOf(stale, 412).status).toBe('FAILED_PRECONDITION');
    expect(errorOf(await api.del(path, { headers: { 'if-match': first } }), 412).status).toBe('FAILED_PRECONDITION');
    expect(bodyOf(await api.get<Resource>(path)).name).toBe('second');
    const deleted = bodyOf(await api.del<Resource>(path, { headers: { 'if-match': second } }));
    expect(deleted.tm_delete).not.toBe(NEVER);
  });

  test('let exactly one of several changes with the same condition through', async () => {
    const path = await make();
    const etag = etagOf(await api.get(path));
    const wanted = ['a', 'b', 'c', 'd', 'e', 'f'];
    const answers = await Promise.all(wanted.map((name) => api.put<Resource>(path, { name }, { headers: { 'if-match': etag } })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412, 412]);
    expect(bodyOf(await api.get<Resource>(path)).name).toBe(answers.find(({ status }) => status === 200)?.body.name);
  });

  test('left out, changes to different fields merge', async () => {
    const path = await make();
    const answers = await Promise.all([api.put(path, { name: 'a new name' }), api.put(path, { detail: 'a new detail' })]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(bodyOf(await api.get<Resource>(path))).toMatchObject({ name: 'a new name', detail: 'a new detail' });
  });

  test('are not touched by a change that changes nothing', async () => {
    const path = await make();
    const before = await api.get<Resource>(path);
    const after = await api.put<Resource>(path, { name: before.body.name }, { headers: { 'if-match': etagOf(before) } });
    expect(bodyOf(after)).toEqual(before.body);
    expect(etagOf(after)).toBe(etagOf(before));
  });

  test('are refused when they are no ETag', async () => {
    const answer = await api.put(await make(), { name: 'x' }, { headers: { 'if-match': 'the latest one, please' } });
    expect([400, 412]).toContain(answer.status);
  });
});

describe.each(resources)('the answer of a GET of an %s', (_, make) => {
  test('can be sent back with one field changed', async () => {
    const path = await make();
    const got = bodyOf(await api.get<Resource>(path));
    const put = bodyOf(await api.put<Resource>(path, { ...got, detail: 'what was changed' }));
    expect(put).toEqual({ ...got, detail: 'what was changed', tm_update: put.tm_update });
    expect(micros(put.tm_update)).toBeGreaterThan(micros(put.tm_create));
  });

  test.each(['id', 'tm_create', 'tm_update', 'tm_delete'])('cannot be sent back with another %s', async (field) => {
    const path = await make();
    const got = bodyOf(await api.get<Resource>(path));
    const other = field === 'id' ? NOBODY : '2001-01-01 00:00:00.000000';
    const error = errorOf(await api.put(path, { ...got, name: 'not taken', [field]: other }), 400);
    expect(error.details.map((detail) => detail.field)).toContain(field);
    expect(bodyOf(await api.get(path))).toEqual(got);
  });

  test('cannot be sent back with a field that there is not', async () => {
    const path = await make();
    const got = bodyOf(await api.get<Resource>(path));
    const error = errorOf(await api.put(path, { ...got, colour: 'red' }), 400);
    expect(error.details.map((detail) => detail.field)).toEqual(['colour']);
  });
});

describe.each(resources)('a deleted %s', (_, make) => {
  test('is answered by its DELETE, listed no more, and readable by its id', async () => {
    const path = await make();
    const list = path.slice(0, path.lastIndexOf('/'));
    const before = bodyOf(await api.get<Resource>(path));
    const deleted = bodyOf(await api.del<Resource>(path));
    expect(deleted).toMatchObject({ id: before.id, name: before.name, tm_create: before.tm_create });
    expect(deleted.tm_delete).toMatch(TIMESTAMP);
    expect(micros(deleted.tm_delete)).toBeGreaterThan(micros(deleted.tm_create));
    expect(bodyOf(await api.get<Resource>(path))).toEqual(deleted);
    expect((await listAll<Resource>(api, list)).map(({ id }) => id)).not.toContain(before.id);
  });

  test('takes no changes, and answers a second DELETE with itself', async () => {
    const path = await make();
    const deleted = bodyOf(await api.del<Resource>(path));
    expect(errorOf(await api.put(path, { name: 'another name' }), 409)).toMatchObject({ status: 'CONFLICT', reason: 'DELETED' });
    expect(bodyOf(await api.del<Resource>(path))).toEqual(deleted);
    expect(bodyOf(await api.get<Resource>(path)).name).toBe(deleted.name);
  });
});

describe('a deleted outdial', () => {
  test('keeps its progress, attempts and targets readable', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0 });
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'busy');
    const before = await outdial.progress();
    bodyOf(await api.del(outdial.path));
    expect(await outdial.progress()).toMatchObject({ targets: before.targets, attempts: before.attempts, callable: 0 });
    expect(await outdial.attempts(target.id)).toHaveLength(1);
    expect((await outdial.target(target.id)).try_count_0).toBe(1);
  });

  test('takes no new targets and no other changes', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    bodyOf(await api.del(outdial.path));
    const refused = [
      await api.post(`${outdial.path}/targets`, { destination: tel(nextPhone()) }),
      await api.put(`${outdial.path}/data`, { data: 'x' }),
      await api.put(`${outdial.path}/campaign_id`, { campaign_id: NOBODY }),
      await api.post(`${outdial.path}/archive`),
      await api.put(`${outdial.path}/targets/${target.id}`, { name: 'x' }),
    ];
    for (const answer of refused) expect(errorOf(answer, 409)).toMatchObject({ status: 'CONFLICT', reason: 'DELETED' });
    const array = await api.post<Added>(`${outdial.path}/targets`, { targets: manyTargets(2) });
    expect(errorOf(array, 409).reason).toBe('DELETED');
  });
});

describe('an Idempotency-Key', () => {
  const keyed = (key: string = randomUUID()): Ask => ({ headers: { 'idempotency-key': key } });

  test('replays the first answer, and what it caused is there once', async () => {
    await startAfresh();
    const key = keyed();
    const answers = [await api.post('/outdials', { name: 'once' }, key), await api.post('/outdials', { name: 'once' }, key)];
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers[1]?.text).toBe(answers[0]?.text);
    expect(answers[1]?.headers.get('etag')).toBe(answers[0]?.headers.get('etag'));
    expect(names(await outdials({}))).toEqual(['once']);
  });

  test('does not hide a later change from anybody but the one who repeats', async () => {
    const key = keyed();
    const { id } = bodyOf(await api.post<WireOutdial>('/outdials', { name: 'first' }, key), 201);
    await api.put(`/outdials/${id}`, { name: 'second' });
    expect(bodyOf(await api.post<WireOutdial>('/outdials', { name: 'first' }, key), 201).name).toBe('first');
    expect(bodyOf(await api.get<WireOutdial>(`/outdials/${id}`)).name).toBe('second');
  });

  test('with another body is refused', async () => {
    await startAfresh();
    const key = keyed();
    bodyOf(await api.post('/outdials', { name: 'one' }, key), 201);
    expect(errorOf(await api.post('/outdials', { name: 'other' }, key), 422).status).toBe('IDEMPOTENCY_MISMATCH');
    expect(names(await outdials({}))).toEqual(['one']);
  });

  test('sent many times at once acts once, and all get the same answer', async () => {
    await startAfresh();
    const key = keyed();
    const answers = await Promise.all(Array.from({ length: 12 }, () => api.post('/outdials', { name: 'once' }, key)));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    expect(names(await outdials({}))).toEqual(['once']);
  });

  test('belongs to the path and to the credential', async () => {
    const key = keyed();
    bodyOf(await api.post('/outdials', { name: 'same' }, key), 201);
    bodyOf(await api.post('/outplans', { name: 'same' }, key), 201);
    const other = await service.customer();
    bodyOf(await other.post('/outdials', { name: 'different' }, key), 201);
  });

  test('replays a refusal too', async () => {
    const outdial = await newOutdial(api);
    const body = { destination: tel(phone(1)) };
    const target = await outdial.add(body);
    const key = keyed();
    const first = await api.post(`${outdial.path}/targets`, body, key);
    expect(errorOf(first, 409).reason).toBe('ALREADY_EXISTS');
    bodyOf(await api.del(`${outdial.path}/targets/${target.id}`));
    const again = await api.post(`${outdial.path}/targets`, body, key);
    expect(errorOf(again, 409)).toMatchObject({ reason: 'ALREADY_EXISTS' });
  });

  test('gives the same leases to a claim that is repeated, and no others', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll(manyTargets(10));
    const key = keyed();
    const claim = (): Promise<Answer<Claim>> => api.post<Claim>(`${outdial.path}/leases`, { limit: 4, dialer: 'd' }, key);
    const first = bodyOf(await claim());
    expect(first.result).toHaveLength(4);
    expect(bodyOf(await claim())).toEqual(first);
    const together = await Promise.all(Array.from({ length: 5 }, claim));
    for (const answer of together) expect(bodyOf(answer)).toEqual(first);
    expect((await outdial.progress()).targets).toMatchObject({ progressing: 4, idle: 6 });
  });

  test('lets one of several concurrent claims lease, and gives its leases to all', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll(manyTargets(20));
    const key = keyed();
    const claims = await Promise.all(Array.from({ length: 8 }, () => api.post<Claim>(`${outdial.path}/leases`, { limit: 5 }, key)));
    expect(new Set(claims.map(({ text }) => text)).size).toBe(1);
    expect((await outdial.progress()).targets).toMatchObject({ progressing: 5, idle: 15 });
  });

  test('replays the fates of outcomes and of an array of targets', async () => {
    const outdial = await newOutdial(api);
    const body = { targets: manyTargets(3) };
    const key = keyed();
    const added = bodyOf(await api.post<Added>(`${outdial.path}/targets`, body, key));
    expect(added.summary.created).toBe(3);
    expect(bodyOf(await api.post(`${outdial.path}/targets`, body, key))).toEqual(added);
    const { attempt_id, target_id } = await outdial.lease();
    const report = { outcomes: [{ attempt_id, target_id, outcome: 'busy' }] };
    const reportKey = keyed();
    const first = bodyOf(await api.post<{ result: readonly Fate[] }>(`${outdial.path}/outcomes`, report, reportKey));
    expect(first.result[0]?.result).toBe('recorded');
    expect(bodyOf(await api.post(`${outdial.path}/outcomes`, report, reportKey))).toEqual(first);
  });

  test('means nothing to access keys, whose token is shown only once', async () => {
    const key = keyed();
    const body = { name: 'a key', detail: '', expire: 3600 };
    const first = bodyOf(await api.post<{ id: string }>('/accesskeys', body, key), 201);
    const second = bodyOf(await api.post<{ id: string }>('/accesskeys', body, key), 201);
    expect(second.id).not.toBe(first.id);
  });

  test.each(['', 'x'.repeat(10_000)])('of no use is refused or ignored, never an error of the service', async (key) => {
    expect((await api.post('/outdials', { name: 'x' }, keyed(key))).status).toBeLessThan(500);
  });
});

describe('a Consistency-Token', () => {
  const written = async (): Promise<{ outdial: Outdial; token: string }> => {
    const outdial = await newOutdial(api);
    const answer = await api.post(`${outdial.path}/targets`, { targets: manyTargets(200) });
    const token = answer.headers.get('consistency-token');
    if (token === null || token === '') throw new Error('a write was answered without a Consistency-Token');
    return { outdial, token };
  };
  /** Another credential of the same customer: nothing that it did not write itself is waited for unless it asks. */
  const colleague = async (): Promise<(path: string, ask: Ask) => Promise<Answer<Page<WireTarget>>>> => {
    const key = bodyOf(await api.post<{ token: string }>('/accesskeys', { name: 'k', detail: '', expire: 600 }), 201);
    return (path, ask) => service.root.get<Page<WireTarget>>(`/v1.0${path}`, { ...ask, query: { ...ask.query, accesskey: key.token } });
  };

  test('comes with every write', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease();
    const writes = [
      await api.post('/outdials', { name: 'x' }),
      await api.put(outdial.path, { name: 'x' }),
      await api.post('/outplans', { name: 'x' }),
      await api.post(`${outdial.path}/leases/extend`, { attempts: [lease], lease_seconds: 1000 }),
      await api.post(`${outdial.path}/outcomes`, {
        outcomes: [{ attempt_id: lease.attempt_id, target_id: target.id, outcome: 'busy' }],
      }),
      await api.del(`${outdial.path}/targets/${target.id}`),
    ];
    for (const { headers } of writes.filter(({ status }) => status < 300)) expect(headers.get('consistency-token')).toBeTruthy();
  });

  test('lets anybody read what was written', async () => {
    const read = await colleague();
    for (let round = 0; round < 5; round += 1) {
      const { outdial, token } = await written();
      const page = bodyOf(await read(`${outdial.path}/targets`, { headers: { 'consistency-token': token }, query: { page_size: 100 } }));
      expect(page.result).toHaveLength(100);
      const progress = await read(`${outdial.path}/progress`, { headers: { 'consistency-token': token } });
      expect(progress.text).toMatch(/"total":200/);
    }
  });

  test('is not needed to read one’s own writes', async () => {
    await startAfresh();
    for (let round = 0; round < 10; round += 1) {
      const outdial = await newOutdial(api);
      expect((await outdials({ page_size: 1 })).result[0]?.id).toBe(outdial.id);
      await outdial.addAll(manyTargets(50));
      expect((await outdial.progress()).targets.total).toBe(50);
      const [newest] = bodyOf(await api.get<Page<WireTarget>>(`${outdial.path}/targets`, { query: { page_size: 1 } })).result;
      bodyOf(await api.del(`${outdial.path}/targets/${String(newest?.id)}`));
      expect((await listAll(api, `${outdial.path}/targets`)).length).toBe(49);
    }
  });

  test('of another log is gone, and a malformed one is an error', async () => {
    const { outdial, token } = await written();
    const stranger = await prepareService();
    try {
      await stranger.start();
      const answer = await stranger.admin.post('/outdials', { name: 'elsewhere' });
      const foreign = answer.headers.get('consistency-token') ?? '';
      expect(foreign).not.toBe('');
      expect(errorOf(await api.get(outdial.path, { headers: { 'consistency-token': foreign } }), 410).status).toBe('GONE');
      expect(errorOf(await stranger.admin.get('/outdials', { headers: { 'consistency-token': token } }), 410).status).toBe('GONE');
    } finally {
      await stranger.dispose();
    }
    for (const malformed of ['x', '42', `${token}x y`, '{}']) {
      const answer = await api.get(`${outdial.path}/targets`, { headers: { 'consistency-token': malformed } });
      expect(errorOf(answer, 400).status).toBe('INVALID_ARGUMENT');
    }
  });
});

describe('times in requests', () => {
  test.each([
    ['2030-05-06 07:08:09.123456', '2030-05-06 07:08:09.123456'],
    ['2030-05-06T07:08:09.123456Z', '2030-05-06 07:08:09.123456'],
    ['2030-05-06T09:08:09.5+02:00', '2030-05-06 07:08:09.500000'],
    ['2030-05-06T07:08:09Z', '2030-05-06 07:08:09.000000'],
    ['2030-05-05t23:38:09-07:30', '2030-05-06 07:08:09.000000'],
  ])('may be written %s', async (sent, meant) => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const updated = bodyOf(await api.put<WireTarget>(`${outdial.path}/targets/${target.id}`, { tm_next_try: sent }));
    expect(updated.tm_next_try).toBe(meant);
  });

  test.each(['tomorrow', '2030-02-30T00:00:00Z', '2030-13-01 00:00:00.000000', '06.05.2030', 1_900_000_000, null, ''])(
    'may not be written %p',
    async (sent) => {
      const outdial = await newOutdial(api);
      const target = await outdial.add();
      const error = errorOf(await api.put(`${outdial.path}/targets/${target.id}`, { tm_next_try: sent }), 400);
      expect(error.details[0]?.field).toBe('tm_next_try');
    },
  );
});

describe('ids', () => {
  test('are UUIDs, and read in capitals too', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    for (const id of [outdial.id, target.id]) expect(id).toMatch(UUID);
    expect(bodyOf(await api.get<WireOutdial>(`/outdials/${outdial.id.toUpperCase()}`)).id).toBe(outdial.id);
  });
});

describe('the connection', () => {
  test('of a caller that goes away in the middle of its body harms nobody', async () => {
    await startAfresh();
    const headers = { authorization: `Bearer ${api.token}`, 'content-type': 'application/json', 'content-length': '1000' };
    const broken = request(api.locate('/outdials'), { method: 'POST', headers });
    broken.on('error', () => undefined);
    broken.write('{"name":"half');
    await new Promise((resolve) => setTimeout(resolve, 50));
    broken.destroy();
    expect(names(await outdials({}))).toEqual([]);
  });
});
