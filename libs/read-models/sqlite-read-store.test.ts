import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { START } from '#event-store';
import { versionsOf, type AnyProjection } from './projection';
import { operationsOf, READ_MODEL_QUERIES } from './queries.contract';
import { READ_MODELS } from './read-models';
import { CONTRACT_MODELS, readStoreContract, type OpenedReadStore } from './read-store.contract';
import type { GenerationWriter, ReadOperation } from './read-store';
import { openSqliteGenerations } from './sqlite-generations';
import { openSqliteReadStore } from './sqlite-read-store';
import { countSql, findSql, getSql } from './sqlite-schema';

const folders: string[] = [];
const folder = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'read-store-'));
  folders.push(directory);
  return directory;
};
afterAll(() => folders.forEach((directory) => rmSync(directory, { recursive: true })));

function open(directory: string, projections: readonly AnyProjection[]): OpenedReadStore {
  const reads = openSqliteReadStore({ directory, projections });
  return {
    generations: openSqliteGenerations({ directory, projections }),
    reads,
    refresh: async () => reads.refresh(),
    close: () => reads.close(),
  };
}

readStoreContract('SQLite', async () => open(folder(), CONTRACT_MODELS));

/** Opens a generation and makes it live. */
async function live(directory: string, name: string, projections: readonly AnyProjection[] = READ_MODELS): Promise<GenerationWriter> {
  const generations = openSqliteGenerations({ directory, projections });
  const writer = await generations.open(name, versionsOf(projections));
  await writer.prepare();
  await generations.promote(name);
  return writer;
}

describe('Queries of the read models', () => {
  const schemas = new Map(READ_MODELS.map(({ schema }) => [schema.name, schema]));
  let directory: string;
  let db: Database.Database;

  beforeAll(async () => {
    directory = folder();
    await (await live(directory, 'g1')).close();
    db = new Database(join(directory, 'read-g1.db'), { readonly: true });
  });
  afterAll(() => db.close());

  function planOf(operation: ReadOperation): readonly string[] {
    const schema = schemas.get(operation.kind === 'get' ? operation.collection : operation.query.collection);
    if (schema === undefined) throw new Error('A query of an unknown collection.');
    const { sql, parameters } =
      operation.kind === 'get'
        ? { sql: getSql(schema), parameters: ['x'] }
        : operation.kind === 'find'
          ? findSql(schema, operation.query)
          : countSql(schema, operation.query);
    const rows = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as readonly { readonly detail: string }[];
    return rows.map(({ detail }) => detail);
  }

  test.each(READ_MODEL_QUERIES)('%s: answered by seeking in an index, in its order', async (_, ask) => {
    const asked = await operationsOf(ask);
    expect(asked.length).toBeGreaterThan(0);
    for (const step of asked.flatMap(planOf)) {
      expect(step).toMatch(/^SEARCH /);
      // Every index begins with what is asked for: a seek with an empty prefix would be a scan under another name.
      expect(step).toMatch(/\((<|>|=|\w|"| |\?|,|\(|\))+\)$/);
    }
  });

  test('a page goes on from its row, it does not walk there', () => {
    const [step] = planOf({
      kind: 'find',
      query: {
        collection: 'targets',
        where: { outdial: 'o', priority: 0 },
        order: { field: 'due', direction: 'ascending' },
        after: { value: 1, id: 'x' },
        limit: 10,
      },
    });
    expect(step).toContain('outdial=? AND priority=? AND (due,id)>(?,?)');
  });
});

describe('Generations in files', () => {
  test('a retired generation leaves no file behind', async () => {
    const directory = folder();
    const generations = openSqliteGenerations({ directory, projections: READ_MODELS });
    const writer = await generations.open('g1', versionsOf(READ_MODELS));
    await writer.commit({ documents: new Map(), checkpoint: { from: START, to: '0000000000000001' } });
    await writer.close();
    await generations.retire('g1');
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a generation that another release built is not read, and is left as it is', async () => {
    const directory = folder();
    const older = READ_MODELS.map((model) => ({ ...model, version: model.version - 1 }));
    const writer = await live(directory, 'g1', older);
    await writer.commit({ documents: new Map(), checkpoint: { from: START, to: '0000000000000001' } });
    await writer.close();
    const reads = openSqliteReadStore({ directory, projections: READ_MODELS });
    expect(await reads.position()).toBe(START);
    await reads.close();
    const [status] = await openSqliteGenerations({ directory, projections: READ_MODELS }).list();
    expect(status).toMatchObject({ name: 'g1', live: true, versions: versionsOf(older) });
  });

  test('a reader goes on with the old generation until it looks again, even when its file is gone', async () => {
    const directory = folder();
    const generations = openSqliteGenerations({ directory, projections: READ_MODELS });
    const first = await live(directory, 'g1');
    await first.commit({ documents: new Map(), checkpoint: { from: START, to: '0000000000000001' } });
    const reads = openSqliteReadStore({ directory, projections: READ_MODELS });
    expect(await reads.position()).toBe('0000000000000001');
    const second = await live(directory, 'g2');
    await first.close();
    await generations.retire('g1');
    expect(await reads.position()).toBe('0000000000000001');
    reads.refresh();
    expect(await reads.position()).toBe(START);
    await second.close();
    await reads.close();
  });

  test('a file that a crash cut off before anything was in it is made anew', async () => {
    const directory = folder();
    writeFileSync(join(directory, 'read-g1.db'), '');
    const generations = openSqliteGenerations({ directory, projections: READ_MODELS });
    expect(await generations.list()).toEqual([{ name: 'g1', versions: {}, live: false, position: START, quarantined: 0 }]);
    const writer = await generations.open('g1', versionsOf(READ_MODELS));
    expect(await writer.position()).toBe(START);
    await writer.close();
  });

  test('a pointer to a generation that is gone points to none', async () => {
    const directory = folder();
    await (await live(directory, 'g1')).close();
    rmSync(join(directory, 'read-g1.db'));
    const reads = openSqliteReadStore({ directory, projections: READ_MODELS });
    expect(await reads.position()).toBe(START);
    await reads.close();
  });

  test.each(['', '../g1', 'G1', 'a/b', '.db'])('%j is no name for one', async (name) => {
    const directory = folder();
    const generations = openSqliteGenerations({ directory, projections: READ_MODELS });
    await expect(generations.open(name, versionsOf(READ_MODELS))).rejects.toThrow('name');
    expect(existsSync(join(directory, 'read-.db'))).toBe(false);
  });

  test('a field cannot have the name of a column that every table has', async () => {
    const projections = CONTRACT_MODELS.map((model) => ({
      ...model,
      schema: { ...model.schema, fields: { body: 'text' as const }, indexes: [] },
    }));
    const generations = openSqliteGenerations({ directory: folder(), projections });
    await expect(generations.open('g1', versionsOf(projections))).rejects.toThrow('body');
  });
});
