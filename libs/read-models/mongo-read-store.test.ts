import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient, type Document } from 'mongodb';
import { decodeEvent } from '#dialing';
import { START } from '#event-store';
import { startFakeMongoDb, type FakeMongoDb } from '../../test/support/mongodb/fake-mongodb';
import { openMongoGenerations } from './mongo-generations';
import { MongoLayout, versionsKey } from './mongo-layout';
import { countQuery, findSteps, type MongoQuery } from './mongo-queries';
import { openMongoReadStore } from './mongo-read-store';
import { versionsOf, type AnyProjection } from './projection';
import { factOfRecorded, positionOf, T0, TestLog } from './projection.contract';
import { operationsOf, READ_MODEL_QUERIES } from './queries.contract';
import { startProjector } from './projector';
import { READ_MODELS } from './read-models';
import { openGenerations, openReadStore, type OpenedGenerations } from './read-source';
import { CONTRACT_MODELS, readStoreContract, type OpenedReadStore } from './read-store.contract';
import type { FindQuery, GenerationWriter, ReadOperation, StoredDocument } from './read-store';
import { runProjections, type RunEnd } from './runner';

const real = process.env['MONGODB_URL'];
let shared: FakeMongoDb | undefined;
const url = (): string => real ?? shared?.url ?? '';

beforeAll(async () => {
  if (real === undefined) shared = await startFakeMongoDb();
});
afterAll(() => shared?.close());

const databaseName = (): string => /^[^/]+\/\/[^/]*\/([^?]+)/.exec(url())?.[1] ?? 'outdial';

/** Each with a log of its own: tests and runs on one server do not meet. */
async function open(projections: readonly AnyProjection[]): Promise<OpenedReadStore> {
  const source = { kind: 'mongodb', url: url(), logId: randomUUID() } as const;
  const generations = await openGenerations(source, projections);
  const reads = await openReadStore(source, projections);
  return {
    generations,
    reads,
    refresh: () => reads.refresh(),
    close: async () => {
      await reads.close();
      await generations.close();
    },
  };
}

readStoreContract(real === undefined ? 'MongoDB: the real driver, a stand-in for the server' : 'MongoDB', () => open(CONTRACT_MODELS));

/** Opens a generation and makes it live. */
async function live(generations: OpenedGenerations, name: string, projections: readonly AnyProjection[]): Promise<GenerationWriter> {
  const writer = await generations.open(name, versionsOf(projections));
  await writer.prepare();
  await generations.promote(name);
  return writer;
}

describe('Queries of the read models', () => {
  const logId = randomUUID();
  const schemas = new Map(READ_MODELS.map(({ schema }) => [schema.name, schema]));
  let client: MongoClient;

  beforeAll(async () => {
    const generations = await openMongoGenerations({ url: url(), logId, projections: READ_MODELS });
    await live(generations, 'g1', READ_MODELS);
    await generations.close();
    client = await new MongoClient(url()).connect();
  });
  afterAll(() => client.close());

  function stepsOf(operation: ReadOperation): readonly MongoQuery[] {
    const schema = schemas.get(operation.kind === 'get' ? operation.collection : operation.query.collection);
    if (schema === undefined) throw new Error('A query of an unknown collection.');
    if (operation.kind === 'get') return [{ filter: { _id: { $in: ['x', 'y'] } }, hint: '_id_' }];
    return operation.kind === 'find' ? findSteps(schema, operation.query) : [countQuery(schema, operation.query)];
  }

  /** The stages of a step's plan, from the outermost one. */
  async function planOf(collection: string, { filter, ...how }: MongoQuery): Promise<readonly Document[]> {
    const found = client
      .db(databaseName())
      .collection(`${logId.slice(0, 8)}_g1_${collection}`)
      .find(filter as Document, { ...how, limit: 10 });
    const explained = await found.explain('queryPlanner');
    const stages: Document[] = [];
    let stage = (explained['queryPlanner'] as Document)['winningPlan'] as Document | undefined;
    stage = (stage?.['queryPlan'] as Document | undefined) ?? stage;
    for (; stage !== undefined; stage = stage['inputStage'] as Document | undefined) stages.push(stage);
    return stages;
  }

  const ALL = ['[MinKey, MaxKey]'];
  /** Fields that have bounds in the question must have bounds in the index. */
  const boundedBy = ({ where, range, after, order }: Partial<FindQuery>): readonly string[] => [
    ...Object.keys(where ?? {}),
    ...(range === undefined ? [] : [range.field]),
    ...(after === undefined || order === undefined ? [] : [order.field]),
  ];

  async function expectSeek(operation: ReadOperation): Promise<void> {
    const collection = operation.kind === 'get' ? operation.collection : operation.query.collection;
    for (const step of stepsOf(operation)) {
      const stages = await planOf(collection, step);
      const names = stages.map(({ stage }) => stage as unknown);
      expect(names).not.toContain('COLLSCAN');
      expect(names).not.toContain('SORT');
      const scan = stages.find(({ stage }) => stage === 'IXSCAN');
      expect(scan).toMatchObject({ indexName: step.hint });
      const bounds = scan?.['indexBounds'] as Record<string, unknown>;
      for (const field of operation.kind === 'get' ? ['_id'] : boundedBy(operation.query)) {
        if (field in bounds) expect([field, bounds[field]]).not.toEqual([field, ALL]);
      }
    }
  }

  test.each(READ_MODEL_QUERIES)('%s: answered by seeking in an index, in its order', async (_, ask) => {
    const asked = await operationsOf(ask);
    expect(asked.length).toBeGreaterThan(0);
    for (const operation of asked) await expectSeek(operation);
  });

  const window: FindQuery = {
    collection: 'targets',
    where: { outdial: 'o', priority: 0 },
    order: { field: 'due', direction: 'ascending' },
    limit: 10,
  };

  test.each<[string, FindQuery]>([
    ['first', { ...window, idStartsWith: '03ab' }],
    ['later', { ...window, idStartsWith: '03ab', after: { value: 1, id: 'x' } }],
  ])('%s window of a gateway’s own digits: seeks as well', async (_, query) => {
    await expectSeek({ kind: 'find', query });
  });

  test('a page goes on from its row: the rest of its moment by id, then what is later', () => {
    const steps = stepsOf({ kind: 'find', query: { ...window, after: { value: 1, id: 'x' } } });
    expect(steps.map(({ filter }) => filter)).toEqual([
      { outdial: { $eq: 'o' }, priority: { $eq: 0 }, due: { $exists: true, $eq: 1 }, _id: { $gt: 'x' } },
      { outdial: { $eq: 'o' }, priority: { $eq: 0 }, due: { $exists: true, $gt: 1 } },
    ]);
  });

  test('the plan of a question that no index serves would be noticed', async () => {
    const scanned = await planOf('targets', { filter: { dialer: 'd' }, hint: '' });
    expect(scanned.map(({ stage }) => stage as unknown)).toContain('COLLSCAN');
  });
});

describe('Generations of several releases', () => {
  const older = READ_MODELS.map((model) => ({ ...model, version: model.version - 1 }));
  let logId: string;
  let mine: OpenedGenerations;
  let theirs: OpenedGenerations;
  let used: readonly Readonly<Record<string, number>>[];

  beforeEach(async () => {
    logId = randomUUID();
    used = [versionsOf(older)];
    mine = await openMongoGenerations({ url: url(), logId, projections: READ_MODELS, usedVersions: async () => used });
    theirs = await openMongoGenerations({ url: url(), logId, projections: older, usedVersions: async () => [versionsOf(READ_MODELS)] });
  });
  afterEach(async () => {
    await mine.close();
    await theirs.close();
  });

  const statusOf = async (name: string) => (await mine.list()).find((status) => status.name === name);

  test('each has its live one, and a switch of one leaves the other’s readers where they are', async () => {
    const reads = await openMongoReadStore({ url: url(), logId, projections: older });
    await (await live(theirs, 'g1', older)).commit({ documents: new Map(), checkpoint: { from: START, to: positionOf(1) } });
    await (await live(mine, 'g2', READ_MODELS)).commit({ documents: new Map(), checkpoint: { from: START, to: positionOf(2) } });
    expect(await reads.position()).toBe(positionOf(1));
    await reads.refresh();
    expect(await reads.position()).toBe(positionOf(1));
    expect((await mine.list()).map(({ name, live: isLive, foreign }) => [name, isLive, foreign])).toEqual([
      ['g1', true, true],
      ['g2', true, undefined],
    ]);
    await reads.close();
  });

  test('what a running release reads is not retired; when none does any more, it is', async () => {
    await live(theirs, 'g1', older);
    await live(mine, 'g2', READ_MODELS);
    await expect(mine.retire('g1')).rejects.toThrow('live');
    used = [];
    expect(await statusOf('g1')).toMatchObject({ live: false });
    expect((await statusOf('g1'))?.foreign).toBeUndefined();
    await mine.retire('g1');
    expect((await mine.list()).map(({ name }) => name)).toEqual(['g2']);
    // Nor is it that release's live one, should it come back.
    expect((await theirs.list()).filter(({ live: isLive }) => isLive).map(({ name }) => name)).toEqual(['g2']);
  });

  test('what a running release is building is told apart from what nobody needs', async () => {
    await theirs.open('g1', versionsOf(older));
    expect(await statusOf('g1')).toMatchObject({ live: false, foreign: true });
  });

  test('versions are the same in whatever order they are named', () => {
    expect(versionsKey({ targets: 2, progress: 1 })).toBe(versionsKey({ progress: 1, targets: 2 }));
    expect(versionsKey({ targets: 2, progress: 1 })).not.toBe(versionsKey({ targets: 1, progress: 2 }));
  });

  test('a reader whose generation was retired goes on with the one in its place', async () => {
    const reads = await openMongoReadStore({ url: url(), logId, projections: READ_MODELS });
    await (await live(mine, 'g1', READ_MODELS)).commit({ documents: new Map(), checkpoint: { from: START, to: positionOf(1) } });
    expect(await reads.position()).toBe(positionOf(1));
    await (await live(mine, 'g2', READ_MODELS)).commit({ documents: new Map(), checkpoint: { from: START, to: positionOf(2) } });
    expect(await reads.position()).toBe(positionOf(1));
    await mine.retire('g1');
    expect(await reads.read([{ kind: 'get', collection: 'targets', ids: ['t'] }])).toMatchObject({ position: positionOf(2) });
    await reads.close();
  });

  test('the builder of a generation that was retired has lost it, and writes nothing', async () => {
    const builder = await mine.open('g1', versionsOf(READ_MODELS));
    await mine.retire('g1');
    const documents = new Map([['targets', [document('t1', 1)]]]);
    expect(await builder.commit({ documents, checkpoint: { from: START, to: positionOf(1) } })).toBe(false);
    expect(await builder.load('targets', ['t1'])).toEqual([]);
  });

  test('nothing of a retired generation is left', async () => {
    await live(mine, 'g1', READ_MODELS);
    await mine.open('g2', versionsOf(READ_MODELS));
    await mine.retire('g2');
    const client = await new MongoClient(url()).connect();
    const collections = await client.db(databaseName()).listCollections({}, { nameOnly: true }).toArray();
    await client.close();
    const left = collections.filter(({ name }) => name.startsWith(logId.slice(0, 8))).map(({ name }) => name.slice(9));
    expect(left.sort()).toEqual(['current', ...READ_MODELS.map(({ schema }) => `g1_${schema.name}`), 'generations'].sort());
  });

  test.each(['', '../g1', 'G1', 'a_b', '$g'])('%j is no name for one', async (name) => {
    await expect(mine.open(name, versionsOf(READ_MODELS))).rejects.toThrow('name');
  });

  test('a field cannot have the name of one that every document has, and a log needs an id', () => {
    const clashing = CONTRACT_MODELS.map((model) => ({
      ...model,
      schema: { ...model.schema, fields: { body: 'text' as const }, indexes: [] },
    }));
    expect(() => new MongoLayout(logId, clashing)).toThrow('body');
    expect(() => new MongoLayout('mine', CONTRACT_MODELS)).toThrow('UUID');
  });
});

async function until(holds: () => boolean, say: () => string = () => ''): Promise<void> {
  for (let n = 0; n < 1000; n += 1) {
    if (holds()) return;
    await sleep(5);
  }
  throw new Error(`It did not come to hold within 5 s. ${say()}`);
}

const document = (id: string, position: number, more: Partial<StoredDocument> = {}): StoredDocument => ({
  id,
  position: positionOf(position),
  fields: {},
  body: `"${id} at ${position}"`,
  quarantine: null,
  ...more,
});

describe('When the server fails', () => {
  let server: FakeMongoDb;
  let logId: string;
  let generations: OpenedGenerations;
  let writer: GenerationWriter;
  let log: TestLog;

  beforeEach(async () => {
    server = await startFakeMongoDb();
    logId = randomUUID();
    generations = await openMongoGenerations({ url: server.url, logId, projections: READ_MODELS });
    writer = await generations.open('g1', versionsOf(READ_MODELS));
    log = new TestLog(20);
  });
  afterEach(async () => {
    await generations.close();
    await server.close();
  });

  /** Folds what is new, with the runner; waits are short. */
  async function catchUp(by = writer): Promise<RunEnd> {
    const stop = new AbortController();
    return runProjections({
      log,
      decode: decodeEvent,
      projections: READ_MODELS,
      writer: by,
      signal: stop.signal,
      wait: async () => sleep(20),
      logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
      onCommitted: ({ caughtUp }) => (caughtUp ? stop.abort() : undefined),
      limits: { firstEvents: 10, mostEvents: 25 },
    });
  }

  /** What the log folds to, without the runner: every document of every read model. */
  function folded(): ReadonlyMap<string, ReadonlyMap<string, string>> {
    return new Map(
      READ_MODELS.map((model) => {
        const documents = new Map<string, unknown>();
        for (const recorded of log.events.filter(({ stream }) => stream.startsWith(`${model.category}-`))) {
          const id = model.documentId(recorded.stream.slice(model.category.length + 1));
          documents.set(id, model.evolve(documents.get(id) ?? null, factOfRecorded(recorded)));
        }
        return [model.schema.name, new Map(Array.from(documents, ([id, one]) => [id, model.encode(one)]))];
      }),
    );
  }

  async function expectFolded(): Promise<void> {
    const expected = folded();
    expect(expected.get('targets')?.size).toBeGreaterThan(0);
    for (const [collection, documents] of expected) {
      const stored = await writer.load(collection, [...documents.keys()]);
      expect(new Map(stored.map(({ id, body }) => [id, JSON.parse(body) as unknown]))).toEqual(
        new Map(Array.from(documents, ([id, body]) => [id, JSON.parse(body) as unknown])),
      );
    }
    expect(await writer.position()).toBe(log.end);
  }

  function happen(round: number): void {
    for (let i = 0; i < 30; i += 1) log.add(`r${round}-t${i}`, { now: T0 + i });
    for (let i = 0; i < 30; i += 3) log.target(`r${round}-t${i}`, { type: 'CancelTarget', now: T0 + 100, reason: '' });
  }

  test.each<[string, () => unknown]>([
    ['connections are cut before writes are made', () => void (server.faults.cutBefore = 3)],
    ['connections are cut after writes were made', () => void (server.faults.cutAfter = 3)],
    ['a bulk is cut in the middle, and again when it goes on', () => void server.faults.cutWithin.push(3, 0, 2, 1)],
    ['reads are cut', () => void (server.faults.cutReads = 3)],
    ['the primary is none any more', () => void (server.faults.notPrimary = 3)],
    ['no majority confirms writes', () => void (server.faults.writeConcernErrors = 4)],
    ['it is away for a second', () => server.away().then(() => void sleep(1000).then(() => server.back()))],
  ])('when %s, the documents are those of the log all the same', async (_, fail) => {
    happen(0);
    expect(await catchUp()).toEqual({ reason: 'stopped' });
    happen(1);
    await fail();
    expect(await catchUp()).toEqual({ reason: 'stopped' });
    happen(2);
    expect(await catchUp()).toEqual({ reason: 'stopped' });
    await expectFolded();
  });

  test('a batch that was written without its checkpoint is folded again without counting anything twice', async () => {
    happen(0);
    await catchUp();
    happen(1);
    const crashing: GenerationWriter = {
      name: writer.name,
      position: () => writer.position(),
      load: (collection, ids) => writer.load(collection, ids),
      commit: async ({ documents, checkpoint }) => {
        await writer.commit({ documents, checkpoint: { from: checkpoint.from, to: checkpoint.from } });
        // As if it were another owner's: the run ends here.
        return false;
      },
      prepare: () => writer.prepare(),
      quarantined: () => writer.quarantined(),
      close: () => writer.close(),
    };
    expect(await catchUp(crashing)).toEqual({ reason: 'ownership-lost' });
    expect(await catchUp()).toEqual({ reason: 'stopped' });
    await expectFolded();
  });

  test('an owner that slept and wakes up overwrites nothing newer, and learns that it is none', async () => {
    const asleep = await openMongoGenerations({ url: server.url, logId, projections: READ_MODELS });
    const sleeper = await asleep.open('g1', versionsOf(READ_MODELS));
    const batch = (to: number, ...ids: string[]) => ({
      documents: new Map([['targets', ids.map((id) => document(id, to))]]),
      checkpoint: { from: START, to: positionOf(to) },
    });
    // It has looked at the checkpoint, and is about to write when another one takes over: by then that one is far ahead.
    const looked = server.count('find');
    server.faults.delayMs = 300;
    const woken = sleeper.commit(batch(1, 't1', 't3'));
    await until(() => server.count('find') > looked);
    server.faults.delayMs = 0;
    expect(await writer.commit(batch(9, 't1', 't2'))).toBe(true);
    const written = server.count('update');
    expect(await woken).toBe(false);
    expect(server.count('update')).toBeGreaterThan(written);
    expect(await writer.load('targets', ['t3'])).toHaveLength(1);
    expect(await writer.load('targets', ['t1'])).toMatchObject([{ position: positionOf(9) }]);
    await asleep.close();
  });

  test('nor when it had begun to write before the other one took over', async () => {
    const asleep = await openMongoGenerations({ url: server.url, logId, projections: READ_MODELS });
    const sleeper = await asleep.open('g1', versionsOf(READ_MODELS));
    server.faults.delayMs = 50;
    const stale = Array.from({ length: 1500 }, (_, i) => document(`t${i}`, 1));
    const slow = sleeper.commit({ documents: new Map([['targets', stale]]), checkpoint: { from: START, to: positionOf(1) } });
    await sleep(75);
    const newer = stale.map(({ id }) => document(id, 9));
    const fast = writer.commit({ documents: new Map([['targets', newer]]), checkpoint: { from: START, to: positionOf(9) } });
    const won = await Promise.all([slow, fast]);
    server.faults.delayMs = 0;
    expect(won.filter(Boolean)).toHaveLength(1);
    const stored = await writer.load(
      'targets',
      stale.map(({ id }) => id),
    );
    expect(stored).toHaveLength(1500);
    expect(new Set(stored.map(({ position }) => position))).toEqual(new Set([positionOf(9)]));
    await asleep.close();
  });

  test('of two that write one generation at once exactly one moves the checkpoint', async () => {
    const other = await openMongoGenerations({ url: server.url, logId, projections: READ_MODELS });
    const rival = await other.open('g1', versionsOf(READ_MODELS));
    for (let n = 1; n <= 10; n += 1) {
      const batch = {
        documents: new Map([['targets', [document(`t${n}`, n)]]]),
        checkpoint: { from: n === 1 ? START : positionOf(n - 1), to: positionOf(n) },
      };
      expect((await Promise.all([writer.commit(batch), rival.commit(batch)])).filter(Boolean)).toHaveLength(1);
    }
    expect(await writer.position()).toBe(positionOf(10));
    await other.close();
  });

  test('a batch that cannot be written is rejected, and its checkpoint stays', async () => {
    const documents = new Map([['targets', [document('t1', 1)]]]);
    server.faults.cutBefore = 2;
    await expect(writer.commit({ documents, checkpoint: { from: START, to: positionOf(1) } })).rejects.toMatchObject({
      code: 'StoreUnavailable',
    });
    server.faults.writeConcernErrors = 1;
    await expect(writer.commit({ documents, checkpoint: { from: START, to: positionOf(1) } })).rejects.toMatchObject({
      code: 'StoreUnavailable',
    });
    expect(await writer.position()).toBe(START);
    expect(await writer.commit({ documents, checkpoint: { from: START, to: positionOf(1) } })).toBe(true);
  });

  test('reads are unavailable within some seconds, and go on by themselves when it is back', async () => {
    const reads = await openMongoReadStore({ url: server.url, logId, projections: READ_MODELS });
    await writer.prepare();
    await generations.promote('g1');
    await reads.position();
    await server.away();
    await expect(reads.position()).rejects.toMatchObject({ code: 'StoreUnavailable' });
    await expect(reads.read([{ kind: 'get', collection: 'targets', ids: ['x'] }])).rejects.toMatchObject({ code: 'StoreUnavailable' });
    await server.back();
    expect(await reads.position()).toBe(START);
    await reads.close();
    await expect(reads.position()).rejects.toMatchObject({ code: 'StoreUnavailable' });
  });

  test('a document that is newer already, in a bulk that no majority confirmed, is no reason to go on', async () => {
    const newer = { documents: new Map([['targets', [document('t1', 5)]]]), checkpoint: { from: START, to: positionOf(5) } };
    await writer.commit(newer);
    server.faults.writeConcernErrors = 1;
    const batch = {
      documents: new Map([['targets', [document('t1', 1), document('t2', 6)]]]),
      checkpoint: { from: positionOf(5), to: positionOf(6) },
    };
    await expect(writer.commit(batch)).rejects.toMatchObject({ code: 'StoreUnavailable' });
    expect(await writer.position()).toBe(positionOf(5));
    expect(await writer.commit(batch)).toBe(true);
    expect(await writer.load('targets', ['t1', 't2'])).toMatchObject([{ position: positionOf(5) }, { position: positionOf(6) }]);
  });

  test('the projector builds, rebuilds and switches as on files, also when the server is away meanwhile', async () => {
    const reads = await openMongoReadStore({ url: server.url, logId, projections: READ_MODELS });
    happen(0);
    const heard: string[] = [];
    const projector = startProjector({
      log,
      generations,
      projections: READ_MODELS,
      decode: decodeEvent,
      wait: async () => sleep(20),
      onProgress: ({ generation, position }) => heard.push(`${generation ?? ''} ${position}`),
    });
    const reached = async (generation: string): Promise<void> => {
      await until(
        () => heard.includes(`${generation} ${log.end}`),
        () => heard.join(),
      );
    };
    await reached('g1');
    expect(await reads.position()).toBe(log.end);
    const name = await projector.rebuild();
    await server.away();
    happen(1);
    await server.back();
    await projector.promote(name);
    await reached(name);
    expect(await reads.position()).toBe(log.end);
    let names: readonly string[] = [];
    while (names.length !== 1) {
      names = (await projector.status()).map((status) => status.name);
      await sleep(5);
    }
    expect(names).toEqual([name]);
    await projector.stop();
    writer = await generations.open(name, versionsOf(READ_MODELS));
    await expectFolded();
    await reads.close();
  });

  test('everything is written by majority, and the documents before the checkpoint', async () => {
    const documents = new Map([['targets', [document('t1', 1)]]]);
    await writer.commit({ documents, checkpoint: { from: START, to: positionOf(1) } });
    // The last update is that of the checkpoint.
    expect(server.last('update')).toMatchObject({
      writeConcern: { w: 'majority' },
      updates: [{ q: { _id: 'g1', position: START }, u: { $set: { position: positionOf(1) } } }],
    });
    expect(server.last('find')).toMatchObject({ readConcern: { level: 'majority' } });
  });
});
