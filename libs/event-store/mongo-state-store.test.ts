import { randomUUID } from 'node:crypto';
import { startFakeMongoDb, type FakeMongoDb } from '../../test/support/mongodb/fake-mongodb';
import { openMongoStateStore } from './mongo-state-store';
import type { StateStore } from './state-store';
import { stateStoreContract } from './state-store.contract';

const real = process.env['MONGODB_URL'];
/** Runs on one server do not meet: each has a log of its own. */
const logId = randomUUID();

let fake: FakeMongoDb | undefined;
const open = (): Promise<StateStore> => openMongoStateStore({ url: real ?? fake?.url ?? '', logId });

beforeAll(async () => {
  if (real === undefined) fake = await startFakeMongoDb();
});
afterAll(() => fake?.close());

stateStoreContract(real === undefined ? 'MongoDB: the real driver, a stand-in for the server' : 'MongoDB', async () => {
  const state = await open();
  return {
    state,
    reopen: async () => {
      await state.close();
      return open();
    },
  };
});

describe('The state store (MongoDB)', () => {
  let server: FakeMongoDb;
  let state: StateStore;
  beforeEach(async () => {
    server = await startFakeMongoDb();
    state = await openMongoStateStore({ url: server.url, logId });
  });
  afterEach(async () => {
    await state.close();
    await server.close();
  });

  test.each(['cutBefore', 'cutAfter', 'notPrimary'] as const)(
    'a write is made once, and says so, when the first try fails (%s)',
    async (fault) => {
      server.faults[fault] = 1;
      expect(await state.put('key', '1', 0)).toBe(true);
      server.faults[fault] = 1;
      expect(await state.put('key', '2', 1)).toBe(true);
      expect(await state.get('key')).toMatchObject({ value: '2', version: 2 });
    },
  );

  test('a write that no majority confirmed is unknown, not refused', async () => {
    server.faults.writeConcernErrors = 1;
    await expect(state.put('key', '1', 0)).rejects.toMatchObject({ code: 'StoreUnavailable' });
    expect(await state.get('key')).toMatchObject({ version: 1 });
  });

  test('is written and read by majority', async () => {
    await state.put('key', '1', 0);
    await state.get('key');
    expect(server.last('insert')).toMatchObject({ $db: 'outdial_state', writeConcern: { w: 'majority' } });
    expect(server.last('find')).toMatchObject({ readConcern: { level: 'majority' } });
  });

  test('while the server is away it is unavailable within some seconds, and goes on when it is back', async () => {
    await state.put('key', '1', 0);
    await server.away();
    await expect(state.get('key')).rejects.toMatchObject({ code: 'StoreUnavailable' });
    await server.back();
    expect(await state.get('key')).toMatchObject({ value: '1' });
  });

  test('of another log is another one', async () => {
    const other = await openMongoStateStore({ url: server.url, logId: randomUUID() });
    await state.put('key', '1', 0);
    expect(await other.get('key')).toBeNull();
    await other.close();
  });

  test('lists and purges by an index', async () => {
    for (const key of ['a/1', 'a/2', 'b']) await state.put(key, '0', 0, 5);
    await state.list('a/');
    expect(server.last('find')).toMatchObject({ filter: { _id: { $gte: 'a/' } }, sort: { _id: 1 } });
    await state.purge(10);
    expect(server.last('delete')).toMatchObject({ deletes: [{ hint: 'expiry' }] });
    expect(await state.list('')).toEqual([]);
  });
});
