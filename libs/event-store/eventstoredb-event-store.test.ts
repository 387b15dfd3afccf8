import { randomUUID } from 'node:crypto';
import { type FakeEventStoreDb, startFakeEventStoreDb } from '../../test/support/eventstoredb/fake-eventstoredb';
import { verifyChain } from './chain';
import { connectionUrl } from './eventstoredb-connection';
import { openEventStoreDb } from './eventstoredb-event-store';
import { putHash, takeHash } from './eventstoredb-wire';
import { type AppendRequest, EMPTY_STREAM, type EventStore, type RecordedEvent } from './event-store';
import { eventStoreContract } from './event-store.contract';

const categories = ['outdial', 'outdialtarget', 'customer'];
const limits = { attemptMs: 500, inDoubtMs: 5000, unreachableMs: 500 };
const real = process.env['EVENTSTORE_URL'];

let fake: FakeEventStoreDb | undefined;
const url = (): string => real ?? fake?.url ?? '';
const open = (): Promise<EventStore> => openEventStoreDb({ url: url(), categories, ...(real === undefined && { limits }) });

beforeAll(async () => {
  if (real === undefined) fake = await startFakeEventStoreDb();
});
afterAll(() => fake?.close());

eventStoreContract(real === undefined ? 'EventStoreDB: the real client, a stand-in for the server' : 'EventStoreDB', async () => {
  const opened = await open();
  return {
    store: opened,
    reopen: async () => {
      await opened.close();
      return open();
    },
  };
});

describe('The event store (EventStoreDB) when the server fails', () => {
  let server: FakeEventStoreDb;
  let store: EventStore;
  beforeEach(async () => {
    server = await startFakeEventStoreDb();
    store = await openEventStoreDb({ url: server.url, categories, limits });
  });
  afterEach(async () => {
    await store.close();
    await server.close();
  });

  const request = (stream = `outdial-${randomUUID()}`): AppendRequest => ({
    stream,
    expected: EMPTY_STREAM,
    events: [{ id: randomUUID(), type: 'Tried', data: '{}', metadata: '{"tm":1}' }],
  });

  test.each(['loseAnswers', 'loseRequests', 'silent'] as const)('appends are made exactly once (%s)', async (fault) => {
    server.faults[fault] = 3;
    const requests = Array.from({ length: 20 }, () => request());
    const results = await store.append(requests, 'interactive');
    expect(results.map(({ ok }) => ok)).toEqual(requests.map(() => true));
    for (const { stream } of requests) expect(await store.readStream(stream)).toHaveLength(1);
    expect(server.appends()).toBeGreaterThan(requests.length);
  });

  test('a command that another process has run is told as a repeat with what stands there, and the chain goes on from it', async () => {
    const first = request();
    const again: AppendRequest = { ...first, events: first.events.map((event) => ({ ...event, data: '{"later":true}' })) };
    const other = await openEventStoreDb({ url: server.url, categories, limits });
    try {
      await store.append([first], 'interactive');
      const [told] = await other.append([again], 'interactive');
      const [stored] = await store.readStream(first.stream);
      expect(told).toEqual({ ok: true, head: { revision: 0, hash: stored?.hash }, position: stored?.position, repeated: true });
      const next = { ...request(first.stream), expected: { revision: 0, hash: stored?.hash ?? '' }, verbatim: true };
      expect(await other.append([next], 'interactive')).toMatchObject([{ ok: true }]);
      expect(verifyChain(await store.readStream(first.stream))).toBeNull();
    } finally {
      await other.close();
    }
  });

  test('while it is away appends are unavailable and reads are refused; when it is back all goes on with the same store', async () => {
    await server.away();
    expect(await store.append([request()], 'interactive')).toEqual([{ ok: false, error: 'StoreUnavailable' }]);
    await expect(store.readStream('outdial-1')).rejects.toMatchObject({ code: 'StoreUnavailable' });
    await server.back();
    const after = request();
    await until(async () => (await store.append([after], 'interactive'))[0]?.ok === true);
    expect(await store.readStream(after.stream)).toHaveLength(1);
  });

  test('a subscription goes on after drops and an absence, with no gap and no repeat', async () => {
    const ended = new AbortController();
    const events: RecordedEvent[] = [];
    const following = (async () => {
      for await (const batch of store.subscribe('', ended.signal)) events.push(...batch.events);
    })();
    const sent: string[] = [];
    const send = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n += 1) {
        const next = request();
        await until(async () => (await store.append([next], 'interactive'))[0]?.ok === true);
        sent.push(next.stream);
      }
    };
    await send(5);
    server.dropSubscriptions();
    await send(5);
    await server.away();
    await server.back();
    await send(5);
    await until(() => Promise.resolve(events.length >= sent.length));
    ended.abort();
    await following;
    expect(events.map(({ stream }) => stream)).toEqual(sent);
    expect(verifyChain(events)).toBeNull();
  });

  test('a server that is not there is named when the log is opened', async () => {
    await server.away();
    await expect(openEventStoreDb({ url: server.url, categories, limits })).rejects.toMatchObject({ code: 'StoreUnavailable' });
  });
});

describe('The hash in the metadata of an event', () => {
  test.each(['{}', '{"a":1}', '{ }', '{"a":[ 1 ], "b":{}}', '{"hash":"mine"}'])('leaves the text %s as it was', (metadata) => {
    const hash = 'a'.repeat(64);
    expect(JSON.parse(putHash(metadata, hash))).toMatchObject({ hash });
    expect(takeHash(putHash(metadata, hash))).toEqual({ metadata, hash });
  });

  test('is empty when somebody else has written the event', () => {
    expect(takeHash('{"a":1}')).toEqual({ metadata: '{"a":1}', hash: '' });
  });
});

describe('The URL of an EventStoreDB', () => {
  test.each(['esdb', 'kurrentdb', 'kurrent'])('may begin with %s', (scheme) => {
    expect(connectionUrl(`${scheme}://admin:changeit@db:2113?tls=false`, 'append')).toMatch(
      /^esdb:\/\/admin:changeit@db:2113\/\?tls=false&/,
    );
    expect(connectionUrl(`${scheme}+discover://db`, 'append')).toMatch(/^esdb\+discover:\/\/db\//);
  });

  test('of another kind is refused', () => {
    expect(() => connectionUrl('http://db', 'append')).toThrow('must begin with esdb://');
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 100; n += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('It did not come to hold within 10 s.');
}
