import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyChain } from './chain';
import {
  type AppendRequest,
  type AppendResult,
  EMPTY_STREAM,
  type EventBatch,
  type EventStore,
  type NewEvent,
  NO_STREAM,
  type RecordedEvent,
  START,
  type StreamHead,
} from './event-store';

/** A store as a test finds it: others may have written to it, and nobody else does during the test. */
export interface OpenedEventStore {
  readonly store: EventStore;
  /** Closes the store and opens the same log again, as a restart does. */
  readonly reopen: () => Promise<EventStore>;
}

/** What every event store promises, whatever is behind it: each promise of the port, as a test. */
export function eventStoreContract(name: string, open: () => Promise<OpenedEventStore>): void {
  describe(`The event store (${name})`, () => {
    let opened: OpenedEventStore;
    let store: EventStore;
    /** The group and the streams of this test alone. */
    let group: string;
    let outdial: string;

    const target = (key: string): string => `outdialtarget-${group}.${key}`;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
      group = randomUUID();
      outdial = `outdial-${group}`;
    });
    afterEach(() => store.close());

    const append = async (stream: string, expected: StreamHead, ...events: NewEvent[]): Promise<AppendResult> =>
      only(await store.append([{ stream, expected, events }], 'interactive'));

    /** Appends one event after another, each an append of its own; answers the head. */
    const grow = async (stream: string, count: number): Promise<StreamHead> => {
      let head: StreamHead = EMPTY_STREAM;
      for (let n = 0; n < count; n += 1) head = appended(await append(stream, head, event({ n }))).head;
      return head;
    };

    describe('appending', () => {
      test('an event of a new stream has revision 0, and each later one the next', async () => {
        await grow(outdial, 3);
        const events = await store.readStream(outdial);
        expect(events.map(({ revision }) => revision)).toEqual([0, 1, 2]);
      });

      test('the answer says where the stream ends now, and where that is in the log', async () => {
        const result = appended(await append(outdial, EMPTY_STREAM, event(), event()));
        const last = (await store.readStream(outdial)).at(-1);
        expect(result.head).toEqual({ revision: last?.revision, hash: last?.hash });
        expect(result.position).toBe(last?.position);
      });

      test('the events of one request are appended together, in their order', async () => {
        const events = [event({ n: 1 }), event({ n: 2 }), event({ n: 3 })];
        await append(outdial, EMPTY_STREAM, ...events);
        expect((await store.readStream(outdial)).map(({ id }) => id)).toEqual(events.map(({ id }) => id));
      });

      test('an append on an older revision than the stream has is a conflict, and changes nothing', async () => {
        await grow(outdial, 2);
        expect(await append(outdial, { revision: 0, hash: '' }, event())).toEqual(conflict);
        expect(await append(outdial, EMPTY_STREAM, event())).toEqual(conflict);
        expect(await store.readStream(outdial)).toHaveLength(2);
      });

      test('an append on a revision that the stream has not reached is a conflict', async () => {
        await grow(outdial, 1);
        expect(await append(outdial, { revision: 1, hash: '' }, event())).toEqual(conflict);
        expect(await append(target('new'), { revision: 0, hash: '' }, event())).toEqual(conflict);
      });

      test('of two commands with the same content on the same revision one wins: content does not make them the same command', async () => {
        const content = { n: 1 };
        const first = await append(outdial, EMPTY_STREAM, event(content));
        const second = await append(outdial, EMPTY_STREAM, event(content));
        expect([first.ok, second]).toEqual([true, conflict]);
      });

      test('of many commands that race for the same revision exactly one wins', async () => {
        const head = await grow(outdial, 1);
        const commands = Array.from({ length: 20 }, () => event());
        const results = await Promise.all(commands.map((command) => append(outdial, head, command)));
        const winner = commands[results.findIndex(({ ok }) => ok)];
        expect(results.filter(({ ok }) => ok)).toHaveLength(1);
        expect((await store.readStream(outdial)).map(({ id }) => id)).toContain(winner?.id);
        expect(await store.readStream(outdial)).toHaveLength(2);
      });

      test('one command appended twice answers the second time as it did the first, and says that it is a repeat', async () => {
        const command = [event({ n: 1 }), event({ n: 2 })];
        const head = await grow(outdial, 1);
        const first = await append(outdial, head, ...command);
        expect(await append(outdial, head, ...command)).toEqual({ ...first, repeated: true });
        expect(await store.readStream(outdial)).toHaveLength(3);
      });

      test('it still does after others have appended, and for the very first events of a stream', async () => {
        const command = event();
        const first = appended(await append(outdial, EMPTY_STREAM, command));
        await append(outdial, first.head, event(), event());
        expect(await append(outdial, EMPTY_STREAM, command)).toEqual({ ...first, repeated: true });
        expect(await store.readStream(outdial)).toHaveLength(3);
      });

      test('one command sent twice at the same time is appended once', async () => {
        const command = event();
        const [first, second] = await Promise.all([append(outdial, EMPTY_STREAM, command), append(outdial, EMPTY_STREAM, command)]);
        expect(appended(second)).toMatchObject(appended(first));
        expect(await store.readStream(outdial)).toHaveLength(1);
      });

      test('a command that shares only some events with what is there is a conflict', async () => {
        const [one, two] = [event(), event()];
        await append(outdial, EMPTY_STREAM, one, two);
        expect(await append(outdial, EMPTY_STREAM, one, event())).toEqual(conflict);
        expect(await append(outdial, EMPTY_STREAM, two, one)).toEqual(conflict);
        expect(await append(outdial, EMPTY_STREAM, one, two, event())).toEqual(conflict);
        expect(await store.readStream(outdial)).toHaveLength(2);
      });

      test('the same event id in another stream is another event', async () => {
        const command = event();
        await append(outdial, EMPTY_STREAM, command);
        expect((await append(target('a'), EMPTY_STREAM, command)).ok).toBe(true);
      });

      test('many streams in one call: a conflict in the middle touches no other, and results keep the order of the requests', async () => {
        await grow(target('taken'), 1);
        const streams = [target('a'), target('b'), target('taken'), target('c'), outdial];
        const results = await store.append(streams.map(starting), 'interactive');
        expect(results.map(({ ok }) => ok)).toEqual([true, true, false, true, true]);
        expect(results[2]).toEqual(conflict);
        for (const [index, stream] of streams.entries()) {
          const last = (await store.readStream(stream)).at(-1);
          const result = results[index];
          if (result?.ok === true) expect(result.position).toBe(last?.position);
          expect(await store.readStream(stream)).toHaveLength(1);
        }
      });

      test('a call of a thousand requests is answered in full, in either lane', async () => {
        for (const lane of ['import', 'interactive'] as const) {
          const streams = Array.from({ length: 1000 }, (_, n) => target(`${lane}${n}`));
          const results = await store.append(streams.map(starting), lane);
          expect(results).toHaveLength(1000);
          expect(results.every(({ ok }) => ok)).toBe(true);
          expect(await store.readStream(target(`${lane}999`))).toHaveLength(1);
        }
      });

      test('an import under way does not keep interactive appends from being made', async () => {
        const streams = Array.from({ length: 3000 }, (_, n) => target(String(n)));
        const imported = store.append(streams.map(starting), 'import');
        expect((await append(outdial, EMPTY_STREAM, event())).ok).toBe(true);
        expect((await imported).every(({ ok }) => ok)).toBe(true);
      });

      test('no requests are answered with no results', async () => {
        expect(await store.append([], 'interactive')).toEqual([]);
      });

      test('a request without events is refused, for there is nothing that could be repeated', async () => {
        await expect(store.append([{ stream: outdial, expected: EMPTY_STREAM, events: [] }], 'interactive')).rejects.toThrow(RangeError);
      });
    });

    describe('what is stored', () => {
      test('type, data and metadata come back as the very texts that were given, spaces and all', async () => {
        const given = { id: randomUUID(), type: 'TargetAdded', data: '{ "b":1.0,\n\t"a" : "x" }', metadata: '{"z":0,"a":[ 1 ]}' };
        await append(outdial, EMPTY_STREAM, given);
        expect(only(await store.readStream(outdial))).toMatchObject(given);
      });

      test('text in any script is kept, in data and in the names of streams', async () => {
        const data = JSON.stringify({ name: 'Zoë 王 🦆 \u0000 \\ " \u2028' });
        const stream = target('Zoë-王.🦆');
        await append(stream, EMPTY_STREAM, event({}, data));
        expect(only(await store.readStream(stream))).toMatchObject({ stream, data });
      });

      test('a large event is kept whole', async () => {
        const data = JSON.stringify({ text: 'é'.repeat(200_000) });
        await append(outdial, EMPTY_STREAM, event({}, data));
        expect(only(await store.readStream(outdial)).data).toBe(data);
      });

      test('each event is chained to the one before it in its stream', async () => {
        await grow(outdial, 3);
        await grow(target('a'), 2);
        const events = await everything(store.readGroup(group, { after: START }));
        expect(events).toHaveLength(5);
        expect(verifyChain(events)).toBeNull();
      });

      test('an expected hash decides nothing, the revision does; the chain continues what is stored', async () => {
        await grow(outdial, 1);
        expect((await append(outdial, { revision: 0, hash: 'f'.repeat(64) }, event())).ok).toBe(true);
        expect(verifyChain(await store.readStream(outdial))).toBeNull();
      });
    });

    describe('reading a stream', () => {
      test('a stream that does not exist is empty', async () => {
        expect(await store.readStream(outdial)).toEqual([]);
      });

      test('a stream whose name begins like another one is another stream', async () => {
        await grow(target('a'), 1);
        expect(await store.readStream(target('ab'))).toEqual([]);
        expect(await store.readStream(outdial)).toEqual([]);
      });

      test('it can be read from a revision on, and from beyond its end there is nothing', async () => {
        await grow(outdial, 5);
        const revisions = async (from: number): Promise<number[]> =>
          (await store.readStream(outdial, from)).map(({ revision }) => revision);
        expect(await revisions(0)).toEqual([0, 1, 2, 3, 4]);
        expect(await revisions(3)).toEqual([3, 4]);
        expect(await revisions(5)).toEqual([]);
      });

      test('a long stream is read whole and in order', async () => {
        const events = Array.from({ length: 1700 }, (_, n) => event({ n }));
        await append(outdial, EMPTY_STREAM, ...events);
        const read = await store.readStream(outdial);
        expect(read.map(({ id }) => id)).toEqual(events.map(({ id }) => id));
        expect(verifyChain(read)).toBeNull();
      });

      test('what an append has answered is there when it is read', async () => {
        for (let n = 0; n < 30; n += 1) {
          await append(target(String(n)), EMPTY_STREAM, event());
          expect(await store.readStream(target(String(n)))).toHaveLength(1);
        }
      });
    });

    describe('reading a group', () => {
      test('gives the events of all its streams and of no other, in the order of the log', async () => {
        const other = randomUUID();
        await grow(outdial, 2);
        await grow(`outdial-${other}`, 1);
        await grow(target('a'), 2);
        await grow(`outdial-${group}0`, 1);
        await append(outdial, await headOf(store, outdial), event());
        const events = await everything(store.readGroup(group, { after: START }));
        expect(events.map(({ stream, revision }) => [stream, revision])).toEqual([
          [outdial, 0],
          [outdial, 1],
          [target('a'), 0],
          [target('a'), 1],
          [outdial, 2],
        ]);
        expect(isIncreasing(events)).toBe(true);
      });

      test('comes in batches no larger than asked for, each with the position to go on from', async () => {
        await grow(outdial, 7);
        const batches = await all(store.readGroup(group, { after: START, batchSize: 3 }));
        expect(batches.flatMap(({ events }) => events)).toHaveLength(7);
        for (const { events } of batches) expect(events.length).toBeLessThanOrEqual(3);
        const [first] = batches;
        const rest = await everything(store.readGroup(group, { after: first?.position ?? START }));
        expect([...(first?.events ?? []), ...rest].map(({ revision }) => revision)).toEqual([0, 1, 2, 3, 4, 5, 6]);
      });

      test('a range leaves out its lower bound and includes its upper one', async () => {
        await grow(outdial, 5);
        const positions = (await store.readStream(outdial)).map(({ position }) => position);
        const events = await everything(store.readGroup(group, { after: positions[1] ?? '', upTo: positions[3] ?? '' }));
        expect(events.map(({ revision }) => revision)).toEqual([2, 3]);
      });

      test('a group without events ends without events', async () => {
        expect(await everything(store.readGroup(randomUUID(), { after: START }))).toEqual([]);
      });
    });

    describe('reading everything', () => {
      test('gives each event once, in the order in which it was appended', async () => {
        const before = await store.head();
        await grow(outdial, 2);
        await grow(target('a'), 1);
        await grow(`customer-${randomUUID()}`, 1);
        const events = await everything(store.readAll({ after: before, batchSize: 3 }));
        expect(events.map(({ revision }) => revision)).toEqual([0, 1, 0, 0]);
        expect(isIncreasing(events)).toBe(true);
      });

      test('ends at the head of the time of the call, though appends go on', async () => {
        const before = await store.head();
        await grow(outdial, 4);
        const events: RecordedEvent[] = [];
        for await (const batch of store.readAll({ after: before, batchSize: 2 })) {
          events.push(...batch.events);
          await append(target(randomUUID()), EMPTY_STREAM, event());
        }
        expect(events.map(({ stream }) => stream)).toEqual([outdial, outdial, outdial, outdial]);
      });

      test('the last batch says that nothing came later, and an earlier one does not', async () => {
        const before = await store.head();
        await grow(outdial, 4);
        const batches = await all(store.readAll({ after: before, batchSize: 2 }));
        expect(batches.at(0)?.caughtUp).toBe(false);
        expect(batches.at(-1)?.caughtUp).toBe(true);
      });

      test('from the head on there is nothing', async () => {
        await grow(outdial, 1);
        expect(await everything(store.readAll({ after: await store.head() }))).toEqual([]);
      });

      test('it can be left early', async () => {
        const before = await store.head();
        await grow(outdial, 6);
        for await (const batch of store.readAll({ after: before, batchSize: 2 })) {
          expect(batch.events).toHaveLength(2);
          break;
        }
        expect(await store.readStream(outdial)).toHaveLength(6);
      });
    });

    describe('the head', () => {
      test('is the position of the last event', async () => {
        const { position } = appended(await append(outdial, EMPTY_STREAM, event(), event()));
        expect(await store.head()).toBe(position);
      });

      test('moves on with each append and not with a conflict', async () => {
        await grow(outdial, 1);
        const head = await store.head();
        await append(outdial, EMPTY_STREAM, event());
        expect(await store.head()).toBe(head);
        await append(target('a'), EMPTY_STREAM, event());
        expect((await store.head()) > head).toBe(true);
      });
    });

    describe('a subscription', () => {
      let ended: AbortController;
      beforeEach(() => (ended = new AbortController()));
      afterEach(() => ended.abort());

      /** Collects events until there are `count`, then ends the subscription. */
      const follow = async (after: string, count: number, pace = 0): Promise<{ events: RecordedEvent[]; position: string }> => {
        const events: RecordedEvent[] = [];
        let position = after;
        const mine = new AbortController();
        for await (const batch of store.subscribe(after, AbortSignal.any([ended.signal, mine.signal]))) {
          events.push(...batch.events);
          position = batch.position;
          if (pace > 0) await sleep(pace);
          if (events.length >= count) mine.abort();
        }
        return { events, position };
      };

      test('gives what is there and then what comes, each event once and in order', async () => {
        const before = await store.head();
        await grow(outdial, 3);
        const following = follow(before, 6);
        await grow(target('a'), 3);
        const { events } = await following;
        expect(events.map(({ stream, revision }) => [stream, revision])).toEqual([
          ...[0, 1, 2].map((revision) => [outdial, revision]),
          ...[0, 1, 2].map((revision) => [target('a'), revision]),
        ]);
      });

      test('loses and repeats nothing while appends race with it, even when its consumer is slow', async () => {
        const before = await store.head();
        const following = follow(before, 600, 1);
        const growing = Array.from({ length: 6 }, async (_, writer) => {
          for (let n = 0; n < 10; n += 1) {
            const streams = Array.from({ length: 10 }, (__, k) => target(`${writer}.${n}.${k}`));
            await store.append(streams.map(starting), n % 2 === 0 ? 'interactive' : 'import');
          }
        });
        await Promise.all(growing);
        const { events } = await following;
        expect(events).toHaveLength(600);
        expect(new Set(events.map(({ stream }) => stream)).size).toBe(600);
        expect(isIncreasing(events)).toBe(true);
      });

      test('resumes after the position of a batch with no gap and no repeat', async () => {
        const before = await store.head();
        await grow(outdial, 3);
        const first = await follow(before, 3);
        await grow(target('a'), 2);
        const second = await follow(first.position, 2);
        expect(second.events.map(({ stream, revision }) => [stream, revision])).toEqual([
          [target('a'), 0],
          [target('a'), 1],
        ]);
      });

      test('says when it has caught up, also when there was nothing to catch up with', async () => {
        const iterator = store.subscribe(await store.head(), ended.signal)[Symbol.asyncIterator]();
        expect((await iterator.next()).value).toMatchObject({ events: [], caughtUp: true });
      });

      test('has caught up by the last of what was there', async () => {
        const before = await store.head();
        await grow(outdial, 3);
        for await (const batch of store.subscribe(before, ended.signal)) {
          if (batch.caughtUp) {
            expect(batch.position >= (await store.head())).toBe(true);
            break;
          }
        }
      });

      test('two of them each get everything', async () => {
        const before = await store.head();
        const both = [follow(before, 4), follow(before, 4)];
        await grow(outdial, 4);
        const [one, two] = await Promise.all(both);
        expect(one?.events).toEqual(two?.events);
        expect(one?.events).toHaveLength(4);
      });

      test('returns when its signal aborts, while it waits and before it has begun', async () => {
        const waiting = all(store.subscribe(await store.head(), ended.signal));
        await grow(outdial, 1);
        ended.abort();
        await expect(waiting).resolves.toBeDefined();
        expect(await all(store.subscribe(START, ended.signal))).toEqual([]);
      });

      test('returns when the store is closed', async () => {
        const waiting = all(store.subscribe(await store.head(), ended.signal));
        await grow(outdial, 1);
        await store.close();
        await expect(waiting).resolves.toBeDefined();
      });
    });

    describe('closing', () => {
      test('finishes what was begun', async () => {
        const streams = Array.from({ length: 700 }, (_, n) => target(String(n)));
        const begun = store.append(streams.map(starting), 'import');
        await store.close();
        expect((await begun).every(({ ok }) => ok)).toBe(true);
      });

      test('afterwards appends are answered, and reads refused, as unavailable', async () => {
        await store.close();
        const unavailable = { ok: false, error: 'StoreUnavailable' };
        expect(await store.append([starting(outdial), starting(target('a'))], 'interactive')).toEqual([unavailable, unavailable]);
        await expect(store.readStream(outdial)).rejects.toMatchObject({ code: 'StoreUnavailable' });
        await expect(store.head()).rejects.toMatchObject({ code: 'StoreUnavailable' });
        await expect((async () => all(store.readAll({ after: START })))()).rejects.toMatchObject({ code: 'StoreUnavailable' });
      });

      test('may be asked for twice', async () => {
        await store.close();
        await expect(store.close()).resolves.toBeUndefined();
      });
    });

    describe('after a restart', () => {
      test('the log is the same one, with everything in it', async () => {
        const { logId } = store;
        const head = await grow(outdial, 3);
        const events = await store.readStream(outdial);
        store = await opened.reopen();
        expect(store.logId).toBe(logId);
        expect(await store.readStream(outdial)).toEqual(events);
        expect(await store.head()).toBe(events.at(-1)?.position);
        expect((await append(outdial, head, event())).ok).toBe(true);
        expect(verifyChain(await store.readStream(outdial))).toBeNull();
      });

      test('a command from before it is still recognised, and a stale one still refused', async () => {
        const command = event();
        const first = await append(outdial, EMPTY_STREAM, command);
        store = await opened.reopen();
        expect(await append(outdial, EMPTY_STREAM, command)).toEqual({ ...first, repeated: true });
        expect(await append(outdial, EMPTY_STREAM, event())).toEqual(conflict);
      });
    });

    test('a log has an identity', () => {
      expect(store.logId).not.toBe('');
    });
  });
}

const conflict: AppendResult = { ok: false, error: 'RevisionConflict' };

function event(content: object = {}, data = JSON.stringify(content)): NewEvent {
  return { id: randomUUID(), type: 'Tried', data, metadata: JSON.stringify({ tm: 1_700_000_000_000_000 }) };
}

function starting(stream: string): AppendRequest {
  return { stream, expected: { revision: NO_STREAM, hash: '' }, events: [event()] };
}

function appended(result: AppendResult): Extract<AppendResult, { ok: true }> {
  if (!result.ok) throw new Error(`Expected an append, got ${result.error}`);
  return result;
}

function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`Expected one, got ${items.length}`);
  return item;
}

async function headOf(store: EventStore, stream: string): Promise<StreamHead> {
  return (await store.readStream(stream)).at(-1) ?? EMPTY_STREAM;
}

async function all(batches: AsyncIterable<EventBatch>): Promise<EventBatch[]> {
  const collected: EventBatch[] = [];
  for await (const batch of batches) collected.push(batch);
  return collected;
}

async function everything(batches: AsyncIterable<EventBatch>): Promise<RecordedEvent[]> {
  return (await all(batches)).flatMap(({ events }) => events);
}

function isIncreasing(events: readonly RecordedEvent[]): boolean {
  return events.every(({ position }, index) => index === 0 || position > (events[index - 1]?.position ?? ''));
}
