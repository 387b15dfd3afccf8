/** Who may do what, and where a credential is looked for. */
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  bodyOf,
  clientAt,
  errorOf,
  eventually,
  listAll,
  newOutdial,
  newOutplan,
  nextPhone,
  pause,
  tel,
  NEVER,
  TIMESTAMP,
  UUID,
} from '../support/api';
import type { Answer, Ask, Client, Outdial, Page, WireOutdial } from '../support/api';
import { ADMIN, useService } from '../support/service';

const service = useService();

interface WireKey {
  readonly id: string;
  readonly name: string;
  readonly detail: string;
  readonly tm_expire: string;
  readonly tm_create: string;
  readonly tm_delete: string;
  readonly token?: string;
}
interface WireCustomer {
  readonly id: string;
  readonly name: string;
  readonly username: string;
  readonly tm_delete: string;
}

const newKey = async (api: Client, expire = 3600): Promise<WireKey & { token: string }> =>
  bodyOf(await api.post<WireKey & { token: string }>('/accesskeys', { name: 'a key', detail: 'for a dialer', expire }), 201);
/** As a client that sends exactly these headers and this query. */
const listWith = (ask: Ask): Promise<Answer<Page<WireOutdial>>> => service.root.get<Page<WireOutdial>>('/v1.0/outdials', ask);
const logIn = (username: unknown, password: unknown): Promise<Answer<{ username: string; token: string }>> =>
  service.root.post<{ username: string; token: string }>('/auth/login', { username, password });
const withToken = (token: string): Client => clientAt(() => service.url, '/v1.0', token);
const withKey = (key: string): Client => {
  const open = clientAt(() => service.url, '/v1.0');
  return { ...open, get: (path_, ask) => open.get(path_, { ...ask, headers: { ...ask?.headers, cookie: `accesskey=${key}` } }) };
};

describe('a credential', () => {
  const places = [
    ['the Authorization header', (token: string) => ({ headers: { authorization: `Bearer ${token}` } })],
    ['the cookie token', (token: string) => ({ headers: { cookie: `other=1; token=${token}; more=2` } })],
    ['the query token', (token: string) => ({ query: { token } })],
    ['the cookie accesskey', (_: string, key: string) => ({ headers: { cookie: `accesskey=${key}` } })],
    ['the query accesskey', (_: string, key: string) => ({ query: { accesskey: key } })],
  ] as const satisfies readonly (readonly [string, (token: string, key: string) => Ask])[];

  test.each(places)('is taken from %s', async (_, place) => {
    const api = await service.customer();
    const outdial = await newOutdial(api);
    const key = await newKey(api);
    await eventually(async () => {
      const page = bodyOf(await listWith(place(api.token, key.token)));
      expect(page.result.map(({ id }) => id)).toEqual([outdial.id]);
    });
  });

  test('is taken from the first of these places that has one', async () => {
    const owners = await Promise.all(
      places.map(async ([, place], n): Promise<Ask> => {
        const api = await service.customer();
        await newOutdial(api, { name: `of owner ${n}` });
        return place(api.token, (await newKey(api)).token);
      }),
    );
    for (let first = 0; first < owners.length; first += 1) {
      const asks = owners.slice(first);
      const cookie = asks.flatMap(({ headers }) => headers?.cookie ?? []).join('; ');
      const authorization = asks[0]?.headers?.authorization;
      const headers = { ...(cookie === '' ? {} : { cookie }), ...(authorization === undefined ? {} : { authorization }) };
      const query = asks.reduce<Ask['query']>((all, ask) => ({ ...all, ...ask.query }), {});
      await eventually(async () => {
        const page = bodyOf(await listWith({ headers, query: query ?? {} }));
        expect(page.result.map(({ name }) => name)).toEqual([`of owner ${first}`]);
      });
    }
  });

  test('that is wrong is not made good by a second one', async () => {
    const api = await service.customer();
    const answer = await listWith({ headers: { authorization: 'Bearer wrong' }, query: { token: api.token } });
    expect(errorOf(answer, 401).status).toBe('UNAUTHENTICATED');
  });

  test('is needed on every route under /v1.0', async () => {
    const paths = ['/outdials', '/outplans', '/accesskeys', '/customers', `/outdials/${randomUUID()}`];
    for (const path_ of paths) {
      expect(errorOf(await service.root.get(`/v1.0${path_}`), 401).status).toBe('UNAUTHENTICATED');
    }
    expect(errorOf(await service.root.post('/v1.0/outdials', { name: 'x' }), 401).status).toBe('UNAUTHENTICATED');
    expect(errorOf(await service.root.put('/v1.0/password', { old: 'x', new: 'y' }), 401).status).toBe('UNAUTHENTICATED');
  });

  test('is looked at before the body is', async () => {
    expect((await service.root.send('POST', '/v1.0/outdials', '{', { headers: { 'content-type': 'application/json' } })).status).toBe(401);
  });

  test('cannot be made up or altered', async () => {
    const { token } = await service.customer();
    const [header = '', claims = '', signature = ''] = token.split('.');
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const decoded = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>;
    const forged = [
      'nonsense',
      '',
      `${header}.${claims}.`,
      `${header}.${claims}.${signature.slice(1)}`,
      `${encode({ alg: 'none', typ: 'JWT' })}.${claims}.`,
      `${encode({ alg: 'none', typ: 'JWT' })}.${claims}.${signature}`,
      `${header}.${encode({ ...decoded, admin: true })}.${signature}`,
    ];
    for (const wrong of forged) {
      expect((await listWith({ query: { token: wrong } })).status).toBe(401);
      expect((await listWith({ headers: { authorization: `Bearer ${wrong}` } })).status).toBe(401);
      expect((await listWith({ query: { accesskey: wrong } })).status).toBe(401);
    }
    expect((await listWith({ query: { token } })).status).toBe(200);
  });

  test('is never logged', async () => {
    const api = await service.customer();
    const key = await newKey(api);
    await listWith({ query: { token: api.token } });
    await listWith({ query: { accesskey: key.token } });
    await listWith({ query: { accesskey: `${key.token}x` }, headers: { 'x-request-id': 'a-request-to-look-for' } });
    await listWith({ headers: { cookie: `token=${api.token}x; accesskey=${key.token}x` } });
    await logIn('somebody', 'a-secret-of-somebody');
    await pause(100);
    for (const secret of [api.token, key.token, ADMIN.password, 'a-secret-of-somebody']) expect(service.output).not.toContain(secret);
  });
});

describe('a login', () => {
  test('answers the username and a token', async () => {
    const answer = await logIn(ADMIN.username, ADMIN.password);
    expect(answer.status).toBeLessThan(300);
    expect(Object.keys(answer.body)).toEqual(['username', 'token']);
    expect(answer.body.username).toBe(ADMIN.username);
    expect((await withToken(answer.body.token).get('/customers')).status).toBe(200);
  });

  test('fails alike for a wrong password and for nobody', async () => {
    const username = `user-${randomUUID()}`;
    bodyOf(await service.admin.post('/customers', { name: 'c', detail: '', username, password: 'the right password' }), 201);
    const wrong = errorOf(await logIn(username, 'the wrong password'), 401);
    const nobody = errorOf(await logIn(`user-${randomUUID()}`, 'the wrong password'), 401);
    expect(wrong).toMatchObject({ status: 'UNAUTHENTICATED', reason: 'INVALID_CREDENTIALS' });
    expect({ ...nobody, request_id: '' }).toEqual({ ...wrong, request_id: '' });
  });

  test.each([
    [{}, ['username', 'password']],
    [{ username: 'admin' }, ['password']],
    [{ username: 'admin', password: 5 }, ['password']],
    [{ username: ['admin'], password: 'x' }, ['username']],
    [{ username: 'admin', password: 'x', otp: '1' }, ['otp']],
  ])('says what is wrong with %j', async (body, fields) => {
    const error = errorOf(await service.root.post('/auth/login', body), 400);
    expect(error.details.map(({ field }) => field).sort()).toEqual([...fields].sort());
  });
});

describe('a password', () => {
  const newUser = async (): Promise<{ username: string; api: Client }> => {
    const username = `user-${randomUUID()}`;
    bodyOf(await service.admin.post('/customers', { name: 'c', detail: '', username, password: 'the old password' }), 201);
    return { username, api: withToken(bodyOf(await logIn(username, 'the old password')).token) };
  };

  test('that is changed ends the tokens from before, and logs in alone from then on', async () => {
    const { username, api } = await newUser();
    const other = withToken(bodyOf(await logIn(username, 'the old password')).token);
    expect((await api.put('/password', { old: 'the old password', new: 'the new password' })).status).toBe(200);
    for (const client of [api, other]) expect(errorOf(await client.get('/outdials'), 401).status).toBe('UNAUTHENTICATED');
    expect((await logIn(username, 'the old password')).status).toBe(401);
    const again = withToken(bodyOf(await logIn(username, 'the new password')).token);
    expect((await again.get('/outdials')).status).toBe(200);
  });

  test('is not changed by somebody who does not know it', async () => {
    const { username, api } = await newUser();
    const answer = await api.put('/password', { old: 'a guess at it', new: 'the new password' });
    expect([400, 401, 403]).toContain(answer.status);
    expect((await logIn(username, 'the new password')).status).toBe(401);
    expect((await logIn(username, 'the old password')).status).toBe(200);
    expect((await api.get('/outdials')).status).toBe(200);
  });

  test.each([{}, { old: 'the old password' }, { old: 'the old password', new: '' }, { old: 'the old password', new: 7 }])(
    'is not changed by %j',
    async (body) => {
      const { username, api } = await newUser();
      errorOf(await api.put('/password', body), 400);
      expect((await logIn(username, 'the old password')).status).toBe(200);
    },
  );
});

describe('an access key', () => {
  test('is created with a token that is shown then and never again', async () => {
    const api = await service.customer();
    const key = await newKey(api);
    expect(key).toMatchObject({ name: 'a key', detail: 'for a dialer', tm_delete: NEVER });
    expect(key.id).toMatch(UUID);
    expect(key.tm_expire).toMatch(TIMESTAMP);
    expect(key.token.length).toBeGreaterThanOrEqual(32);
    const { token: _, ...shown } = key;
    expect(bodyOf(await api.get<WireKey>(`/accesskeys/${key.id}`))).toEqual(shown);
    expect(await listAll<WireKey>(api, '/accesskeys')).toEqual([shown]);
  });

  test('acts for its customer', async () => {
    const api = await service.customer();
    const outdial = await newOutdial(api);
    const key = await newKey(api);
    expect(bodyOf(await withKey(key.token).get<WireOutdial>(outdial.path)).id).toBe(outdial.id);
    const created = await service.root.post<WireOutdial>('/v1.0/outdials', { name: 'by key' }, { query: { accesskey: key.token } });
    expect(bodyOf(await api.get<WireOutdial>(`/outdials/${bodyOf(created, 201).id}`)).name).toBe('by key');
  });

  test('does nothing after its deletion, and is listed no more', async () => {
    const api = await service.customer();
    const key = await newKey(api);
    const client = withKey(key.token);
    expect((await client.get('/outdials')).status).toBe(200);
    const deleted = bodyOf(await api.del<WireKey>(`/accesskeys/${key.id}`));
    expect(deleted.tm_delete).not.toBe(NEVER);
    expect(errorOf(await client.get('/outdials'), 401).status).toBe('UNAUTHENTICATED');
    expect(await listAll<WireKey>(api, '/accesskeys')).toEqual([]);
    expect(bodyOf(await api.get<WireKey>(`/accesskeys/${key.id}`))).toEqual(deleted);
    expect(bodyOf(await api.del<WireKey>(`/accesskeys/${key.id}`))).toEqual(deleted);
  });

  test('does nothing after its time', async () => {
    const api = await service.customer();
    const key = await newKey(api, 1);
    expect((await withKey(key.token).get('/outdials')).status).toBe(200);
    await pause(1100);
    expect(errorOf(await withKey(key.token).get('/outdials'), 401).status).toBe('UNAUTHENTICATED');
  });

  test.each([0, -1, 1.5, '3600', null, 1e15, true])('cannot expire after %p seconds', async (expire) => {
    const api = await service.customer();
    const error = errorOf(await api.post('/accesskeys', { name: 'a key', detail: '', expire }), 400);
    expect(error.details.map(({ field }) => field)).toEqual(['expire']);
    expect(await listAll(api, '/accesskeys')).toEqual([]);
  });

  test('survives a change of the password', async () => {
    const username = `user-${randomUUID()}`;
    bodyOf(await service.admin.post('/customers', { name: 'c', detail: '', username, password: 'the old password' }), 201);
    const api = withToken(bodyOf(await logIn(username, 'the old password')).token);
    const key = await newKey(api);
    bodyOf(await api.put('/password', { old: 'the old password', new: 'the new password' }));
    expect((await withKey(key.token).get('/outdials')).status).toBe(200);
  });

  test('and passwords and tokens are in no file of the service', async () => {
    const api = await service.customer();
    const marker = `marker-${randomUUID()}`;
    // Answers under such a key are kept; this one must not be.
    const keyed = { headers: { 'idempotency-key': marker } };
    const { token } = bodyOf(
      await api.post<WireKey & { token: string }>('/accesskeys', { name: marker, detail: '', expire: 60 }, keyed),
      201,
    );
    const files = await readdir(service.dataDir, { recursive: true, withFileTypes: true });
    const contents = await Promise.all(
      files.filter((file) => file.isFile()).map((file) => readFile(path.join(file.parentPath, file.name))),
    );
    const holds = (text: string): boolean => contents.some((content) => content.includes(text));
    if (!service.stores.shared) expect(holds(marker)).toBe(true);
    for (const secret of [token, api.token, ADMIN.password]) expect(holds(secret)).toBe(false);
  });
});

describe('customers', () => {
  test('are managed by the first user', async () => {
    const username = `user-${randomUUID()}`;
    const body = { name: 'a customer', detail: 'of ours', username, password: 'a password' };
    const created = bodyOf(await service.admin.post<WireCustomer>('/customers', body), 201);
    expect(created).toMatchObject({ name: 'a customer', detail: 'of ours', username, tm_delete: NEVER });
    expect(JSON.stringify(created)).not.toMatch(/password|hash/i);
    expect(bodyOf(await service.admin.get<WireCustomer>(`/customers/${created.id}`))).toEqual(created);
    expect((await listAll<WireCustomer>(service.admin, '/customers')).map(({ id }) => id)).toContain(created.id);
  });

  test('have different usernames', async () => {
    const username = `user-${randomUUID()}`;
    const body = { name: 'a customer', detail: '', username, password: 'a password' };
    bodyOf(await service.admin.post('/customers', body), 201);
    const error = errorOf(await service.admin.post('/customers', { ...body, password: 'another password' }), 409);
    expect(error).toMatchObject({ status: 'CONFLICT', reason: 'ALREADY_EXISTS' });
    expect((await logIn(username, 'another password')).status).toBe(401);
    const together = await Promise.all(
      [1, 2, 3, 4].map(() => service.admin.post('/customers', { ...body, username: `${username}-again` })),
    );
    expect(together.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
  });

  test('that are deleted have no credential left', async () => {
    const username = `user-${randomUUID()}`;
    const { id } = bodyOf(
      await service.admin.post<WireCustomer>('/customers', { name: 'a customer', detail: '', username, password: 'a password' }),
      201,
    );
    const api = withToken(bodyOf(await logIn(username, 'a password')).token);
    const key = await newKey(api);
    const deleted = bodyOf(await service.admin.del<WireCustomer>(`/customers/${id}`));
    expect(deleted.tm_delete).not.toBe(NEVER);
    expect(errorOf(await api.get('/outdials'), 401).status).toBe('UNAUTHENTICATED');
    expect(errorOf(await withKey(key.token).get('/outdials'), 401).status).toBe('UNAUTHENTICATED');
    expect((await logIn(username, 'a password')).status).toBe(401);
    expect(bodyOf(await service.admin.del<WireCustomer>(`/customers/${id}`))).toEqual(deleted);
    expect((await listAll<WireCustomer>(service.admin, '/customers')).map((customer) => customer.id)).not.toContain(id);
  });

  test('are no business of theirs', async () => {
    const api = await service.customer();
    const id = randomUUID();
    const answers = [
      await api.get('/customers'),
      await api.get(`/customers/${id}`),
      await api.del(`/customers/${id}`),
      await api.post('/customers', { name: 'c', detail: '', username: `user-${id}`, password: 'a password' }),
    ];
    for (const answer of answers) expect(errorOf(answer, 403).status).toBe('PERMISSION_DENIED');
  });

  test('owns the first one what the first user creates', async () => {
    const outdial = await newOutdial(service.admin);
    const target = await outdial.add();
    expect((await outdial.lease()).target_id).toBe(target.id);
  });
});

describe('what belongs to another customer', () => {
  interface Owned {
    readonly outdial: Outdial;
    readonly targetId: string;
    readonly attemptId: string;
    readonly outplanId: string;
    readonly keyId: string;
  }
  let owned: Owned;
  let stranger: Client;
  beforeAll(async () => {
    const owner = await service.customer();
    stranger = await service.customer();
    const outdial = await newOutdial(owner);
    const target = await outdial.add();
    const { attempt_id } = await outdial.lease();
    const [plan, key] = [await newOutplan(owner), await newKey(owner)];
    owned = { outdial, targetId: target.id, attemptId: attempt_id, outplanId: plan.id, keyId: key.id };
  });

  const OUTDIAL = '/outdials/{outdial}';
  const TARGET = `${OUTDIAL}/targets/{target}`;
  const routes: readonly (readonly [string, string, object?])[] = [
    ['GET', OUTDIAL],
    ['PUT', OUTDIAL, { name: 'mine' }],
    ['DELETE', OUTDIAL],
    ['PUT', `${OUTDIAL}/campaign_id`, { campaign_id: '183c0d5c-691e-42f3-af2b-9bffc2740f83' }],
    ['PUT', `${OUTDIAL}/data`, { data: 'mine' }],
    ['POST', `${OUTDIAL}/pause`],
    ['POST', `${OUTDIAL}/resume`],
    ['POST', `${OUTDIAL}/archive`],
    ['GET', `${OUTDIAL}/progress`],
    ['GET', `${OUTDIAL}/targets`],
    ['POST', `${OUTDIAL}/targets`, { destination: tel(nextPhone()) }],
    ['POST', `${OUTDIAL}/targets`, { targets: [{ destination: tel(nextPhone()) }] }],
    ['GET', TARGET],
    ['PUT', TARGET, { name: 'mine' }],
    ['DELETE', TARGET],
    ['POST', `${TARGET}/cancel`, { reason: 'mine' }],
    ['GET', `${TARGET}/attempts`],
    ['POST', `${TARGET}/attempts`, {}],
    ['PUT', `${TARGET}/attempts/{attempt}`, { outcome: 'answered' }],
    ['POST', `${TARGET}/destinations/0/exhaust`, { reason: 'mine' }],
    ['POST', `${OUTDIAL}/leases`, { limit: 1 }],
    ['POST', `${OUTDIAL}/leases/extend`, { attempts: [{ attempt_id: '{attempt}', target_id: '{target}' }], lease_seconds: 60 }],
    ['POST', `${OUTDIAL}/leases/release`, { attempts: [{ attempt_id: '{attempt}', target_id: '{target}' }] }],
    ['POST', `${OUTDIAL}/outcomes`, { outcomes: [{ attempt_id: '{attempt}', target_id: '{target}', outcome: 'answered' }] }],
    ['GET', `${OUTDIAL}/attempts?open=true`],
    ['GET', '/outplans/{outplan}'],
    ['PUT', '/outplans/{outplan}', { name: 'mine' }],
    ['PUT', '/outplans/{outplan}/dial_info', { try_interval: 0 }],
    ['DELETE', '/outplans/{outplan}'],
    ['GET', '/accesskeys/{key}'],
    ['DELETE', '/accesskeys/{key}'],
  ];
  const filled = (text: string): string =>
    text
      .replace('{outdial}', owned.outdial.id)
      .replace('{target}', owned.targetId)
      .replace('{attempt}', owned.attemptId)
      .replace('{outplan}', owned.outplanId)
      .replace('{key}', owned.keyId);
  /** What nobody owns, asked for in the same way. */
  const missing = (text: string): string => text.replace(/\{\w+\}/g, '99999999-9999-4999-8999-999999999999');
  const ask = (method: string, url: string, body: string | undefined): Promise<Answer<unknown>> =>
    stranger.send(method, url, body, body === undefined ? {} : { headers: { 'content-type': 'application/json' } });

  const asked = routes.map(([method, route, body]) => ({ method, route, body }));
  test.each(asked)('is not found, as if it did not exist: $method $route $body', async ({ method, route, body }) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await ask(method, filled(route), text === undefined ? text : filled(text));
    const error = errorOf(answer, 404);
    expect(error.status).toBe('NOT_FOUND');
    const nothing = errorOf(await ask(method, missing(route), text === undefined ? text : missing(text)), 404);
    expect(nothing.reason).toBe(error.reason);
  });

  test('is unchanged by all that', async () => {
    expect(await owned.outdial.get()).toMatchObject({ state: 'active', name: 'an outdial', data: '', tm_delete: NEVER });
    expect(await owned.outdial.target(owned.targetId)).toMatchObject({ status: 'progressing', name: '', tm_delete: NEVER });
    expect((await owned.outdial.progress()).targets.total).toBe(1);
    expect(bodyOf(await owned.outdial.api.get(`/outplans/${owned.outplanId}`))).toMatchObject({ name: 'an outplan', tm_delete: NEVER });
  });

  test('is in nobody else’s lists', async () => {
    for (const list of ['/outdials', '/outplans', '/accesskeys']) expect(await listAll(stranger, list)).toEqual([]);
  });

  test('cannot be attached: another customer’s outplan', async () => {
    const nobodys = await stranger.post('/outdials', { name: 'x', outplan_id: '99999999-9999-4999-8999-999999999999' });
    const anothers = await stranger.post('/outdials', { name: 'x', outplan_id: owned.outplanId });
    expect([400, 404]).toContain(anothers.status);
    expect(errorOf(anothers, nobodys.status).reason).toBe(errorOf(nobodys, nobodys.status).reason);
    const outdial = await newOutdial(stranger);
    expect([400, 404]).toContain((await stranger.put(outdial.path, { outplan_id: owned.outplanId })).status);
    expect([400, 404]).toContain((await stranger.post(`${outdial.path}/leases`, { limit: 1, outplan_id: owned.outplanId })).status);
  });
});

// The last one: it leaves this address under suspicion.
describe('a guesser of passwords', () => {
  test('is slowed down, also when the guess is right at last', async () => {
    const username = `user-${randomUUID()}`;
    bodyOf(await service.admin.post('/customers', { name: 'c', detail: '', username, password: 'a password' }), 201);
    let answer = await logIn(username, 'guess 0');
    for (let n = 1; n < 200 && answer.status === 401; n += 1) answer = await logIn(username, `guess ${n}`);
    expect(errorOf(answer, 429).status).toBe('RESOURCE_EXHAUSTED');
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await logIn(username, 'a password')).status).toBe(429);
  });
});
