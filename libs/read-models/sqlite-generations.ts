import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { START, type Position } from '#event-store';
import { sameVersions } from './generations';
import type { AnyProjection } from './projection';
import type {
  CollectionSchema,
  Generations,
  GenerationStatus,
  GenerationWriter,
  Quarantine,
  QuarantinedDocument,
  ReadDocument,
  StoredDocument,
  WriteBatch,
} from './read-store';
import {
  fieldNames,
  GENERATION_TABLE,
  getSql,
  indexStatements,
  quarantinedSql,
  tableStatements,
  insertSql,
  sideTableSql,
  storedSql,
  updateSql,
  type SideTableSql,
} from './sqlite-schema';

/**
 * Generations as files: `read-<name>.db` each, and `read-current.json` that names the one readers use. docs/adr/0004-read-model-generations.md says why one
 * file holds all read models.
 */
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const FILE = /^read-([a-z0-9][a-z0-9-]{0,62})\.db$/;

export function generationFile(directory: string, name: string): string {
  if (!NAME.test(name)) throw new Error(`A generation's name is lower-case letters, digits and dashes, not ${JSON.stringify(name)}.`);
  return join(directory, `read-${name}.db`);
}

const pointerFile = (directory: string): string => join(directory, 'read-current.json');

/** The generation that readers use; null when there is none yet. */
export function liveGeneration(directory: string): string | null {
  if (!existsSync(pointerFile(directory))) return null;
  const { name } = JSON.parse(readFileSync(pointerFile(directory), 'utf8')) as { name: string };
  return existsSync(generationFile(directory, name)) ? name : null;
}

/** The generation row of an open file; null when the file was cut off before it was made. */
export function readGeneration(
  db: Database.Database,
): { readonly versions: Readonly<Record<string, number>>; readonly position: Position; readonly prepared: boolean } | null {
  const made = db.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'generation'`).get() !== undefined;
  const row = made
    ? (db.prepare('SELECT versions, position, prepared FROM generation').get() as
        { versions: string; position: string; prepared: number } | undefined)
    : undefined;
  if (row === undefined) return null;
  return { versions: JSON.parse(row.versions) as Record<string, number>, position: row.position, prepared: row.prepared === 1 };
}

/** The generations of one directory, for collections of these read models. One process may write them. */
export function openSqliteGenerations(options: {
  readonly directory: string;
  readonly projections: readonly AnyProjection[];
}): Generations {
  const { directory, projections } = options;
  const schemas = projections.map(({ schema }) => schema);
  return {
    async list() {
      const live = liveGeneration(directory);
      const names = readdirSync(directory).flatMap((file) => FILE.exec(file)?.[1] ?? []);
      return names.sort().map((name) => describe(directory, name, live));
    },

    async open(name, versions) {
      const file = generationFile(directory, name);
      const db = new Database(file);
      try {
        configure(db);
        const found = readGeneration(db);
        if (found === null) create(db, schemas, versions);
        else if (!sameVersions(found.versions, versions))
          throw new Error(`The generation ${name} was built with other versions of the read models.`);
        if (found?.prepared === true) db.pragma(`cache_size = -${SERVING_KB}`);
        return new SqliteGenerationWriter(name, db, schemas);
      } catch (error) {
        db.close();
        throw error;
      }
    },

    async promote(name) {
      const db = new Database(generationFile(directory, name), { readonly: true, fileMustExist: true });
      try {
        if (readGeneration(db)?.prepared !== true) throw new Error(`The generation ${name} is not prepared to be read.`);
      } finally {
        db.close();
      }
      point(directory, name);
    },

    async retire(name) {
      if (liveGeneration(directory) === name) throw new Error(`The generation ${name} is the live one.`);
      // The file itself goes last: what is left by a crash in between is still found, and retired again.
      for (const suffix of ['-wal', '-shm', '']) rmSync(`${generationFile(directory, name)}${suffix}`, { force: true });
    },
  };
}

/**
 * Kilobytes of pages in memory: many while a generation is built from nothing, which touches all of them; few for as long as the process lives, for the system keeps
 * the pages of a file, too.
 */
const BUILDING_KB = 128_000;
const SERVING_KB = 16_000;

function configure(db: Database.Database): void {
  // On a new file only: bodies of one to three kilobytes share fuller pages.
  db.pragma('page_size = 8192');
  db.pragma('journal_mode = WAL');
  // No fsync at a commit. After a power cut the file may be a few commits old, never damaged; its checkpoint is as old, and the log is followed from there.
  db.pragma('synchronous = NORMAL');
  db.pragma('wal_autocheckpoint = 8000');
  db.pragma(`cache_size = -${BUILDING_KB}`);
  db.pragma('busy_timeout = 5000');
}

function create(db: Database.Database, schemas: readonly CollectionSchema[], versions: Readonly<Record<string, number>>): void {
  db.transaction(() => {
    db.exec(GENERATION_TABLE);
    for (const schema of schemas) for (const statement of tableStatements(schema)) db.exec(statement);
    db.prepare('INSERT INTO generation (id, versions, position) VALUES (1, ?, ?)').run(JSON.stringify(versions), START);
  })();
}

function describe(directory: string, name: string, live: string | null): GenerationStatus {
  const db = new Database(generationFile(directory, name), { readonly: true, fileMustExist: true });
  try {
    const found = readGeneration(db);
    // By the file's own tables: another release may have built it.
    const tables = db
      .prepare(`SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND name = tbl_name || '_quarantine'`)
      .pluck()
      .all() as string[];
    const count = (table: string): number =>
      db.prepare(`SELECT count(*) FROM "${table}" WHERE quarantine IS NOT NULL`).pluck().get() as number;
    return {
      name,
      versions: found?.versions ?? {},
      live: name === live,
      position: found?.position ?? START,
      quarantined: tables.reduce((total, table) => total + count(table), 0),
    };
  } finally {
    db.close();
  }
}

/** Written beside and renamed: a reader sees the old name or the new one, also after a crash. */
function point(directory: string, name: string): void {
  const temporary = `${pointerFile(directory)}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, JSON.stringify({ name }));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, pointerFile(directory));
  const folder = openSync(directory, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

type Row = { readonly id: string; readonly position: string; readonly quarantine: string | null; readonly body: string };

interface Collection {
  readonly schema: CollectionSchema;
  readonly get: Database.Statement<[string], Row>;
  readonly table: DocumentTable;
  readonly quarantined: Database.Statement<[], { readonly id: string; readonly quarantine: string }>;
}

class SqliteGenerationWriter implements GenerationWriter {
  private readonly collections: ReadonlyMap<string, Collection>;
  private readonly write: Database.Transaction<(documents: Slice, checkpoint: WriteBatch['checkpoint'] | null) => void>;

  constructor(
    readonly name: string,
    private readonly db: Database.Database,
    schemas: readonly CollectionSchema[],
  ) {
    this.collections = new Map(
      schemas.map((schema) => [
        schema.name,
        {
          schema,
          get: db.prepare<[string], Row>(getSql(schema)),
          table: new DocumentTable(db, schema),
          quarantined: db.prepare<[], { id: string; quarantine: string }>(quarantinedSql(schema)),
        },
      ]),
    );
    const move = db.prepare('UPDATE generation SET position = ? WHERE id = 1 AND position = ?');
    this.write = db.transaction((documents: Slice, checkpoint: WriteBatch['checkpoint'] | null) => {
      for (const [{ table }, document] of documents) table.write(document);
      if (checkpoint !== null && move.run(checkpoint.to, checkpoint.from).changes === 0) throw new CheckpointMoved();
    });
  }

  async position(): Promise<Position> {
    return readGeneration(this.db)?.position ?? START;
  }

  async load(collection: string, ids: readonly string[]): Promise<readonly ReadDocument[]> {
    const { get } = this.collection(collection);
    return ids.flatMap((id) => get.get(id) ?? []);
  }

  async commit({ documents, checkpoint }: WriteBatch): Promise<boolean> {
    const writes = Array.from(documents, ([name, batch]) => {
      const collection = this.collection(name);
      return batch.map((document) => [collection, document] as const);
    }).flat();
    const last = Math.max(0, writes.length - LARGEST_TRANSACTION);
    if (last > 0 && (await this.position()) !== checkpoint.from) return false;
    try {
      for (let at = 0; at < last; at += SLICE) {
        this.write.immediate(writes.slice(at, Math.min(at + SLICE, last)), null);
        await breathe();
      }
      this.write.immediate(writes.slice(last), checkpoint);
    } catch (error) {
      if (error instanceof CheckpointMoved) return false;
      throw error;
    }
    await breathe();
    return true;
  }

  async prepare(): Promise<void> {
    if (readGeneration(this.db)?.prepared === true) return;
    for (const { schema, table } of this.collections.values()) {
      for (const at of schema.indexes.keys()) {
        this.db.transaction(() => {
          for (const statement of indexStatements(schema, at)) this.db.exec(statement);
        })();
        table.keep(at);
        await breathe();
      }
    }
    this.db.exec('UPDATE generation SET prepared = 1');
    this.db.pragma(`cache_size = -${SERVING_KB}`);
  }

  async quarantined(): Promise<readonly QuarantinedDocument[]> {
    return Array.from(this.collections.values()).flatMap(({ schema, quarantined }) =>
      quarantined.all().map(({ id, quarantine }) => ({ collection: schema.name, id, ...(JSON.parse(quarantine) as Quarantine) })),
    );
  }

  async close(): Promise<void> {
    this.db.close();
  }

  private collection(name: string): Collection {
    const collection = this.collections.get(name);
    if (collection === undefined) throw new Error(`There is no collection ${name} in this generation.`);
    return collection;
  }
}

type Slice = readonly (readonly [Collection, StoredDocument])[];

/**
 * What comes while the log is followed is one transaction: readers see all of it or nothing. The far larger batches of a rebuild go in slices, so that the
 * thread keeps the live generation going meanwhile; their documents are ahead of the checkpoint for a moment, which redelivery mends like anywhere.
 */
const LARGEST_TRANSACTION = 10_000;
const SLICE = 2_000;

class CheckpointMoved extends Error {}

type Value = string | number | null;

/**
 * Writes documents of a collection. An UPDATE rewrites every index that has a column of its SET list, whether the value changed or not: nine of them for a target of which
 * mostly the due time alone is new. So what is stored is read first, and only the fields that differ are named.
 */
class DocumentTable {
  private readonly fields: readonly string[];
  /** By the index that they are of. */
  private readonly sides = new Map<number, SideTable>();
  private readonly stored: Database.Statement<[string], [row: number, position: Position, ...fields: Value[]]>;
  private readonly insert: Database.Statement;
  private readonly updates = new Map<number, Database.Statement>();

  constructor(
    private readonly db: Database.Database,
    private readonly schema: CollectionSchema,
  ) {
    this.fields = fieldNames(schema);
    this.stored = db.prepare<[string], [number, Position, ...Value[]]>(storedSql(schema)).raw();
    this.insert = db.prepare(insertSql(schema));
    for (const at of schema.indexes.keys()) this.keep(at);
  }

  /** The index exists from now on, where it is a table of its own; nothing while it is not there yet. */
  keep(at: number): void {
    const sql = sideTableSql(this.schema, at);
    if (sql === null || this.sides.has(at)) return;
    if (this.db.prepare(`SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?`).get(sql.table) === undefined) return;
    this.sides.set(at, new SideTable(this.db, sql, this.fields));
  }

  /** Unless the stored one is newer. */
  write(document: StoredDocument): void {
    const { id, position, quarantine, body } = document;
    const values = this.fields.map((field) => columnOf(document.fields[field] ?? null));
    const stored = this.stored.get(id);
    if (stored === undefined) {
      const { lastInsertRowid } = this.insert.run(id, position, quarantine, ...values, body);
      for (const side of this.sides.values()) side.write(id, lastInsertRowid, null, values);
      return;
    }
    const [row, before, ...old] = stored;
    if (position < before) return;
    const differs = (value: Value, at: number): boolean => value !== old[at];
    this.updateOf(values.map(differs)).run(position, quarantine, ...values.filter(differs), body, row);
    for (const side of this.sides.values()) side.write(id, row, old, values);
  }

  private updateOf(changed: readonly boolean[]): Database.Statement {
    const key = changed.reduce((bits, one) => 2 * bits + Number(one), 0);
    const known = this.updates.get(key);
    if (known !== undefined) return known;
    const made = this.db.prepare(
      updateSql(
        this.schema,
        this.fields.filter((_, at) => changed[at]),
      ),
    );
    this.updates.set(key, made);
    return made;
  }
}

/**
 * The table of a `texts` index: a row for each value of a document. Kept by two plain statements: triggers that take the values out of their JSON cost five times as much, which
 * was most of what a new target costs its read model.
 */
class SideTable {
  private readonly add: Database.Statement;
  private readonly remove: Database.Statement;
  /** Where the index's fields stand among the collection's, and which of them holds the values. */
  private readonly columns: readonly number[];
  private readonly texts: number;

  constructor(db: Database.Database, sql: SideTableSql, fields: readonly string[]) {
    this.add = db.prepare(sql.add);
    this.remove = db.prepare(sql.remove);
    this.columns = sql.fields.map((field) => fields.indexOf(field));
    this.texts = fields.indexOf(sql.texts);
  }

  /** The fields of a document as they are stored: what they were (null: it is new), and what they are. */
  write(id: string, row: number | bigint, old: readonly Value[] | null, values: readonly Value[]): void {
    if (old !== null && this.columns.every((at) => old[at] === values[at])) return;
    if (old !== null) for (const key of this.keysOf(old)) this.remove.run(...key, id);
    for (const key of this.keysOf(values)) this.add.run(...key, id, row);
  }

  private keysOf(values: readonly Value[]): readonly (readonly Value[])[] {
    const fields = this.columns.map((at) => values[at] ?? null);
    const texts = values[this.texts];
    if (typeof texts !== 'string' || fields.includes(null)) return [];
    const at = this.columns.indexOf(this.texts);
    return (JSON.parse(texts) as readonly string[]).map((text) => fields.with(at, text));
  }
}

const columnOf = (value: StoredDocument['fields'][string]): Value =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : value;

/** Lets the thread's other work in: SQLite answers at once, and a loop of awaits alone would starve timers and messages. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
