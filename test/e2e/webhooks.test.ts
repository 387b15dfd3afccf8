/** Webhooks: what an endpoint gets, and what becomes of those that do not want it. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyOf, errorOf, newOutdial, nextPhone, pause, tel, NEVER } from '../support/api';
import type { Client, WireLease } from '../support/api';
import { prepareService } from '../support/service';
import type { Service } from '../support/service';

interface WireWebhook {
  readonly id: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly state: string;
  readonly last_error: string | null;
  readonly tm_last_delivery: string;
  readonly parked_total: number;
  readonly parked: readonly { readonly type: string; readonly target_id: string; readonly reason: string }[];
  readonly secret?: string;
}
interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: { readonly id: string; readonly type: string; readonly data: { readonly target_id: string; readonly status: string } };
}

let service: Service;
let api: Client;
let endpoint: Server;
let url: string;
let received: Received[];
let answer: (one: Received) => number;

beforeAll(async () => {
  service = await prepareService({ WEBHOOK_ALLOW_PRIVATE: 'true' });
  await service.start();
});
afterAll(async () => {
  await service.dispose();
});
beforeEach(async () => {
  api = await service.customer();
  received = [];
  answer = () => 204;
  endpoint = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const one = { headers: request.headers, text, body: JSON.parse(text) as Received['body'] };
      received.push(one);
      response.writeHead(answer(one)).end();
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/hook`;
});
afterEach(async () => {
  endpoint.closeAllConnections();
  await new Promise((resolve) => endpoint.close(resolve));
});

const create = async (body: object = {}): Promise<WireWebhook> => bodyOf(await api.post<WireWebhook>('/webhooks', { url, ...body }), 201);
const get = async (id: string): Promise<WireWebhook> => bodyOf(await api.get<WireWebhook>(`/webhooks/${id}`));
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let n = 0; n < 400; n += 1) {
    if (await holds()) return;
    await pause(50);
  }
  throw new Error(`it never was so: ${JSON.stringify(received.map(({ body }) => body.type))}`);
}
const typesOf = (targetId: string): readonly string[] =>
  received.filter(({ body }) => body.data.target_id === targetId).map(({ body }) => body.type);

test('an endpoint gets every change from then on, signed, a target’s in order', async () => {
  const outdial = await newOutdial(api, {}, { try_interval: 0 });
  await outdial.add();
  const webhook = await create();
  expect(webhook).toMatchObject({ url, state: 'active', last_error: null, tm_last_delivery: NEVER, parked: [] });
  expect(webhook.secret).toMatch(/^whsec_/);
  const target = await outdial.add({ priority: 1 });
  await outdial.report(await outdial.lease(), 'answered');
  bodyOf(await api.del(`${outdial.path}/targets/${target.id}`));
  await until(() => received.length >= 4);
  expect(typesOf(target.id)).toEqual(['target.idle', 'target.progressing', 'target.done', 'target.deleted']);
  expect(received).toHaveLength(4);
  const key = Buffer.from((webhook.secret ?? '').slice('whsec_'.length), 'base64');
  for (const { headers, text, body } of received) {
    const id = String(headers['webhook-id']);
    const timestamp = String(headers['webhook-timestamp']);
    const signature = Buffer.from(String(headers['webhook-signature']).slice('v1,'.length), 'base64');
    expect(timingSafeEqual(signature, createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest())).toBe(true);
    expect(Math.abs(Date.now() / 1000 - Number(timestamp))).toBeLessThan(60);
    expect(body.id).toBe(id);
    expect(headers['content-type']).toBe('application/json');
  }
  await until(async () => (await get(webhook.id)).tm_last_delivery !== NEVER);
});

test('it is told only of what it asks for, and of nobody else’s targets', async () => {
  await create({ events: ['target.done'], secret: 'a secret of my own' });
  const strangers = await newOutdial(await service.customer(), {}, { try_interval: 0 });
  await strangers.add();
  await strangers.report(await strangers.lease(), 'answered');
  const outdial = await newOutdial(api, {}, { try_interval: 0 });
  const target = await outdial.add();
  await outdial.report(await outdial.lease(), 'answered');
  await until(() => received.length > 0);
  await pause(200);
  expect(received.map(({ body }) => [body.type, body.data.target_id])).toEqual([['target.done', target.id]]);
});

test('what it refuses for good is given up alone, and can be seen', async () => {
  answer = ({ body }) => (body.type === 'target.progressing' ? 422 : 200);
  const webhook = await create();
  const outdial = await newOutdial(api, {}, { try_interval: 0 });
  const target = await outdial.add();
  await outdial.report(await outdial.lease(), 'answered');
  await until(() => received.length === 3);
  await until(async () => (await get(webhook.id)).parked_total === 1);
  expect((await get(webhook.id)).parked).toMatchObject([
    { type: 'target.progressing', target_id: target.id, reason: 'the endpoint answered 422' },
  ]);
});

test('an endpoint that is away is tried again, seen to fail meanwhile, and misses nothing; a redirect is not followed', async () => {
  let away = true;
  answer = () => (away ? 302 : 200);
  const webhook = await create({ events: ['target.idle'] });
  const outdial = await newOutdial(api);
  await outdial.addAll(Array.from({ length: 20 }, () => ({ destination: tel(nextPhone()) })));
  await until(async () => (await get(webhook.id)).state === 'failing');
  expect((await get(webhook.id)).last_error).toBe('the endpoint answered 302');
  away = false;
  const before = received.length;
  bodyOf(await api.post(`/webhooks/${webhook.id}/resume`));
  await until(() => new Set(received.slice(before).map(({ body }) => body.id)).size === 20);
  await until(async () => (await get(webhook.id)).state === 'active');
});

test('a service that is killed while it delivers goes on where it stopped', async () => {
  const own = await prepareService({ WEBHOOK_ALLOW_PRIVATE: 'true' });
  try {
    await own.start();
    api = await own.customer();
    await create();
    const outdial = await newOutdial(api, {}, { try_interval: 0 });
    await outdial.addAll(Array.from({ length: 300 }, () => ({ destination: tel(nextPhone()) })));
    await until(() => received.length > 120);
    await own.kill();
    await own.start();
    const { result } = bodyOf(await api.post<{ result: readonly WireLease[] }>(`${outdial.path}/leases`, { limit: 10 }));
    const ids = (): ReadonlySet<string> => new Set(received.map(({ body }) => body.id));
    await until(() => ids().size === 310);
    for (const { target_id } of result) expect([...new Set(typesOf(target_id))]).toEqual(['target.idle', 'target.progressing']);
  } finally {
    await own.dispose();
  }
});

test('it can be listed, and is gone when it is deleted', async () => {
  const [first, second] = [await create(), await create()];
  const { result } = bodyOf(await api.get<{ result: readonly WireWebhook[] }>('/webhooks'));
  expect(result.map(({ id }) => id)).toEqual([second.id, first.id]);
  for (const one of result) expect(one).not.toHaveProperty('secret');
  bodyOf(await api.del(`/webhooks/${first.id}`));
  expect(errorOf(await api.get(`/webhooks/${first.id}`), 404).reason).toBe('WEBHOOK_NOT_FOUND');
  const stranger = await service.customer();
  expect(errorOf(await stranger.get(`/webhooks/${second.id}`), 404).reason).toBe('WEBHOOK_NOT_FOUND');
  bodyOf(await api.del(`/webhooks/${second.id}`));
  await (await newOutdial(api)).add();
  await pause(300);
  expect(received).toEqual([]);
});

describe('a URL is refused', () => {
  let careful: Service;
  beforeAll(async () => {
    careful = await prepareService();
    await careful.start();
  });
  afterAll(async () => {
    await careful.dispose();
  });

  test.each([
    'http://127.0.0.1/',
    'http://localhost:3000/x',
    'http://10.1.2.3/',
    'http://192.168.0.1/',
    'http://172.16.9.9/',
    'http://169.254.169.254/latest/meta-data',
    'http://0.0.0.0/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[fd00::1]/',
    'http://2130706433/',
    'http://0x7f.1/',
    'https://user:password@example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'no url',
    '',
  ])('%s', async (bad) => {
    const { details, status } = errorOf(await careful.admin.post('/webhooks', { url: bad }), 400);
    expect([status, details[0]?.field]).toEqual(['INVALID_ARGUMENT', 'url']);
  });

  test('and so are events that there are not, and secrets that are too short', async () => {
    const refused = async (body: object): Promise<unknown> => errorOf(await api.post('/webhooks', { url, ...body }), 400).details[0]?.field;
    expect(await refused({ events: ['target.lost'] })).toBe('events');
    expect(await refused({ events: 'target.done' })).toBe('events');
    expect(await refused({ secret: 'short' })).toBe('secret');
    expect(await refused({ other: 1 })).toBe('other');
  });
});
