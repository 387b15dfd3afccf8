import fc from 'fast-check';
import { START } from '#event-store';
import { versionsOf, type AnyProjection } from './projection';
import type {
  CollectionSchema,
  FindQuery,
  Generations,
  GenerationWriter,
  ReadOperation,
  ReadStore,
  StoredDocument,
  WriteBatch,
} from './read-store';

/** A read store as a test finds it: nothing in it. */
export interface OpenedReadStore {
  readonly generations: Generations;
  readonly reads: ReadStore;
  /** Tells the reader that a generation was promoted, as the process does. */
  readonly refresh: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const THINGS: CollectionSchema = {
  name: 'things',
  fields: { owner: 'text', kind: 'text', rank: 'integer', due: 'integer', tags: 'texts' },
  indexes: [
    { fields: ['owner', 'kind', 'rank'] },
    { fields: ['owner', 'rank'], sparse: true },
    { fields: ['owner', 'rank', 'due'], sparse: true },
    { fields: ['owner', 'tags', 'rank'], sparse: true },
    { fields: ['due'], sparse: true },
  ],
};
const OTHERS: CollectionSchema = { name: 'others', fields: {}, indexes: [] };

const model = (schema: CollectionSchema): AnyProjection => ({
  name: schema.name,
  version: 1,
  schema,
  category: schema.name,
  documentId: (subject) => subject,
  evolve: () => null,
  fields: () => ({}),
  encode: () => '',
  decode: () => null,
});

/** What the contract's collections are of: an adapter is opened for these. */
export const CONTRACT_MODELS: readonly AnyProjection[] = [model(THINGS), model(OTHERS)];
const VERSIONS = versionsOf(CONTRACT_MODELS);

const at = (n: number): string => String(n).padStart(16, '0');

const thing = (
  id: string,
  position: number,
  fields: StoredDocument['fields'] = {},
  more: Partial<StoredDocument> = {},
): StoredDocument => ({
  id,
  position: at(position),
  fields,
  body: `{"id":"${id}","at":${position}}`,
  quarantine: null,
  ...more,
});

const batch = (from: string, to: string, ...things: readonly StoredDocument[]): WriteBatch => ({
  documents: new Map([['things', things]]),
  checkpoint: { from, to },
});

/** What every read store promises, whatever is behind it: each promise of the port, as a test. */
export function readStoreContract(name: string, open: () => Promise<OpenedReadStore>): void {
  describe(`The read store (${name})`, () => {
    let opened: OpenedReadStore;
    let writer: GenerationWriter;

    beforeEach(async () => {
      opened = await open();
      writer = await opened.generations.open('g1', VERSIONS);
    });
    afterEach(async () => {
      await writer.close();
      await opened.close();
    });

    const goLive = async (): Promise<void> => {
      await writer.prepare();
      await opened.generations.promote(writer.name);
      await opened.refresh();
    };
    const find = async (query: Omit<FindQuery, 'collection'>): Promise<readonly string[]> => {
      const { answers } = await opened.reads.read([{ kind: 'find', query: { collection: 'things', ...query } }]);
      return answers[0]?.documents.map(({ id }) => id) ?? [];
    };
    const loaded = async (id: string) => (await writer.load('things', [id]))[0];

    describe('writing a generation', () => {
      test('it begins empty, before the first event', async () => {
        expect(await writer.position()).toBe(START);
        expect(await writer.load('things', ['a'])).toEqual([]);
      });

      test('documents are written whole, and read by id; what is not there is left out', async () => {
        await writer.commit(batch(START, at(1), thing('a', 1), thing('b', 1)));
        await writer.commit(batch(at(1), at(2), thing('a', 2)));
        const documents = await writer.load('things', ['b', 'missing', 'a']);
        expect(documents.toSorted((one, other) => (one.id < other.id ? -1 : 1))).toEqual([
          { id: 'a', position: at(2), body: thing('a', 2).body, quarantine: null },
          { id: 'b', position: at(1), body: thing('b', 1).body, quarantine: null },
        ]);
      });

      test('an older position never overwrites a newer one; its batch is written all the same', async () => {
        await writer.commit(batch(START, at(5), thing('a', 5)));
        expect(await writer.commit(batch(at(5), at(6), thing('a', 4), thing('b', 4)))).toBe(true);
        expect(await loaded('a')).toMatchObject({ position: at(5), body: thing('a', 5).body });
        expect(await loaded('b')).toMatchObject({ position: at(4) });
        expect(await writer.position()).toBe(at(6));
      });

      test('the same position replaces: a document can be folded anew', async () => {
        await writer.commit(batch(START, at(1), thing('a', 1)));
        await writer.commit(batch(at(1), at(1), thing('a', 1, {}, { body: '"anew"' })));
        expect(await loaded('a')).toMatchObject({ body: '"anew"' });
      });

      test('the checkpoint moves only from where it is', async () => {
        expect(await writer.commit(batch(START, at(3)))).toBe(true);
        expect(await writer.commit(batch(START, at(4)))).toBe(false);
        expect(await writer.commit(batch(at(2), at(4)))).toBe(false);
        expect(await writer.position()).toBe(at(3));
      });

      test('of two owners one loses at its next commit', async () => {
        const other = await opened.generations.open('g1', VERSIONS);
        expect(await writer.commit(batch(START, at(1), thing('a', 1)))).toBe(true);
        expect(await other.commit(batch(START, at(1), thing('a', 1)))).toBe(false);
        await other.close();
      });

      test('a batch of many thousand documents is written like a small one', async () => {
        const many = Array.from({ length: 12_345 }, (_, i) => thing(`t${i}`, i + 1));
        expect(await writer.commit(batch(START, at(20_000), ...many))).toBe(true);
        expect(await loaded('t0')).toBeDefined();
        expect(await loaded('t12344')).toBeDefined();
        expect(await writer.commit(batch(START, at(20_001), ...many.map((one) => ({ ...one, position: at(20_001) }))))).toBe(false);
        expect(await loaded('t0')).toMatchObject({ position: at(1) });
      });

      test('what was written is there when it is opened again', async () => {
        await writer.commit(batch(START, at(1), thing('a', 1)));
        await writer.close();
        writer = await opened.generations.open('g1', VERSIONS);
        expect(await writer.position()).toBe(at(1));
        expect(await loaded('a')).toBeDefined();
      });

      test('it cannot be opened as one of other versions', async () => {
        await expect(opened.generations.open('g1', { ...VERSIONS, things: 2 })).rejects.toThrow('g1');
      });
    });

    describe('quarantine', () => {
      const mark = { stream: 'things-a', revision: 3, eventId: 'e3', reason: 'it cannot be folded' };

      test('a marked document is listed with its mark, until it is written without', async () => {
        await writer.commit(batch(START, at(1), thing('a', 1, {}, { quarantine: JSON.stringify(mark) }), thing('b', 1)));
        expect(await writer.quarantined()).toEqual([{ collection: 'things', id: 'a', ...mark }]);
        expect((await opened.generations.list())[0]?.quarantined).toBe(1);
        expect(await loaded('a')).toMatchObject({ quarantine: JSON.stringify(mark) });
        await writer.commit(batch(at(1), at(2), thing('a', 2)));
        expect(await writer.quarantined()).toEqual([]);
      });

      test('it is read by its id, and found by no query', async () => {
        const fields = { owner: 'o', kind: 'k', rank: 1, due: 1, tags: ['x'] };
        await writer.commit(batch(START, at(1), thing('a', 1, fields)));
        await goLive();
        await writer.commit(batch(at(1), at(2), thing('a', 2, {}, { quarantine: JSON.stringify(mark) })));
        expect(await find({ where: { owner: 'o' }, order: { field: 'rank', direction: 'ascending' }, limit: 10 })).toEqual([]);
        expect(await find({ where: { owner: 'o', tags: 'x' }, order: { field: 'rank', direction: 'ascending' }, limit: 10 })).toEqual([]);
        const { answers } = await opened.reads.read([{ kind: 'get', collection: 'things', ids: ['a'] }]);
        expect(answers[0]?.documents[0]?.quarantine).toBe(JSON.stringify(mark));
      });
    });

    describe('generations', () => {
      test('are listed with what they were built by and how far they are', async () => {
        await writer.commit(batch(START, at(7)));
        await goLive();
        const second = await opened.generations.open('g2', VERSIONS);
        expect(await opened.generations.list()).toEqual([
          { name: 'g1', versions: VERSIONS, live: true, position: at(7), quarantined: 0 },
          { name: 'g2', versions: VERSIONS, live: false, position: START, quarantined: 0 },
        ]);
        await second.close();
      });

      test('readers find nothing, at the start, until one is promoted', async () => {
        await writer.commit(batch(START, at(1), thing('a', 1)));
        const question: ReadOperation = { kind: 'get', collection: 'things', ids: ['a'] };
        expect(await opened.reads.read([question])).toEqual({ answers: [{ documents: [], count: 0 }], position: START });
        expect(await opened.reads.position()).toBe(START);
        await goLive();
        expect(await opened.reads.read([question])).toMatchObject({ answers: [{ count: 1 }], position: at(1) });
        expect(await opened.reads.position()).toBe(at(1));
      });

      test('one that is not prepared cannot be promoted', async () => {
        await expect(opened.generations.promote('g1')).rejects.toThrow('g1');
        expect((await opened.generations.list())[0]?.live).toBe(false);
      });

      test('one can be built beside the live one, and takes its place when it is promoted', async () => {
        await writer.commit(batch(START, at(1), thing('old', 1)));
        await goLive();
        const next = await opened.generations.open('g2', VERSIONS);
        await next.commit(batch(START, at(2), thing('new', 2)));
        expect(await opened.reads.position()).toBe(at(1));
        await next.prepare();
        await opened.generations.promote('g2');
        await opened.refresh();
        expect(await opened.reads.position()).toBe(at(2));
        const { answers } = await opened.reads.read([{ kind: 'get', collection: 'things', ids: ['old', 'new'] }]);
        expect(answers[0]?.documents.map(({ id }) => id)).toEqual(['new']);
        await next.close();
      });

      test('the live one cannot be retired, another one is gone', async () => {
        await goLive();
        await (await opened.generations.open('g2', VERSIONS)).close();
        await expect(opened.generations.retire('g1')).rejects.toThrow('g1');
        await opened.generations.retire('g2');
        await opened.generations.retire('g2');
        expect((await opened.generations.list()).map((generation) => generation.name)).toEqual(['g1']);
      });

      test('preparing is harmless when it is done already', async () => {
        await writer.commit(batch(START, at(1), thing('a', 1, { owner: 'o', tags: ['x'], rank: 1 })));
        await writer.prepare();
        await writer.prepare();
        await goLive();
        expect(await find({ where: { owner: 'o', tags: 'x' }, order: { field: 'rank', direction: 'ascending' }, limit: 10 })).toEqual([
          'a',
        ]);
      });
    });

    describe('queries', () => {
      const write = async (...things: readonly StoredDocument[]): Promise<void> => {
        await writer.commit(batch(START, at(1000), ...things));
        await goLive();
      };

      test('answers of one read are of one moment: that of the position', async () => {
        await write(thing('a', 1, { owner: 'o', rank: 1 }));
        await writer.commit(batch(at(1000), at(1001), thing('b', 1001, { owner: 'o', rank: 2 })));
        const { answers, position } = await opened.reads.read([
          { kind: 'get', collection: 'things', ids: ['a', 'missing'] },
          {
            kind: 'find',
            query: { collection: 'things', where: { owner: 'o' }, order: { field: 'rank', direction: 'ascending' }, limit: 10 },
          },
          { kind: 'count', query: { collection: 'things', where: { owner: 'o' }, range: { field: 'rank', from: 2 } } },
        ]);
        expect(answers.map(({ count }) => count)).toEqual([1, 2, 1]);
        expect(answers[1]?.documents[0]).toEqual({ id: 'a', position: at(1), body: thing('a', 1).body, quarantine: null });
        expect(position).toBe(at(1001));
      });

      test('documents without the field they are sorted by are left out', async () => {
        await write(thing('a', 1, { owner: 'o', rank: 1 }), thing('b', 1, { owner: 'o' }), thing('c', 1, { owner: 'o', rank: null }));
        expect(await find({ where: { owner: 'o' }, order: { field: 'rank', direction: 'descending' }, limit: 10 })).toEqual(['a']);
      });

      test('only those whose id starts with one of some digits, also while a page goes on', async () => {
        const ids = ['0a', '3b', '4c', 'ad', 'ae', 'bf'];
        await write(...ids.map((id) => thing(id, 1, { owner: 'o', rank: 1 })));
        const query = { where: { owner: 'o' }, order: { field: 'rank', direction: 'ascending' }, idStartsWith: '03a', limit: 3 } as const;
        expect(await find(query)).toEqual(['0a', '3b', 'ad']);
        expect(await find({ ...query, after: { value: 1, id: 'ad' } })).toEqual(['ae']);
        expect(await find({ ...query, idStartsWith: '' })).toEqual([]);
        await expect(find({ ...query, idStartsWith: '0-9' })).rejects.toThrow('hex digits');
      });

      test('a query that no index serves is refused', async () => {
        await write();
        await expect(find({ where: { kind: 'k' }, limit: 10 })).rejects.toThrow('index');
        await expect(find({ where: { owner: 'o' }, order: { field: 'due', direction: 'ascending' }, limit: 10 })).rejects.toThrow('index');
        await expect(find({ where: {}, limit: 10 })).rejects.toThrow('index');
      });

      test('equal any list that is filtered, sorted and cut by hand', async () => {
        await writer.prepare();
        await opened.generations.promote('g1');
        await opened.refresh();
        let checkpoint = 0;
        const held = new Map<string, StoredDocument>();
        await fc.assert(
          fc.asyncProperty(
            fc.array(documents, { maxLength: 12, size: 'max' }),
            fc.array(queries, { minLength: 1, maxLength: 6 }),
            async (written, asked) => {
              checkpoint += 1;
              const things = new Map(written.map(({ id, fields }) => [id, thing(id, checkpoint, fields)]));
              for (const one of things.values()) held.set(one.id, one);
              await writer.commit(batch(checkpoint === 1 ? START : at(checkpoint - 1), at(checkpoint), ...things.values()));
              for (const query of asked) {
                expect(await find(query)).toEqual(byHand(held, query));
                const { answers } = await opened.reads.read([{ kind: 'count', query: { collection: 'things', ...query } }]);
                expect(answers[0]?.count).toBe(
                  byHand(held, { ...query, after: undefined, idStartsWith: undefined, limit: Infinity }).length,
                );
              }
            },
          ),
          { numRuns: 150 },
        );
        // Hundreds of commands to a store elsewhere, on a machine that may have other things to do.
      });
    });
  });
}

const small = fc.integer({ min: -2, max: 2 });
const text = fc.constantFrom('x', 'y');
const tags = fc.uniqueArray(fc.constantFrom('red', 'green', 'blue'));
const documents = fc.record({
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'),
  fields: fc.record({ owner: text, kind: fc.option(text), rank: fc.option(small), due: fc.option(small), tags }),
});

type Asked = Omit<FindQuery, 'collection'>;

const direction = fc.constantFrom('ascending' as const, 'descending' as const);
const range = (field: string): fc.Arbitrary<NonNullable<FindQuery['range']>> =>
  fc
    .oneof(fc.record({ above: small, upTo: small }, { requiredKeys: [] }), fc.record({ from: small, below: small }, { requiredKeys: [] }))
    .map((bounds) => ({ field, ...bounds }));
const after = fc.record({ value: small, id: fc.constantFrom('a', 'd', 'j') }, { requiredKeys: ['value'] });

/** Every shape that the collection's indexes serve. */
const queries: fc.Arbitrary<Asked> = fc.oneof(
  shaped({ owner: text }, 'rank'),
  shaped({ owner: text, kind: text }, 'rank'),
  shaped({ owner: text, kind: fc.constant(null) }, 'rank'),
  shaped({ owner: text, tags: fc.constantFrom('red', 'green') }, 'rank'),
  shaped({ owner: text, tags: fc.constantFrom('red', 'green'), kind: text }, 'rank'),
  shaped({ owner: text, rank: small }, 'due'),
  shaped({}, 'due'),
  fc.record({
    where: fc.record({ owner: text }),
    range: range('rank'),
    order: fc.record({ field: fc.constant('rank'), then: fc.constant('due'), direction }),
    limit: fc.nat({ max: 12 }),
  }),
);

function shaped(where: Record<string, fc.Arbitrary<string | number | null>>, sorted: string): fc.Arbitrary<Asked> {
  return fc.record(
    {
      where: fc.record(where),
      range: range(sorted),
      order: fc.record({ field: fc.constant(sorted), direction }),
      after,
      idStartsWith: fc.constantFrom('', 'a', 'bdf', '0ace'),
      limit: fc.nat({ max: 12 }),
    },
    { requiredKeys: ['where', 'order', 'limit'] },
  );
}

/** The same answer from a list. */
function byHand(
  held: ReadonlyMap<string, StoredDocument>,
  query: Omit<Asked, 'after' | 'idStartsWith'> & { readonly [Key in 'after' | 'idStartsWith']?: FindQuery[Key] | undefined },
): readonly string[] {
  const { where, order, idStartsWith, limit } = query;
  const value = (one: StoredDocument, field: string): number | null => (one.fields[field] as number | null | undefined) ?? null;
  const sorts = order === undefined ? [] : [order.field, ...(order.then === undefined ? [] : [order.then])];
  const matches = (one: StoredDocument): boolean =>
    Object.entries(where).every(([field, wanted]) => {
      const there = one.fields[field] ?? null;
      return Array.isArray(there) ? there.includes(wanted) : there === wanted;
    });
  const compare = (one: readonly (number | string)[], other: readonly (number | string)[]): number => {
    const i = one.findIndex((part, at_) => part !== other[at_]);
    const [mine, theirs] = [one[i] ?? '', other[i] ?? ''];
    const ascending = i < 0 ? 0 : mine < theirs ? -1 : 1;
    return order?.direction === 'descending' ? -ascending : ascending;
  };
  const key = (one: StoredDocument): (number | string)[] => [...sorts.map((field) => value(one, field) ?? 0), one.id];
  return Array.from(held.values())
    .filter(
      (one) =>
        matches(one) &&
        (idStartsWith === undefined || idStartsWith.includes(one.id.charAt(0))) &&
        sorts.every((field) => value(one, field) !== null) &&
        within(value(one, query.range?.field ?? ''), query.range),
    )
    .filter(
      (one) =>
        query.after === undefined ||
        (query.after.id === undefined
          ? compare([value(one, sorts[0] ?? '') ?? 0], [query.after.value]) > 0
          : compare(key(one), [query.after.value, query.after.id]) > 0),
    )
    .sort((one, other) => compare(key(one), key(other)))
    .slice(0, limit)
    .map(({ id }) => id);
}

function within(value: number | null, bounds: FindQuery['range']): boolean {
  if (bounds === undefined) return true;
  if (value === null) return false;
  const { above = null, from = null, below = null, upTo = null } = bounds as unknown as Record<string, number | null>;
  return (
    (above === null || value > above) &&
    (from === null || value >= from) &&
    (below === null || value < below) &&
    (upTo === null || value <= upTo)
  );
}
