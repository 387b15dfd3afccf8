import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import {
  copyLog,
  logsContinuedBy,
  openEventStoreDb,
  openSqliteEventStore,
  verifyChain,
  type EventStore,
  type LogCopy,
  type Position,
  type RecordedEvent,
  type SqliteEventStore,
} from '.';
import { startFakeEventStoreDb, type FakeEventStoreDb } from '../../test/support/eventstoredb/fake-eventstoredb';

const categories = ['outdial', 'outdialtarget', 'customer'];
const WINDOW = 40;

let directory: string;
let source: SqliteEventStore;
let server: FakeEventStoreDb;
let target: EventStore;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'log-copy-'));
  source = await openSqliteEventStore({ directory, threads: false });
  server = await startFakeEventStoreDb();
  target = await openTarget();
});
afterEach(async () => {
  await Promise.all([source.close(), target.close()]);
  await server.close();
  rmSync(directory, { recursive: true });
});

const openTarget = (): Promise<EventStore> =>
  openEventStoreDb({
    url: server.url,
    categories,
    unfinished: true,
    limits: { attemptMs: 300, inDoubtMs: 2000, unreachableMs: 300 },
  });

/** Adds events to streams of all categories in turns, as a service at work does; answers how many. */
async function work(store: EventStore, rounds: number): Promise<void> {
  const streams = [
    'customer-ada',
    ...['a', 'b'].map((id) => `outdial-${id}`),
    ...Array.from({ length: 30 }, (_, n) => `outdialtarget-${n % 2 ? 'a' : 'b'}.${n}`),
  ];
  for (let round = 0; round < rounds; round += 1) {
    const stream = streams[(round * 7) % streams.length] ?? 'customer-ada';
    const head = (await store.readStream(stream)).at(-1) ?? { revision: -1, hash: '' };
    const events = Array.from({ length: 1 + (round % 3) }, (_, n) => ({
      id: randomUUID(),
      type: 'Tried',
      data: JSON.stringify({ round, n, text: 'größer ☎ '.repeat(round % 5) }),
      metadata: round % 4 ? '{"tm": 1.50, "v":1}' : '{}',
    }));
    const [appended] = await store.append([{ stream, expected: head, events }], 'import');
    if (!appended?.ok) throw new Error('the test could not append');
  }
}

const copy = (cuts: readonly Position[] = [], into: EventStore = target): Promise<LogCopy> =>
  copyLog(source, into, {
    cuts,
    last: 'outdialtarget',
    onProgress: () => undefined,
    limits: { window: WINDOW, lanes: 8, patienceMs: 3000 },
  });

async function all(store: EventStore, upTo?: Position): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const batch of store.readAll({ after: '', ...(upTo === undefined ? {} : { upTo }) })) events.push(...batch.events);
  return events;
}
/** Everything but where it stands, in an order of its own. */
const contents = (events: readonly RecordedEvent[]): readonly string[] =>
  events
    .map(({ stream, revision, id, type, data, metadata, hash }) => JSON.stringify([stream, revision, id, type, data, metadata, hash]))
    .sort();

async function expectSame(): Promise<void> {
  const [there, here] = [await all(target), await all(source)];
  expect(contents(there)).toEqual(contents(here));
  expect(verifyChain(there)).toBeNull();
}

/** What stands in the copy up to a place's counterpart, and what stands in the source up to that place. */
async function expectExact(log: LogCopy, place: Position): Promise<void> {
  expect(contents(await all(target, log.placeOf(place)))).toEqual(contents(await all(source, place)));
}

test('ids, revisions, text and hashes are the source’s, and streams that others belong to come first', async () => {
  await work(source, 200);
  const log = await copy();
  await expectSame();
  expect(log.events).toBe((await all(source)).length);
  const order = (await all(target)).map(({ stream }) => stream.split('-')[0]);
  expect(order.indexOf('outdialtarget')).toBeGreaterThan(order.lastIndexOf('customer', order.indexOf('outdialtarget')));
  expect(await logsContinuedBy(target)).toEqual([target.logId, source.logId]);
  expect(target.logId).not.toBe(source.logId);
});

test('an empty log is copied, too', async () => {
  expect(await copy()).toMatchObject({ streams: 0, events: 0 });
});

test('a cut has an exact counterpart, and so has the head; any other place one that is earlier, never later', async () => {
  await work(source, 200);
  const events = await all(source);
  const places = [0, 17, 18, 95, 250].map((at) => events[at]?.position ?? '');
  const log = await copy(places);
  for (const place of ['', ...places, await source.head()]) await expectExact(log, place);
  const between = events[140]?.position ?? '';
  const before = contents(await all(target, log.placeOf(between)));
  const known = new Set(contents(await all(source, between)));
  expect(before.filter((event) => !known.has(event))).toEqual([]);
  expect(known.size - before.length).toBeLessThan(WINDOW);
});

test('events that stood at some places are found where they stand now', async () => {
  await work(source, 100);
  const events = await all(source);
  const asked = [events[3], events[120]].map((event) => event?.position ?? '');
  const log = await copy();
  const places = await log.placesOfEvents([...asked, '0000000000999999']);
  expect([...places.keys()]).toEqual(asked);
  const copied = await all(target);
  for (const [from, to] of places) {
    expect(copied.find(({ position }) => position === to)?.id).toBe(events.find(({ position }) => position === from)?.id);
  }
});

describe('a copy that is disturbed', () => {
  test.each(['loseAnswers', 'loseRequests', 'silent'] as const)('has everything once (%s)', async (fault) => {
    await work(source, 100);
    server.faults[fault] = 4;
    await copy();
    await expectSame();
  });

  test('waits for a server that goes away and comes back', async () => {
    await work(source, 300);
    const copying = copy();
    while (server.appends() < 40) await new Promise((resolve) => setTimeout(resolve, 1));
    await server.away();
    await new Promise((resolve) => setTimeout(resolve, 600));
    await server.back();
    await copying;
    await expectSame();
  });

  test('gives up when the server stays away, and goes on when it is asked again', async () => {
    await work(source, 100);
    await server.away();
    await expect(copy()).rejects.toMatchObject({ code: 'StoreUnavailable' });
    await server.back();
    await copy();
    await expectSame();
  });

  test('goes on wherever it was cut off, and its cuts stay exact', async () => {
    await work(source, 150);
    const events = await all(source);
    const cut = events[101]?.position ?? '';
    let done: LogCopy | undefined;
    let runs = 0;
    for (let lives = 3; done === undefined; lives += 7) {
      runs += 1;
      done = await copy([cut], mortal(target, lives)).catch(async (error: unknown) => {
        if (!(error instanceof Killed)) throw error;
        await expect(openEventStoreDb({ url: server.url, categories })).rejects.toMatchObject({ code: 'CopyUnfinished' });
        return undefined;
      });
    }
    expect(runs).toBeGreaterThan(5);
    await expectSame();
    await expectExact(done, cut);
    await (await openEventStoreDb({ url: server.url, categories })).close();
  });

  test('and whose source went on meanwhile loses nothing for whoever had come to the middle of what had begun', async () => {
    await work(source, 60);
    await expect(copy([], mortal(target, 10))).rejects.toThrow(Killed);
    const cut = (await all(source))[9]?.position ?? '';
    await work(source, 30);
    const log = await copy([cut]);
    await expectSame();
    const known = new Set(contents(await all(source, cut)));
    expect(contents(await all(target, log.placeOf(cut))).filter((event) => !known.has(event))).toEqual([]);
  });

  test('a part of a stream that was appended otherwise than it would be now is continued', async () => {
    await work(source, 20);
    await copy([(await all(source))[2]?.position ?? '']);
    await work(source, 20);
    await copy();
    await expectSame();
  });
});

describe('is refused, with what to do', () => {
  test('into another log', async () => {
    await work(source, 5);
    await work(target, 1);
    await expect(copy()).rejects.toThrow(/another Outdial log already .*: choose a database without one/);
    expect(await all(target)).toHaveLength(1);
  });

  test('into a copy of another log', async () => {
    await work(source, 5);
    await copy();
    const other = await openSqliteEventStore({ directory: join(directory, 'other'), threads: false });
    try {
      const copying = copyLog(other, target, { cuts: [], last: 'outdialtarget', onProgress: () => undefined });
      await expect(copying).rejects.toThrow(/a copy of another log/);
    } finally {
      await other.close();
    }
  });

  test('into a copy that has been used since; one that has not is looked through again', async () => {
    await work(source, 50);
    await copy();
    const appends = server.appends();
    expect((await copy()).events).toBe((await all(source)).length);
    expect(server.appends()).toBe(appends);
    await work(target, 1);
    await expect(copy()).rejects.toThrow(/a service has gone on with the copy since/);
  });

  test('of a damaged record: the first event that does not fit is named, and nothing is written', async () => {
    await work(source, 50);
    const stream = 'outdialtarget-a.7';
    const db = new Database(join(directory, 'events.db'));
    db.prepare("UPDATE events SET data = '{}' WHERE stream = ? AND revision = 1").run(stream);
    db.close();
    await expect(copy()).rejects.toThrow(new RegExp(`${stream} event 1 .*its hash is not that of its content`));
    expect(await all(target)).toEqual([]);
  });

  test('when somebody writes into the target meanwhile', async () => {
    await work(source, 50);
    await expect(copy([], mortal(target, 3))).rejects.toThrow(Killed);
    const event = { id: randomUUID(), type: 'Tried', data: '{}', metadata: '{}' };
    await target.append([{ stream: 'outdialtarget-a.7', expected: { revision: -1, hash: '' }, events: [event] }], 'import');
    await expect(copy()).rejects.toThrow(/outdialtarget-a\.7 is not the source’s from event 0 on/);
  });

  test('when a stream that is not the source’s is found in the end', async () => {
    await work(source, 50);
    await expect(copy([], mortal(target, 3))).rejects.toThrow(Killed);
    const event = { id: randomUUID(), type: 'Tried', data: '{}', metadata: '{}' };
    await target.append([{ stream: 'outdial-other', expected: { revision: -1, hash: '' }, events: [event] }], 'import');
    await expect(copy()).rejects.toThrow(/outdial-other is not the source’s/);
    await expect(openEventStoreDb({ url: server.url, categories })).rejects.toMatchObject({ code: 'CopyUnfinished' });
  });
});

class Killed extends Error {}

/** A store whose process ends at one of its appends, and with it all under way: before they are made, or, every other time, when they were made and nobody was told. */
function mortal(store: EventStore, lives: number): EventStore {
  let left = lives;
  return {
    ...readsOf(store),
    logId: store.logId,
    exclusive: false,
    append: async (requests, lane) => {
      left -= 1;
      if (left > 0) return store.append(requests, lane);
      if (lives % 2 === 0) await store.append(requests, lane);
      throw new Killed();
    },
  };
}

const readsOf = (store: EventStore): Omit<EventStore, 'append' | 'logId' | 'exclusive'> => ({
  readStream: (stream, from) => store.readStream(stream, from),
  readGroup: (group, range) => store.readGroup(group, range),
  readAll: (range) => store.readAll(range),
  subscribe: (after, signal) => store.subscribe(after, signal),
  head: () => store.head(),
  close: () => store.close(),
});
