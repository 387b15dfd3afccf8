/** What a user sees while EventStoreDB is away or loses answers, and that nothing is lost, doubled or contradicted afterwards. */
import { errorOf, eventually, nextPhone, pause, tel } from '../support/api';
import type { Answer, Client, WireLease } from '../support/api';
import type { FakeEventStoreDb } from '../support/eventstoredb/fake-eventstoredb';
import { aList, dial, holds } from '../support/hard-times';
import { prepareService, standIns } from '../support/service';
import type { Service } from '../support/service';

let service: Service;
let events: FakeEventStoreDb;
let api: Client;
beforeEach(async () => {
  const stores = await standIns();
  events = stores.events;
  service = await prepareService({}, stores);
  await service.start();
  api = await service.customer();
});
afterEach(async () => {
  await service.dispose();
});

/** How long an answer may take while the store is away: "quickly" is well within a client's own patience. */
const SOON = 5000;

async function soon<T>(answer: Promise<Answer<T>>): Promise<Answer<T>> {
  const began = performance.now();
  const given = await answer;
  expect(performance.now() - began).toBeLessThan(SOON);
  return given;
}

interface Ready {
  readonly status: string;
  readonly parts: Readonly<Record<string, { readonly ok: boolean }>>;
}
const ready = async (): Promise<Ready> => (await soon(service.root.get<Ready>('/readyz'))).body;

test('while it is away requests are told so at once, and the service goes on when it is back', async () => {
  const outdial = await aList(api, 20);
  const lease = await outdial.lease();
  expect(await ready()).toMatchObject({ status: 'ok', parts: { event_store: { ok: true } } });
  await events.away();
  const refused = await soon(api.post(`${outdial.path}/leases`, { limit: 1 }));
  expect(errorOf(refused, 503).status).toBe('UNAVAILABLE');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await soon(api.post(`${outdial.path}/targets`, { destination: tel(nextPhone()) }))).status).toBe(503);
  await eventually(async () =>
    expect(await ready()).toMatchObject({ status: 'unavailable', parts: { event_store: { ok: false }, read_store: { ok: true } } }),
  );
  expect((await service.root.get('/healthz')).status).toBe(200);
  // Who may ask is told by the log, too: nobody is answered on a revoked credential.
  expect((await soon(api.get(`${outdial.path}/targets`))).status).toBe(503);
  await events.back();
  await eventually(async () => expect(await ready()).toMatchObject({ status: 'ok' }));
  expect((await outdial.report(lease, 'answered')) as object).toMatchObject({ attempt_id: lease.attempt_id });
  const attempts = new Map([[lease.attempt_id, lease]]);
  await dial([api], outdial, 'after', attempts);
  await holds(outdial, attempts);
});

test('cut for seconds while a list is dialed, answers lost, subscriptions dropped: nothing is lost, doubled or contradicted', async () => {
  const outdial = await aList(api, 400);
  const attempts = new Map<string, WireLease>();
  const dialed = new AbortController();
  const trouble = (async () => {
    for (let round = 0; !dialed.signal.aborted; round += 1) {
      await pause(150);
      events.faults.loseAnswers += 2;
      events.faults.loseRequests += 1;
      events.dropSubscriptions();
      if (round % 8 !== 3) continue;
      await events.away();
      await pause(round === 3 ? 3000 : 700);
      await events.back();
    }
  })();
  await Promise.all(Array.from({ length: 6 }, (_, n) => dial([api], outdial, `d${n}`, attempts)));
  dialed.abort();
  await trouble;
  expect(attempts.size).toBeGreaterThan(400);
  await holds(outdial, attempts);
}, 180_000);
