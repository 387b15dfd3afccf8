import Database from 'better-sqlite3';
import { START, type Position } from '#event-store';
import { sameVersions } from './generations';
import { versionsOf, type AnyProjection } from './projection';
import type { CollectionSchema, ReadAnswer, ReadDocument, ReadOperation, ReadStore } from './read-store';
import { generationFile, liveGeneration, readGeneration } from './sqlite-generations';
import { countSql, findSql, getSql, type SqlQuery } from './sqlite-schema';

export interface SqliteReadStore extends ReadStore {
  /** Looks again which generation is live; to be called when one was promoted. */
  refresh(): void;
}

/**
 * Reads the live generation of a directory, when it is one of these read models in these versions; without one it answers that nothing is there, and looks
 * again at each read. Queries run where they are called: with their index, each is a matter of microseconds.
 */
export function openSqliteReadStore(options: {
  readonly directory: string;
  readonly projections: readonly AnyProjection[];
}): SqliteReadStore {
  const { directory, projections } = options;
  const schemas = new Map(projections.map(({ schema }) => [schema.name, schema]));
  const versions = versionsOf(projections);
  let open: OpenGeneration | null = null;

  const current = (): OpenGeneration | null => {
    open ??= openLive(directory, versions, schemas);
    return open;
  };

  return {
    async read(operations) {
      return current()?.read(operations) ?? { answers: operations.map(() => NOTHING), position: START };
    },
    async position() {
      return current()?.position() ?? START;
    },
    refresh() {
      const name = liveGeneration(directory);
      if (open === null || open.name === name) return;
      const next = openLive(directory, versions, schemas);
      // Reads are over when they return, so nothing uses the old file any more.
      open.close();
      open = next;
    },
    async close() {
      open?.close();
      open = null;
    },
  };
}

const NOTHING: ReadAnswer = { documents: [], count: 0 };

function openLive(
  directory: string,
  versions: Readonly<Record<string, number>>,
  schemas: ReadonlyMap<string, CollectionSchema>,
): OpenGeneration | null {
  const name = liveGeneration(directory);
  if (name === null) return null;
  const db = new Database(generationFile(directory, name), { readonly: true, fileMustExist: true });
  const found = readGeneration(db);
  if (found !== null && sameVersions(found.versions, versions)) return new OpenGeneration(name, db, schemas);
  db.close();
  return null;
}

/** Shapes of queries are few; this many prepared statements hold them all. */
const STATEMENTS = 500;

class OpenGeneration {
  private readonly statements = new Map<string, Database.Statement>();
  private readonly checkpoint: Database.Statement<[], string>;
  private readonly snapshot: Database.Transaction<
    (operations: readonly ReadOperation[]) => { readonly answers: readonly ReadAnswer[]; readonly position: Position }
  >;

  constructor(
    readonly name: string,
    private readonly db: Database.Database,
    private readonly schemas: ReadonlyMap<string, CollectionSchema>,
  ) {
    // What it holds is of no use any more at the projector's next commit.
    db.pragma('cache_size = -8000');
    this.checkpoint = db.prepare<[], string>('SELECT position FROM generation').pluck();
    this.snapshot = db.transaction((operations: readonly ReadOperation[]) => ({
      position: this.position(),
      answers: operations.map((operation) => this.answer(operation)),
    }));
  }

  read(operations: readonly ReadOperation[]): { readonly answers: readonly ReadAnswer[]; readonly position: Position } {
    return this.snapshot(operations);
  }

  position(): Position {
    return this.checkpoint.get() ?? START;
  }

  close(): void {
    this.db.close();
  }

  private answer(operation: ReadOperation): ReadAnswer {
    switch (operation.kind) {
      case 'get': {
        const statement = this.statement(getSql(this.schema(operation.collection)));
        const documents = operation.ids.flatMap((id) => (statement.get(id) as ReadDocument | undefined) ?? []);
        return { documents, count: documents.length };
      }
      case 'find': {
        const documents = this.run(findSql(this.schema(operation.query.collection), operation.query)) as readonly ReadDocument[];
        return { documents, count: documents.length };
      }
      case 'count': {
        const [row] = this.run(countSql(this.schema(operation.query.collection), operation.query)) as readonly {
          readonly 'count(*)': number;
        }[];
        return { documents: [], count: row?.['count(*)'] ?? 0 };
      }
    }
  }

  private run({ sql, parameters }: SqlQuery): readonly unknown[] {
    return this.statement(sql).all(...parameters);
  }

  private schema(collection: string): CollectionSchema {
    const schema = this.schemas.get(collection);
    if (schema === undefined) throw new Error(`There is no collection ${collection} in this store.`);
    return schema;
  }

  private statement(sql: string): Database.Statement {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    if (this.statements.size >= STATEMENTS) this.statements.clear();
    const prepared = this.db.prepare(sql);
    this.statements.set(sql, prepared);
    return prepared;
  }
}
