import { startFakeMongoDb, type FakeMongoDb } from '../../test/support/mongodb/fake-mongodb';
import { StoreUnavailable } from './event-store';
import { MongoConnection, mongoPrefix } from './mongo-connection';

describe('The URL of a MongoDB', () => {
  const opened = async (url: string): Promise<unknown> =>
    MongoConnection.open(url).then(
      () => null,
      (error: unknown) => error,
    );

  test('names the database; a server that is not there is unavailable, and nothing tells its password', async () => {
    const away = await startFakeMongoDb();
    const connection = await MongoConnection.open(`${away.url}mine?maxPoolSize=5`);
    await connection.collection('things').findOne();
    expect(away.last('find')).toMatchObject({ find: 'things', $db: 'mine' });
    await connection.close();
    await away.close();
    const error = await opened(away.url.replace('//', '//user:secret@'));
    expect(error).toMatchObject({ code: 'StoreUnavailable' });
    expect(String(error)).not.toContain('secret');
  });

  test.each(['http://user:secret@db', 'mongodb://', 'mongodb://user:secret@', 'mongodb://user:secret@db:port/x', 'mongodb://db/?what=1'])(
    'that is none is refused: %s',
    async (url) => {
      const error = await opened(url);
      expect(error).toBeInstanceOf(RangeError);
      expect(String(error)).not.toContain('secret');
    },
  );
});

describe('What goes wrong with MongoDB', () => {
  let server: FakeMongoDb;
  let connection: MongoConnection;
  beforeEach(async () => {
    server = await startFakeMongoDb();
    connection = await MongoConnection.open(server.url);
  });
  afterEach(async () => {
    await connection.close();
    await server.close();
  });
  const thrown = async (work: () => Promise<unknown>): Promise<unknown> =>
    connection.run(work).then(
      () => null,
      (error: unknown) => error,
    );

  test('with the connection is unavailable', async () => {
    server.faults.cutReads = 2;
    expect(await thrown(() => connection.collection('things').findOne())).toBeInstanceOf(StoreUnavailable);
    server.faults.notPrimary = 2;
    expect(await thrown(() => connection.collection('things').insertOne({}))).toBeInstanceOf(StoreUnavailable);
  });

  test('with its socket, which the driver tells as Node does, is unavailable, too; what is wrong elsewhere is not', async () => {
    const ended = Object.assign(new Error('This socket has been ended by the other party'), { code: 'EPIPE' });
    expect(await thrown(() => Promise.reject(ended))).toBeInstanceOf(StoreUnavailable);
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    expect(await thrown(() => Promise.reject(full))).toBe(full);
    const defect = new TypeError('undefined is not a function');
    expect(await thrown(() => Promise.reject(defect))).toBe(defect);
  });

  test('with the question is a mistake, which no second try would mend', async () => {
    await connection.collection('things').insertOne({ name: 'secret' });
    const error = await thrown(() => connection.collection('things').find({}, { hint: 'missing' }).toArray());
    expect(error).not.toBeInstanceOf(StoreUnavailable);
    expect(String(error)).toContain('hint');
  });

  test('with a bulk tells nothing of its documents', async () => {
    const things = connection.collection('things');
    const updates = [{ updateOne: { filter: {}, update: { $set: { _id: 'changed', name: 'secret' } }, upsert: false } }];
    await things.insertOne({ name: 'there' });
    const error = await thrown(() => things.bulkWrite(updates));
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(StoreUnavailable);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('secret');
  });

  test('what is no mistake of the caller’s is passed on as it is', async () => {
    expect(await thrown(() => Promise.reject(new TypeError('mine')))).toBeInstanceOf(TypeError);
  });
});

test('names of collections begin with the log’s id, which has to be one', () => {
  expect(mongoPrefix('0f8fad5b-d9cb-469f-a165-70867728950e')).toBe('0f8fad5b');
  expect(() => mongoPrefix('mine')).toThrow('UUID');
});
