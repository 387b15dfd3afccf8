import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decideTarget, encodeEvent, evolveTarget, five, streamOf } from '#dialing';
import type { Target, TargetCommand } from '#dialing';
import { EMPTY_STREAM, openSqliteEventStore, START } from '#event-store';
import type { SqliteEventStore, StreamHead } from '#event-store';
import type { DeliveryResult, Delivery } from './webhook-delivery';
import { WebhookDeliveries } from './webhook-delivery';
import { WEBHOOK_EVENTS, type Webhook } from './webhook-records';

const HOUR = 60 * 60 * 1_000_000;

/** Time that passes when something waits for it, and not before. */
class SimulatedTime {
  micros = 1_000_000_000;
  now(): number {
    return this.micros;
  }
  after(milliseconds: number, run: () => void): () => void {
    let canceled = false;
    setImmediate(() => {
      if (canceled) return;
      this.micros += milliseconds * 1000;
      run();
    });
    return () => {
      canceled = true;
    };
  }
}

const webhook: Webhook = {
  id: 'w1',
  customerId: 'c1',
  url: 'https://example.com/',
  events: WEBHOOK_EVENTS,
  secret: 'a secret of sixteen',
  tmCreate: 1,
  from: START,
};

describe('webhooks', () => {
  let directory: string;
  let store: SqliteEventStore;
  let time: SimulatedTime;
  let deliveries: WebhookDeliveries;
  let sent: Delivery[];
  let answer: (delivery: Delivery) => DeliveryResult | Promise<DeliveryResult>;
  /** Never waited for: what they send is never answered. */
  let crashed: WebhookDeliveries[];
  const heads = new Map<string, StreamHead>();
  const targets = new Map<string, Target>();

  const open = (): WebhookDeliveries =>
    new WebhookDeliveries({
      events: store,
      state: store.state,
      clock: time,
      scheduler: time,
      randomness: { uuid: () => '80000000-0000-4000-8000-000000000000', token: () => 'token' },
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      send: async (delivery) => {
        sent.push(delivery);
        return answer(delivery);
      },
    });
  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'outdial-webhooks-'));
    store = await openSqliteEventStore({ directory, threads: false });
    time = new SimulatedTime();
    sent = [];
    crashed = [];
    answer = () => ({ kind: 'delivered' });
    heads.clear();
    targets.clear();
    deliveries = open();
    await deliveries.start();
  });
  afterEach(async () => {
    for (const one of crashed) void one.stop();
    await deliveries.stop();
    await store.close();
    rmSync(directory, { recursive: true });
  });

  let ids = 0;
  async function run(targetId: string, command: TargetCommand, customerId = 'c1'): Promise<void> {
    const stream = streamOf.target('o1', targetId);
    for (const event of decideTarget(command, targets.get(targetId) ?? null)) {
      ids += 1;
      targets.set(targetId, evolveTarget(targets.get(targetId) ?? null, event));
      const id = `00000000-0000-4000-8000-${String(ids).padStart(12, '0')}`;
      const context = { customerId, actor: 'a', correlationId: 'r', causationId: 'c' };
      const request = { stream, expected: heads.get(stream) ?? EMPTY_STREAM, events: [{ id, ...encodeEvent(event, context) }] };
      const [result] = await store.append([request], 'interactive');
      if (result?.ok) heads.set(stream, result.head);
    }
  }
  /** A target that is added, canceled and removed: three messages. */
  async function live(targetId: string, customerId = 'c1'): Promise<void> {
    const destination = { type: 'tel', target: '+15551234567', target_name: '', name: '', detail: '' } as const;
    const target = {
      name: '',
      detail: '',
      data: '',
      priority: 0,
      externalId: targetId,
      destinations: five((index) => (index === 0 ? destination : null)),
      limits: { tryCountMax: null, tryCountMaxes: five(() => null) },
    };
    await run(targetId, { type: 'AddTarget', now: 1, outdialId: 'o1', targetId, customerId, target, readd: false }, customerId);
    await run(targetId, { type: 'CancelTarget', now: 2, reason: '' }, customerId);
    await run(targetId, { type: 'RemoveTarget', now: 3 }, customerId);
  }
  async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
    for (let n = 0; n < 5000; n += 1) {
      if (await holds()) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error(`it never was so; sent: ${sent.length}`);
  }
  const told = (): readonly string[] => sent.map(({ event, message }) => `${message.targetId} ${event}`);
  const ofTarget = (id: string): readonly string[] => told().filter((one) => one.startsWith(`${id} `));
  const LIFE = (id: string): readonly string[] => [`${id} target.idle`, `${id} target.done`, `${id} target.deleted`];
  const saved = async () => (await deliveries.records.progress(webhook)).progress;

  test('are told of every change of their customer’s targets, each target’s in order, and of nobody else’s', async () => {
    deliveries.begin(webhook);
    for (const id of ['t1', 't2', 't3']) await live(id);
    await live('s1', 'stranger');
    await until(() => sent.length >= 9);
    for (const id of ['t1', 't2', 't3']) expect(ofTarget(id)).toEqual(LIFE(id));
    expect(sent).toHaveLength(9);
  });

  test('are told only of the events they ask for', async () => {
    deliveries.begin({ ...webhook, events: ['target.done'] });
    await live('t1');
    await until(() => sent.length > 0);
    await live('t2');
    await until(() => sent.length > 1);
    expect(told()).toEqual(['t1 target.done', 't2 target.done']);
  });

  test('that fail are tried again, later and later, and a target’s next message waits for the one before', async () => {
    let failures = 12;
    const times: number[] = [];
    answer = () => {
      times.push(time.now());
      return (failures -= 1) >= 0 ? { kind: 'failed', reason: 'away' } : { kind: 'delivered' };
    };
    await live('t1');
    deliveries.begin(webhook);
    await until(() => sent.length === 15);
    expect(told()).toEqual([...Array.from({ length: 12 }, () => 't1 target.idle'), ...LIFE('t1')]);
    const pauses = times.slice(1, 13).map((at, n) => at - (times[n] ?? 0));
    // Half of the random quarter is taken off: 0.875 s, doubled each time.
    expect(pauses.slice(0, 5)).toEqual([875_000, 1_750_000, 3_500_000, 7_000_000, 14_000_000]);
    expect((await deliveries.progressOf(webhook)).state).toBe('active');
  });

  test('say why they fail, while they do', async () => {
    let free: () => void = () => undefined;
    answer = () =>
      sent.length === 1 ? { kind: 'failed', reason: 'away' } : new Promise((resolve) => (free = () => resolve({ kind: 'delivered' })));
    await live('t1');
    deliveries.begin(webhook);
    await until(() => sent.length === 2);
    expect(await saved()).toMatchObject({ state: 'failing', lastError: 'away' });
    answer = () => ({ kind: 'delivered' });
    free();
    await until(() => sent.length === 4);
    await until(async () => (await saved()).state === 'active');
    expect(await saved()).toMatchObject({ lastError: null });
  });

  test('that have failed for a day are parked, and go on where they stopped when they are resumed', async () => {
    answer = () => ({ kind: 'failed', reason: 'away' });
    const began = time.now();
    await live('t1');
    deliveries.begin(webhook);
    await until(async () => (await saved()).state === 'parked');
    expect(time.now() - began).toBeGreaterThanOrEqual(24 * HOUR);
    expect(time.now() - began).toBeLessThan(26 * HOUR);
    const tries = sent.length;
    await live('t2');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toHaveLength(tries);
    // Also after the process has ended.
    await deliveries.stop();
    deliveries = open();
    await deliveries.records.create(webhook);
    await deliveries.start();
    answer = () => ({ kind: 'delivered' });
    await deliveries.resume(webhook);
    await until(() => sent.length === tries + 6);
    expect(
      told()
        .slice(tries)
        .filter((one) => one.startsWith('t1')),
    ).toEqual(LIFE('t1'));
  });

  test('give up what their endpoint refuses for good, and nothing else', async () => {
    answer = ({ event }) => (event === 'target.done' ? { kind: 'refused', reason: 'the endpoint answered 422' } : { kind: 'delivered' });
    await live('t1');
    deliveries.begin(webhook);
    await until(() => sent.length === 3);
    await until(async () => (await saved()).parkedTotal === 1);
    expect(told()).toEqual(LIFE('t1'));
    expect((await saved()).parked).toMatchObject([{ event: 'target.done', targetId: 't1', reason: 'the endpoint answered 422' }]);
  });

  test('that another process makes, resumes and deletes are taken up, resumed and ended within a second', async () => {
    await deliveries.stop();
    await deliveries.start({ watches: true });
    const elsewhere = open();
    answer = () => ({ kind: 'failed', reason: 'away' });
    await live('t1');
    await elsewhere.records.create(webhook);
    await until(() => sent.length > 0);
    answer = () => ({ kind: 'delivered' });
    const failed = sent.length;
    await elsewhere.resume(webhook);
    await until(async () => (await saved()).state === 'active' && sent.length >= failed + 3);
    await elsewhere.records.remove(webhook);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const before = sent.length;
    await live('t2');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toHaveLength(before);
  });

  test('are delivered by one process only: one whose cursor another has moved ends', async () => {
    await deliveries.records.create(webhook);
    deliveries.begin(webhook);
    await live('t1');
    await until(async () => (await saved()).tmLastDelivery !== null);
    const other = open();
    await other.start();
    await live('t2');
    await until(async () => sent.filter(({ message }) => message.targetId === 't2').length >= 3);
    // One of the two saved first; the other has heard of it by its next save.
    await live('t3');
    await until(async () => sent.some(({ message, event }) => message.targetId === 't3' && event === 'target.deleted'));
    await live('t4');
    await until(async () => sent.some(({ message, event }) => message.targetId === 't4' && event === 'target.deleted'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ofTarget('t4')).toEqual(LIFE('t4'));
    await other.stop();
  });

  test('that a crash cut off miss nothing: what was not known to be delivered is sent again', async () => {
    for (let n = 0; n < 60; n += 1) await live(`t${n}`);
    await deliveries.records.create(webhook);
    const received = new Set<string>();
    const order = new Map<string, number>();
    for (let crash = 1; received.size < 180; crash += 1) {
      if (crash > 100) throw new Error('it does not get on');
      let left = crash * 7;
      answer = ({ message, position, event }) => {
        left -= 1;
        // From here on nothing arrives, and nothing that was answered is heard.
        if (left < 0) return new Promise(() => undefined);
        received.add(`${message.targetId} ${event}`);
        // A repetition may go back, but never over what was not sent yet.
        const at = Number(position);
        expect(at).toBeGreaterThanOrEqual(0);
        order.set(message.targetId, Math.max(order.get(message.targetId) ?? 0, at));
        return { kind: 'delivered' };
      };
      const crashing = open();
      crashed.push(crashing);
      await crashing.start();
      await until(() => left < 0 || received.size === 180);
      // Its process is gone: nothing of it is heard of again.
      answer = () => new Promise(() => undefined);
    }
    for (let n = 0; n < 60; n += 1) for (const one of LIFE(`t${n}`)) expect(received).toContain(one);
  });
});
