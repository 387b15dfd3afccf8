import { JwtService } from '@nestjs/jwt';
import { ChangePassword, GetOutdial, LogIn, ResolveAccessKey, ResolveUser } from '#application';
import type { Principal } from '#application';
import { OutdialError } from '#dialing';
import { aCustomer, anOutdial, CUSTOMER_ID, fakeGateway, OUTDIAL_ID, versioned } from '../../../test/support/gateway';
import type { FakeGateway } from '../../../test/support/gateway';

const SECRET = 'a secret that signs tokens';
const URL = `/v1.0/outdials/${OUTDIAL_ID}`;

let gateway: FakeGateway;
/** What the engine was asked to find out: claims of a token, or an access key. */
let resolved: string[];
beforeAll(async () => {
  gateway = await fakeGateway();
  gateway.answer(GetOutdial, () => versioned(anOutdial()));
  gateway.answer(LogIn, () => ({ customer: aCustomer() }));
});
afterAll(() => gateway.app.close());
beforeEach(() => {
  resolved = [];
  gateway.asked.length = 0;
  gateway.answer(ResolveUser, ({ customerId, passwordVersion }): Principal => {
    resolved.push(`user ${customerId} ${passwordVersion}`);
    return { customerId, actor: customerId, admin: true };
  });
  gateway.answer(ResolveAccessKey, ({ token }): Principal => {
    resolved.push(`key ${token}`);
    return { customerId: CUSTOMER_ID, actor: token, admin: false };
  });
});

const logIn = async (): Promise<string> => {
  const sent = await gateway.send('POST', '/auth/login', { username: 'example', password: 'a password' });
  return (sent.json as { token: string }).token;
};
/** Sends exactly these headers; the fake's own credential is left out. */
const get = (headers: Readonly<Record<string, string>>, query = ''): ReturnType<FakeGateway['send']> =>
  gateway.send('GET', `${URL}${query}`, undefined, { authorization: '', ...headers });
const reasonOf = (sent: { json: unknown }): string => (sent.json as { error: { reason: string } }).error.reason;

describe('a token', () => {
  test('is issued for the customer and the password that it was, and stands for them', async () => {
    expect((await get({ authorization: `Bearer ${await logIn()}` })).status).toBe(200);
    expect(resolved).toEqual([`user ${CUSTOMER_ID} 4`]);
    expect(gateway.asked.at(-1)?.context).toMatchObject({ customerId: CUSTOMER_ID, actor: CUSTOMER_ID, admin: true });
  });

  test('is looked up each time, so that a change of the password ends it at once', async () => {
    const authorization = `Bearer ${await logIn()}`;
    expect((await get({ authorization })).status).toBe(200);
    gateway.answer(ResolveUser, () => {
      throw new OutdialError('UNAUTHENTICATED', 'INVALID_CREDENTIALS', 'not any more');
    });
    expect((await get({ authorization })).status).toBe(401);
  });

  test('is answered anew when the password changes', async () => {
    gateway.answer(ChangePassword, () => ({ customer: { ...aCustomer(), passwordVersion: 5 } }));
    const sent = await gateway.send('PUT', '/v1.0/password', { old: 'a password', new: 'another password' });
    await get({ authorization: `Bearer ${(sent.json as { token: string }).token}` });
    expect(resolved.at(-1)).toBe(`user ${CUSTOMER_ID} 5`);
  });

  test('ends after a day', async () => {
    const token = await logIn();
    const now = Date.now();
    expect((await get({ authorization: `Bearer ${token}` })).status).toBe(200);
    jest.spyOn(Date, 'now').mockReturnValue(now + 86_402_000);
    expect((await get({ authorization: `Bearer ${token}` })).status).toBe(401);
  });

  const signed = (claims: object, secret: string, options: object = {}): string =>
    new JwtService().sign(claims, { secret, algorithm: 'HS256', issuer: 'outdial', expiresIn: 60, ...options });
  const right = { sub: CUSTOMER_ID, pv: 4 };

  test('that anybody with the secret could have signed is taken', async () => {
    expect((await get({ authorization: `Bearer ${signed(right, SECRET)}` })).status).toBe(200);
  });

  test.each([
    ['signed with another secret', () => signed(right, 'another secret')],
    ['signed with another algorithm', () => signed(right, SECRET, { algorithm: 'HS512' })],
    ['not signed', () => `${signed(right, SECRET).split('.').slice(0, 2).join('.')}.`],
    ['said not to be signed', () => new JwtService().sign(right, { algorithm: 'none', issuer: 'outdial', expiresIn: 60 } as object)],
    ['of another issuer', () => signed(right, SECRET, { issuer: 'somebody' })],
    ['without a password version', () => signed({ sub: CUSTOMER_ID }, SECRET)],
    ['of the past', () => signed(right, SECRET, { expiresIn: -1 })],
    ['of nonsense', () => 'a.b.c'],
  ])('that is %s is not', async (_, make) => {
    const sent = await get({ authorization: `Bearer ${make()}` });
    expect([sent.status, reasonOf(sent), sent.headers['www-authenticate']]).toEqual([401, 'INVALID_CREDENTIALS', 'Bearer']);
    expect(resolved).toEqual([]);
  });
});

describe('a credential', () => {
  test('is taken from the first place that has one', async () => {
    const cookie = 'other=1; token=cookie-token ; accesskey="cookie-key"';
    const query = '?token=query-token&accesskey=query-key';
    const asks = [
      [{ authorization: 'Bearer header-key', cookie }, query, 'header-key'],
      [{ authorization: 'Basic abc', cookie }, query, 'cookie-token'],
      [{ cookie: 'accesskey="cookie-key"' }, query, 'query-token'],
      [{ cookie: 'accesskey="cookie-key"' }, '?accesskey=query-key', 'cookie-key'],
      [{ cookie: 'xtoken=1; accesskeys=2' }, '?token=&accesskey=query-key', 'query-key'],
    ] as const;
    for (const [headers, parameters, expected] of asks) {
      resolved = [];
      expect((await get(headers, parameters)).status).toBe(200);
      expect(resolved).toEqual([`key ${expected}`]);
    }
  });

  test('is needed for everything under /v1.0, before the body is looked at', async () => {
    for (const [method, url] of [
      ['GET', '/v1.0/outdials'],
      ['POST', '/v1.0/outdials'],
      ['PUT', '/v1.0/password'],
      ['GET', '/v1.0/customers'],
      ['DELETE', '/v1.0/accesskeys/x'],
    ] as const) {
      const sent = await gateway.send(method, url, method === 'POST' ? '{' : undefined, { authorization: '' });
      expect([sent.status, reasonOf(sent)]).toEqual([401, 'AUTHENTICATION_REQUIRED']);
    }
  });

  test.each(['/healthz', '/readyz', '/metrics', '/docs', '/openapi.json', '/'])('is not needed for %s', async (url) => {
    expect((await gateway.send('GET', url, undefined, { authorization: '' })).status).toBeLessThan(400);
    expect(resolved).toEqual([]);
  });

  test('is not in the log, wherever it was', async () => {
    gateway.answer(GetOutdial, () => {
      throw new Error('a bug');
    });
    await get({ authorization: 'Bearer SECRET-1', cookie: 'token=SECRET-2' }, '?token=SECRET-3&accesskey=SECRET-4');
    expect(gateway.logged.join('')).toContain('a bug');
    expect(gateway.logged.join('')).not.toContain('SECRET');
  });
});
