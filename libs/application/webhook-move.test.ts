import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteEventStore } from '#event-store';
import type { Position, SqliteEventStore } from '#event-store';
import { moveWebhooks, webhookPlaces } from './webhook-move';
import type { MovedPlaces } from './webhook-move';
import { WebhookRecords } from './webhook-records';
import type { ParkedDelivery, Webhook, WebhookProgress } from './webhook-records';

let directory: string;
let before: SqliteEventStore;
let after: SqliteEventStore;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'webhook-move-'));
  before = await openSqliteEventStore({ directory: join(directory, 'before'), threads: false });
  after = await openSqliteEventStore({ directory: join(directory, 'after'), threads: false });
});
afterEach(async () => {
  await Promise.all([before.close(), after.close()]);
  rmSync(directory, { recursive: true });
});

const webhook = (id: string, from: Position): Webhook => ({
  id,
  customerId: 'ada',
  url: 'https://example.com',
  events: ['target.done'],
  secret: 's',
  tmCreate: 1,
  from,
});
const parked = (position: Position): ParkedDelivery => ({
  position,
  event: 'target.done',
  outdialId: 'o',
  targetId: 't',
  reason: '410 Gone',
  tm: 2,
});
const progress = (position: Position, parkedAt: readonly Position[] = []): WebhookProgress => ({
  state: 'failing',
  position,
  lastError: 'it said 503',
  tmLastDelivery: 3,
  parkedTotal: 7,
  parked: parkedAt.map(parked),
});

/** Places are told by another name there; the event at 9 is not there. */
const places: MovedPlaces = {
  upTo: (place) => `up to ${place}`,
  ofEvents: async (asked) => new Map(asked.filter((place) => place !== '9').map((place) => [place, `event of ${place}`])),
};

test('each webhook goes on there from the counterpart of where it was, with what it was and what was parked', async () => {
  const [there, here] = [new WebhookRecords(after.state), new WebhookRecords(before.state)];
  await here.create(webhook('a', '1'));
  await here.saveProgress('a', progress('5', ['2', '9', '4']), 0);
  await here.create(webhook('b', '3'));
  expect([...(await webhookPlaces(before.state))].sort()).toEqual(['3', '5']);
  // Done again, as after an interruption, it says the same.
  for (const run of [1, 2]) {
    expect([run, await moveWebhooks(before.state, after.state, places)]).toEqual([run, 2]);
    expect(await there.list(null)).toEqual([webhook('a', 'up to 1'), webhook('b', 'up to 3')]);
    expect((await there.progress(webhook('a', ''))).progress).toEqual({
      ...progress('up to 5'),
      parked: [parked('event of 2'), parked('event of 4')],
    });
    expect((await there.progress(webhook('b', ''))).progress).toMatchObject({ state: 'active', position: 'up to 3', parked: [] });
  }
});

test('a later run brings how far a webhook has come since', async () => {
  const here = new WebhookRecords(before.state);
  await here.create(webhook('a', '1'));
  await moveWebhooks(before.state, after.state, places);
  await here.saveProgress('a', progress('8'), 0);
  await moveWebhooks(before.state, after.state, places);
  expect((await new WebhookRecords(after.state).progress(webhook('a', ''))).progress).toMatchObject({ position: 'up to 8' });
});
