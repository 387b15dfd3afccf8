import { MongoBulkWriteError, MongoClient, MongoServerError, type Collection, type Document } from 'mongodb';
import { startFakeMongoDb, type FakeMongoDb } from './fake-mongodb';

interface Thing {
  readonly _id: string;
  readonly owner?: string;
  readonly rank?: number;
  readonly tags?: readonly string[];
  readonly note?: string;
}

let server: FakeMongoDb;
let client: MongoClient;
let things: Collection<Thing>;

beforeEach(async () => {
  server = await startFakeMongoDb();
  client = new MongoClient(server.url, { serverSelectionTimeoutMS: 2000, writeConcern: { w: 'majority' }, readConcernLevel: 'majority' });
  things = client.db('test').collection<Thing>('things');
});
afterEach(async () => {
  await client.close();
  await server.close();
});

/** Fails when there is no such rejection: what a write is refused with. */
async function refusal(write: Promise<unknown>): Promise<MongoServerError> {
  const error = await write.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof MongoServerError)) throw new Error(`refused with ${String(error)}`);
  return error;
}

/** The stages of a plan from the outermost one. */
function stagesOf(explained: Document): Document[] {
  const stages: Document[] = [];
  for (
    let stage = (explained['queryPlanner'] as Document)['winningPlan'] as Document | undefined;
    stage !== undefined;
    stage = stage['inputStage'] as Document | undefined
  )
    stages.push(stage);
  return stages;
}
const namesOf = (explained: Document): unknown[] => stagesOf(explained).map(({ stage }) => stage as unknown);

describe('Documents', () => {
  test('are inserted, found, counted, replaced, changed and deleted', async () => {
    await things.insertMany([{ _id: 'a', rank: 1 }, { _id: 'b', rank: 2 }, { _id: 'c' }]);
    expect(await things.find({ rank: { $gte: 1 } }, { sort: { rank: -1 }, projection: { _id: 1 } }).toArray()).toEqual([
      { _id: 'b' },
      { _id: 'a' },
    ]);
    expect(await things.countDocuments({ rank: { $exists: true } })).toBe(2);
    expect(await things.replaceOne({ _id: 'a' }, { rank: 5 })).toMatchObject({ matchedCount: 1, modifiedCount: 1 });
    expect(await things.updateOne({ _id: 'b' }, { $set: { note: 'new' }, $inc: { rank: 10 } })).toMatchObject({ modifiedCount: 1 });
    expect(await things.updateMany({}, { $set: { owner: 'o' } })).toMatchObject({ matchedCount: 3, modifiedCount: 3 });
    expect(await things.updateMany({}, { $set: { owner: 'o' } })).toMatchObject({ matchedCount: 3, modifiedCount: 0 });
    expect(await things.findOne({ _id: 'b' })).toEqual({ _id: 'b', rank: 12, note: 'new', owner: 'o' });
    expect(await things.deleteOne({ owner: 'o' })).toMatchObject({ deletedCount: 1 });
    expect(await things.deleteMany({})).toMatchObject({ deletedCount: 2 });
  });

  test('an upsert makes what its filter pins and its update says', async () => {
    expect(await things.replaceOne({ _id: 'a', rank: { $lte: 3 } }, { rank: 3 }, { upsert: true })).toMatchObject({
      matchedCount: 0,
      upsertedId: 'a',
    });
    await things.updateOne({ _id: 'b' }, { $set: { rank: 1 }, $setOnInsert: { note: 'made' } }, { upsert: true });
    await things.updateOne({ _id: 'b' }, { $set: { rank: 2 }, $setOnInsert: { note: 'found' } }, { upsert: true });
    expect(await things.find({}, { sort: { _id: 1 } }).toArray()).toEqual([
      { _id: 'a', rank: 3 },
      { _id: 'b', rank: 2, note: 'made' },
    ]);
  });

  test('one is found and changed in a step', async () => {
    await things.insertMany([
      { _id: 'a', rank: 1 },
      { _id: 'b', rank: 2 },
    ]);
    expect(await things.findOneAndUpdate({}, { $inc: { rank: 5 } }, { sort: { rank: -1 }, returnDocument: 'after' })).toEqual({
      _id: 'b',
      rank: 7,
    });
    expect(await things.findOneAndDelete({ _id: 'a' })).toEqual({ _id: 'a', rank: 1 });
    expect(await things.findOneAndUpdate({ _id: 'z' }, { $set: { rank: 1 } })).toBeNull();
  });

  test('a filter on a field means documents, arrays and what is missing, as on a server', async () => {
    await things.insertMany([{ _id: 'a', tags: ['x', 'y'] }, { _id: 'b', tags: [] }, { _id: 'c' }]);
    const ids = async (filter: Document): Promise<string[]> => (await things.find(filter).toArray()).map(({ _id }) => _id);
    expect(await ids({ tags: 'x' })).toEqual(['a']);
    expect(await ids({ tags: null })).toEqual(['c']);
    expect(await ids({ tags: { $exists: true } })).toEqual(['a', 'b']);
    expect(await ids({ _id: { $regex: /^[ac]/ } })).toEqual(['a', 'c']);
    expect(await ids({ $or: [{ _id: 'b' }, { tags: 'y' }] })).toEqual(['a', 'b']);
  });

  test('come in batches, and a cursor that is closed early is gone', async () => {
    await things.insertMany(Array.from({ length: 250 }, (_, i) => ({ _id: `t${String(i).padStart(3, '0')}` })));
    const read: string[] = [];
    for await (const { _id } of things.find({}, { sort: { _id: 1 }, batchSize: 100 })) read.push(_id);
    expect(read).toHaveLength(250);
    expect(new Set(read).size).toBe(250);
    expect(server.count('getMore')).toBe(2);
    const cursor = things.find({}, { batchSize: 100 });
    await cursor.next();
    await cursor.close();
    expect(server.count('killCursors')).toBe(1);
    expect(await things.find({}, { sort: { _id: 1 }, skip: 10, limit: 2 }).toArray()).toEqual([{ _id: 't010' }, { _id: 't011' }]);
  });

  test('are grouped and counted by a pipeline', async () => {
    await things.insertMany([
      { _id: 'a', owner: 'x', rank: 1 },
      { _id: 'b', owner: 'x', rank: 2 },
      { _id: 'c', owner: 'y', rank: 3 },
    ]);
    const pipeline = [{ $match: { rank: { $gt: 0 } } }, { $group: { _id: '$owner', n: { $sum: 1 } } }, { $sort: { n: -1 } }, { $limit: 1 }];
    expect(await things.aggregate(pipeline).toArray()).toEqual([{ _id: 'x', n: 2 }]);
    expect(await things.aggregate([{ $match: { owner: 'x' } }, { $count: 'all' }]).toArray()).toEqual([{ all: 2 }]);
  });

  test('texts are ordered by their code points, and types before values', async () => {
    const texts = ['z', 'Z', '\u{1F986}', '\uFF21', 'ab', 'a'];
    await things.insertMany(texts.map((_id) => ({ _id })));
    expect((await things.find({}, { sort: { _id: 1 } }).toArray()).map(({ _id }) => _id)).toEqual([
      'Z',
      'a',
      'ab',
      'z',
      '\uFF21',
      '\u{1F986}',
    ]);
  });

  test('a command that it does not know, and a change of an id, are refused', async () => {
    expect(await refusal(client.db('test').command({ mapReduce: 'things' }))).toMatchObject({ code: 59 });
    await things.insertOne({ _id: 'a' });
    expect(await refusal(things.updateOne({ _id: 'a' }, { $set: { _id: 'b' } }))).toMatchObject({ code: 66 });
  });
});

describe('Collections', () => {
  test('are there once something was written, are listed, and dropped', async () => {
    await things.insertOne({ _id: 'a' });
    await client.db('test').createCollection('others');
    const names = async (): Promise<string[]> => (await client.db('test').listCollections().toArray()).map(({ name }) => name).sort();
    expect(await names()).toEqual(['others', 'things']);
    expect(await client.db('elsewhere').listCollections().toArray()).toEqual([]);
    await client.db('test').collection('others').drop();
    expect(await names()).toEqual(['things']);
    await client.db('test').dropDatabase();
    expect(await names()).toEqual([]);
    expect(await things.findOne({ _id: 'a' })).toBeNull();
  });
});

describe('Unique keys', () => {
  test('an id that is there is refused with E11000, its key and its value', async () => {
    await things.insertOne({ _id: 'a' });
    expect(await refusal(things.insertOne({ _id: 'a' }))).toMatchObject({ code: 11000, keyPattern: { _id: 1 }, keyValue: { _id: 'a' } });
    // What an older position meets that wants to replace a newer one.
    expect(await refusal(things.replaceOne({ _id: 'a', rank: { $lte: 3 } }, { rank: 3 }, { upsert: true }))).toMatchObject({ code: 11000 });
  });

  test('so is the value of a unique index, but not of a document that a partial one leaves out', async () => {
    await things.createIndexes([{ key: { rank: 1 }, unique: true, partialFilterExpression: { rank: { $exists: true } } }]);
    await things.insertMany([{ _id: 'a' }, { _id: 'b' }, { _id: 'c', rank: 1 }]);
    expect(await refusal(things.insertOne({ _id: 'd', rank: 1 }))).toMatchObject({ code: 11000, keyValue: { rank: 1 } });
    expect(await refusal(things.updateOne({ _id: 'a' }, { $set: { rank: 1 } }))).toMatchObject({ code: 11000 });
    expect(await things.updateOne({ _id: 'c' }, { $set: { note: 'own' } })).toMatchObject({ modifiedCount: 1 });
  });

  test('an ordered bulk stops at the first error, an unordered one makes the rest', async () => {
    await things.insertOne({ _id: 'b' });
    const inserts = (prefix: string) => [`${prefix}1`, 'b', `${prefix}2`].map((_id) => ({ insertOne: { document: { _id } } }));
    const ordered = await refusal(things.bulkWrite(inserts('x'), { ordered: true }));
    expect(ordered).toBeInstanceOf(MongoBulkWriteError);
    expect(await things.countDocuments({ _id: { $regex: /^x/ } })).toBe(1);
    const unordered = await refusal(things.bulkWrite(inserts('y'), { ordered: false }));
    expect(unordered).toMatchObject({ writeErrors: [{ index: 1, code: 11000 }] });
    expect(await things.countDocuments({ _id: { $regex: /^y/ } })).toBe(2);
  });
});

describe('Indexes', () => {
  const partial = { rank: { $exists: true } };
  beforeEach(async () => {
    await things.createIndexes([
      { key: { owner: 1, rank: 1, _id: 1 }, name: 'ranked', partialFilterExpression: partial },
      { key: { owner: 1, tags: 1, rank: 1, _id: 1 }, name: 'tagged' },
    ]);
    await things.insertMany(
      Array.from({ length: 200 }, (_, i) => ({
        _id: `t${String(i).padStart(3, '0')}`,
        owner: i % 2 === 0 ? 'even' : 'odd',
        tags: i % 5 === 0 ? ['five', 'any'] : ['any'],
        ...(i % 3 === 0 ? {} : { rank: i % 7 }),
      })),
    );
  });
  const sort = { rank: 1, _id: 1 } as const;
  const explain = (filter: Document, options: Document = {}): Promise<Document> => things.find(filter, options).explain('executionStats');

  test('are listed, made once, and refused under the same name with another key', async () => {
    expect(await things.createIndexes([{ key: { owner: 1, tags: 1, rank: 1, _id: 1 }, name: 'tagged' }])).toEqual(['tagged']);
    expect(await refusal(things.createIndexes([{ key: { owner: 1 }, name: 'tagged' }]))).toMatchObject({ code: 86 });
    expect((await things.listIndexes().toArray()).map(({ name }) => name as string)).toEqual(['_id_', 'ranked', 'tagged']);
    expect((await things.listIndexes().toArray())[1]).toMatchObject({
      key: { owner: 1, rank: 1, _id: 1 },
      partialFilterExpression: partial,
    });
    await things.dropIndex('tagged');
    expect(await things.indexExists('tagged')).toBe(false);
  });

  test('equality and order are answered from the index, looking at no more than it brings', async () => {
    const explained = await explain({ owner: 'odd', rank: { $exists: true } }, { sort, limit: 5 });
    expect(namesOf(explained)).toEqual(['FETCH', 'IXSCAN']);
    expect(stagesOf(explained)[1]).toMatchObject({ indexName: 'ranked', direction: 'forward', indexBounds: { owner: ['["odd", "odd"]'] } });
    expect(explained['executionStats']).toMatchObject({ nReturned: 5, totalKeysExamined: 5, totalDocsExamined: 5 });
  });

  test('backwards too, and within bounds', async () => {
    const explained = await explain({ owner: 'odd', rank: { $gte: 2, $lt: 5 } }, { sort: { rank: -1, _id: -1 } });
    const [, scan] = stagesOf(explained);
    expect(scan).toMatchObject({ indexName: 'ranked', direction: 'backward', indexBounds: { rank: ['[2, 5)'] } });
    const { nReturned, totalKeysExamined } = explained['executionStats'] as { nReturned: number; totalKeysExamined: number };
    expect(totalKeysExamined).toBe(nReturned);
    const found = await things.find({ owner: 'odd', rank: { $gte: 2, $lt: 5 } }, { sort: { rank: -1, _id: -1 } }).toArray();
    const byHand = (await things.find({ owner: 'odd' }).toArray())
      .filter(({ rank }) => rank !== undefined && rank >= 2 && rank < 5)
      .sort((one, other) => Number(other.rank) - Number(one.rank) || (one._id < other._id ? 1 : -1));
    expect(found).toEqual(byHand);
    expect(found).toHaveLength(nReturned);
  });

  test('one of the values of an array is found by it', async () => {
    const question = { owner: 'even', tags: 'five' };
    expect(namesOf(await explain(question, { sort, hint: 'tagged' }))).toEqual(['FETCH', 'IXSCAN']);
    expect(await things.find(question, { sort, hint: 'tagged' }).toArray()).toHaveLength(20);
  });

  test('an order that no index gives is sorted, a field that none begins with is scanned for', async () => {
    expect(namesOf(await explain({ owner: 'odd' }, { sort: { note: 1 } }))).toEqual(['SORT', 'FETCH', 'IXSCAN']);
    expect(namesOf(await explain({ rank: 3 }))).toEqual(['COLLSCAN']);
  });

  test('a partial index is not used where it may lack a document', async () => {
    expect(stagesOf(await explain({ owner: 'odd' }, { sort }))).toMatchObject([
      { stage: 'SORT' },
      { stage: 'FETCH' },
      { indexName: 'tagged' },
    ]);
    expect(await things.find({ owner: 'odd' }).toArray()).toHaveLength(100);
    expect(stagesOf(await explain({ owner: 'odd', rank: { $gte: 0 } }, { sort }))[1]).toMatchObject({ indexName: 'ranked' });
  });

  test('a hint of an index that is not there is an error; one that does not fit is walked from end to end', async () => {
    expect(await refusal(things.find({ owner: 'odd' }, { hint: 'missing' }).toArray())).toMatchObject({ code: 2 });
    expect(await refusal(things.countDocuments({ owner: 'odd' }, { hint: 'missing' }))).toMatchObject({ code: 2 });
    const unfit = await explain({ note: 'x' }, { hint: 'tagged' });
    expect(stagesOf(unfit)[1]).toMatchObject({ indexBounds: { owner: ['[MinKey, MaxKey]'] } });
    expect((unfit['executionStats'] as Document)['totalKeysExamined']).toBeGreaterThan(200);
  });

  test('follow every change of a document', async () => {
    await things.updateOne({ _id: 't001' }, { $set: { rank: 100 } });
    await things.updateOne({ _id: 't002' }, { $unset: { rank: '' } });
    await things.deleteOne({ _id: 't005' });
    const ranked = await things.find({ owner: { $in: ['odd', 'even'] }, rank: { $gte: 0 } }, { hint: 'ranked' }).toArray();
    expect(ranked.map(({ _id }) => _id)).not.toContain('t002');
    expect(ranked.map(({ _id }) => _id)).not.toContain('t005');
    expect(await things.find({ owner: 'odd', rank: { $gt: 50 } }, { hint: 'ranked' }).toArray()).toMatchObject([{ _id: 't001' }]);
  });
});

describe('Faults', () => {
  test('a write that was cut off before or after it was made is made exactly once, for the driver tries again', async () => {
    await things.insertOne({ _id: 'a', rank: 0 });
    for (const fault of ['cutBefore', 'cutAfter'] as const) {
      server.faults[fault] = 1;
      await things.updateOne({ _id: 'a' }, { $inc: { rank: 1 } });
    }
    expect(await things.findOne({ _id: 'a' })).toMatchObject({ rank: 2 });
    expect(server.count('update')).toBe(4);
    expect(server.repeated()).toBe(1);
    expect(server.last('update')).toMatchObject({ writeConcern: { w: 'majority' } });
  });

  test('a bulk that was cut off in the middle goes on with what was not made', async () => {
    await things.insertMany(['a', 'b', 'c'].map((_id) => ({ _id, rank: 0 })));
    server.faults.cutWithin = [2];
    const updates = ['a', 'b', 'c'].map((_id) => ({ updateOne: { filter: { _id }, update: { $inc: { rank: 1 } } } }));
    expect(await things.bulkWrite(updates, { ordered: false })).toMatchObject({ matchedCount: 3, modifiedCount: 3 });
    expect((await things.find().toArray()).map(({ rank }) => rank)).toEqual([1, 1, 1]);
    expect(server.repeated()).toBe(2);
  });

  test('a write that is cut off twice rejects, and has been made or not', async () => {
    server.faults.cutAfter = 2;
    await expect(things.insertOne({ _id: 'a' })).rejects.toThrow('closed');
    server.faults.cutBefore = 2;
    await expect(things.insertOne({ _id: 'b' })).rejects.toThrow('closed');
    expect(await things.find().toArray()).toEqual([{ _id: 'a' }]);
  });

  test('a read that is cut off is made again', async () => {
    await things.insertOne({ _id: 'a' });
    server.faults.cutReads = 1;
    expect(await things.findOne({ _id: 'a' })).toEqual({ _id: 'a' });
    expect(server.last('find')).toMatchObject({ readConcern: { level: 'majority' } });
  });

  test('a primary that is none any more is looked for again', async () => {
    server.faults.notPrimary = 1;
    await things.insertOne({ _id: 'a' });
    expect(server.count('insert')).toBe(2);
  });

  test('a write concern that is not met rejects, though the write is made', async () => {
    server.faults.writeConcernErrors = 1;
    expect(await refusal(things.insertOne({ _id: 'a' }))).toMatchObject({ code: 64 });
    expect(await things.findOne({ _id: 'a' })).toEqual({ _id: 'a' });
  });

  test('while it is away nothing is answered; when it is back, what was there is there and the driver finds it by itself', async () => {
    await things.insertOne({ _id: 'a' });
    await server.away();
    await expect(things.findOne({ _id: 'a' })).rejects.toThrow();
    await server.back();
    expect(await things.findOne({ _id: 'a' })).toEqual({ _id: 'a' });
  });

  test('it answers as slowly as it is told to', async () => {
    await things.insertOne({ _id: 'a' });
    server.faults.delayMs = 300;
    const impatient = new MongoClient(server.url, { socketTimeoutMS: 100, retryReads: false });
    await expect(impatient.db('test').collection('things').findOne({})).rejects.toThrow('timed out');
    await impatient.close();
    server.faults.delayMs = 20;
    expect(await things.findOne({ _id: 'a' })).toEqual({ _id: 'a' });
  });
});
