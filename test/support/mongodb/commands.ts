import { Long, type Document } from 'bson';
import { Aggregator, find as mingoFind } from 'mingo';
import { Collection, type UpdateStatement } from './collection';
import { CommandError, type IndexSpec } from './indexes';
import type { Question } from './plan';

/** What one write command has done so far: a statement that it was told again is answered, not made again. */
export interface Statements {
  /** Answers what the statement answered the first time, or makes it. */
  once<T>(index: number, make: () => T): T;
}

/** The databases of the stand-in, and what each command does to them. */
export class Databases {
  private readonly collections = new Map<string, Collection>();
  private readonly cursors = new Map<number, { readonly namespace: string; readonly rest: Document[] }>();
  private lastCursor = 0;

  /** Throws CommandError. */
  run(command: Document, statements: Statements): Document {
    const name = Object.keys(command)[0] ?? '';
    const handler = this.handlers[name];
    if (handler === undefined) throw new CommandError(59, 'CommandNotFound', `no such command: '${name}'`);
    return handler(command, statements);
  }

  private readonly handlers: Readonly<Record<string, (command: Document, statements: Statements) => Document>> = {
    ping: () => ({}),
    buildInfo: () => ({ version: '7.0.0', versionArray: [7, 0, 0, 0], gitVersion: 'stand-in', maxBsonObjectSize: 16 * 1024 * 1024 }),
    endSessions: () => ({}),
    insert: (command, statements) => {
      const collection = this.collection(command);
      return each(command, command['documents'] as Document[], statements, (document) => {
        collection.insert(document);
        return { n: 1 };
      });
    },
    update: (command, statements) => this.update(command, statements),
    delete: (command, statements) => {
      const collection = this.collection(command);
      return each(command, command['deletes'] as Document[], statements, ({ q, limit, hint }) => ({
        n: collection.delete({ filter: q as Document, sort: {}, hint }, limit === 1 ? 1 : Infinity).length,
      }));
    },
    findAndModify: (command, statements) => statements.once(0, () => this.findAndModify(command)),
    find: (command) => this.find(command),
    getMore: ({ getMore, $db, collection, batchSize }) => this.more(Number(getMore), `${String($db)}.${String(collection)}`, batchSize),
    killCursors: ({ cursors }) => {
      const ids = (cursors as unknown[]).map(Number);
      const killed = ids.filter((id) => this.cursors.delete(id)).map((id) => Long.fromNumber(id));
      return { cursorsKilled: killed, cursorsNotFound: [], cursorsAlive: [], cursorsUnknown: [] };
    },
    count: (command) => {
      const { query = {}, hint } = command as { query?: Document; hint?: unknown };
      return { n: this.existing(command)?.find({ filter: query, sort: {}, hint }, windowOf(command)).documents.length ?? 0 };
    },
    aggregate: (command) => this.aggregate(command),
    explain: ({ explain, $db }) => {
      const command = { ...(explain as Document), $db: $db as string };
      const collection = this.existing(command) ?? new Collection(namespaceOf(command));
      return collection.explain(questionOf(command), windowOf(command));
    },
    createIndexes: (command) => this.createIndexes(command),
    dropIndexes: (command) => {
      this.existing(command)?.dropIndex(String(command['index']));
      return {};
    },
    listIndexes: (command) => {
      const collection = this.existing(command);
      if (collection === undefined) throw new CommandError(26, 'NamespaceNotFound', `ns does not exist: ${namespaceOf(command)}`);
      const listed = collection.indexes.map(({ spec }) => ({
        v: 2,
        key: spec.key,
        name: spec.name,
        ...(spec.unique && spec.name !== '_id_' ? { unique: true } : {}),
        ...(spec.partialFilterExpression === undefined ? {} : { partialFilterExpression: spec.partialFilterExpression }),
      }));
      return this.cursor(namespaceOf(command), listed, undefined);
    },
    listCollections: (command) => {
      const prefix = `${String(command['$db'])}.`;
      const names = [...this.collections.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
      const listed = names.map((name) => ({ name, type: 'collection', options: {}, info: { readOnly: false } }));
      const filter = (command['filter'] as Document | undefined) ?? {};
      return this.cursor(`${prefix}$cmd.listCollections`, mingoFind<Document>(listed, filter).all(), undefined);
    },
    create: (command) => {
      if (this.existing(command) !== undefined) throw new CommandError(48, 'NamespaceExists', `Collection ${namespaceOf(command)} exists.`);
      this.collection(command);
      return {};
    },
    drop: (command) => {
      this.collections.delete(namespaceOf(command));
      return {};
    },
    dropDatabase: ({ $db }) => {
      for (const name of [...this.collections.keys()]) if (name.startsWith(`${String($db)}.`)) this.collections.delete(name);
      return {};
    },
  };

  private existing(command: Document): Collection | undefined {
    return this.collections.get(namespaceOf(command));
  }

  /** Made when it is first written to. */
  private collection(command: Document): Collection {
    const namespace = namespaceOf(command);
    const found = this.collections.get(namespace) ?? new Collection(namespace);
    this.collections.set(namespace, found);
    return found;
  }

  private update(command: Document, statements: Statements): Document {
    const collection = this.collection(command);
    const upserted: Document[] = [];
    let nModified = 0;
    const answer = each(command, command['updates'] as UpdateStatement[], statements, (statement, index) => {
      const { matched, modified, upserted: id } = collection.update(statement);
      return { n: id === undefined ? matched : 1, modified, ...(id === undefined ? {} : { upserted: { index, _id: id } }) };
    });
    for (const done of answer.done) {
      nModified += Number(done['modified']);
      if (done['upserted'] !== undefined) upserted.push(done['upserted'] as Document);
    }
    const { done: _, ...told } = answer;
    return { ...told, nModified, ...(upserted.length > 0 ? { upserted } : {}) };
  }

  private findAndModify(command: Document): Document {
    const { query: q = {}, sort = {}, hint, remove, upsert, fields = {}, arrayFilters } = command;
    const collection = this.collection(command);
    if (remove === true) {
      const [gone] = collection.delete({ filter: q as Document, sort: sort as Record<string, number>, hint }, 1);
      return { value: gone === undefined ? null : projected(gone, fields as Document), lastErrorObject: { n: gone === undefined ? 0 : 1 } };
    }
    const done = collection.update({
      q: q as Document,
      u: command['update'] as Document,
      upsert: upsert === true,
      sort: sort as Record<string, number>,
      hint,
      ...(arrayFilters === undefined ? {} : { arrayFilters: arrayFilters as Document[] }),
    });
    const value = command['new'] === true ? done.after : done.before;
    return {
      value: value === null ? null : projected(value, fields as Document),
      lastErrorObject: {
        n: done.matched + (done.upserted === undefined ? 0 : 1),
        updatedExisting: done.matched > 0,
        ...(done.upserted === undefined ? {} : { upserted: done.upserted }),
      },
    };
  }

  private find(command: Document): Document {
    const projection = (command['projection'] as Document | undefined) ?? {};
    const found = this.existing(command)?.find(questionOf(command), windowOf(command)).documents ?? [];
    const documents = found.map(({ document }) => projected(document, projection));
    return this.cursor(namespaceOf(command), documents, command['batchSize'], command['singleBatch'] === true);
  }

  private aggregate(command: Document): Document {
    const pipeline = command['pipeline'] as Document[];
    const [first = {}] = pipeline;
    const matched = '$match' in first;
    const question = { filter: matched ? (first['$match'] as Document) : {}, sort: {}, hint: command['hint'] as unknown };
    const found = this.existing(command)?.find(question).documents ?? [];
    const rest = new Aggregator(pipeline.slice(matched ? 1 : 0), {}).run<Document>(found.map(({ document }) => document));
    return this.cursor(namespaceOf(command), rest, (command['cursor'] as Document | undefined)?.['batchSize']);
  }

  private createIndexes(command: Document): Document {
    const created = this.existing(command) === undefined;
    const collection = this.collection(command);
    const numIndexesBefore = collection.indexes.length;
    for (const { name, key, unique, partialFilterExpression, v: _, ...unknown } of command['indexes'] as Document[]) {
      const [option] = Object.keys(unknown);
      if (option !== undefined)
        throw new CommandError(197, 'InvalidIndexSpecificationOption', `the stand-in knows no index option ${option}`);
      collection.createIndex({
        name: String(name),
        key: key as IndexSpec['key'],
        unique: unique === true,
        ...(partialFilterExpression === undefined ? {} : { partialFilterExpression: partialFilterExpression as Document }),
      });
    }
    return { numIndexesBefore, numIndexesAfter: collection.indexes.length, createdCollectionAutomatically: created };
  }

  private cursor(ns: string, documents: readonly Document[], batchSize: unknown = 101, single = false): Document {
    const firstBatch = documents.slice(0, Number(batchSize));
    const rest = documents.slice(firstBatch.length);
    if (rest.length === 0 || single) return { cursor: { id: Long.ZERO, ns, firstBatch } };
    this.cursors.set((this.lastCursor += 1), { namespace: ns, rest });
    return { cursor: { id: Long.fromNumber(this.lastCursor), ns, firstBatch } };
  }

  private more(id: number, ns: string, batchSize: unknown): Document {
    const cursor = this.cursors.get(id);
    if (cursor?.namespace !== ns) throw new CommandError(43, 'CursorNotFound', `cursor id ${id} not found`);
    const nextBatch = cursor.rest.splice(0, batchSize === undefined ? MOST_IN_A_BATCH : Number(batchSize));
    if (cursor.rest.length > 0) return { cursor: { id: Long.fromNumber(id), ns, nextBatch } };
    this.cursors.delete(id);
    return { cursor: { id: Long.ZERO, ns, nextBatch } };
  }
}

/** A server bounds a batch by its bytes, at 16 MB. */
const MOST_IN_A_BATCH = 5_000;

const namespaceOf = (command: Document): string => `${String(command['$db'])}.${String(Object.values(command)[0])}`;

const questionOf = ({ filter, query, sort, hint }: Document): Question => ({
  filter: (filter ?? query ?? {}) as Document,
  sort: (sort ?? {}) as Record<string, number>,
  hint,
});

const windowOf = ({ skip, limit }: Document): { skip: number; most: number } => ({
  skip: Number(skip ?? 0),
  most: Number(limit ?? 0) === 0 ? Infinity : Math.abs(Number(limit)),
});

/** The plain projections, which name fields to keep, are made here: in lists of thousands mingo's way takes longer than all else. */
function projected(document: Document, projection: Document): Document {
  const fields = Object.entries(projection);
  if (fields.length === 0) return document;
  if (!fields.every(([field, keep]) => keep === 1 && !/[.$]/.test(field)))
    return mingoFind<Document>([document], {}, projection).all()[0] ?? {};
  const kept = ['_id', ...Object.keys(projection)].filter((field) => field in document);
  return Object.fromEntries(kept.map((field) => [field, document[field] as unknown]));
}

/**
 * Statement by statement. A statement that fails is told with its place in the command; behind it an ordered command stops, an unordered one goes on.
 */
function each<T>(
  command: Document,
  parts: readonly T[],
  statements: Statements,
  make: (part: T, index: number) => Document,
): Document & { readonly n: number; readonly done: readonly Document[] } {
  const done: Document[] = [];
  const writeErrors: Document[] = [];
  for (const [index, part] of parts.entries()) {
    try {
      done.push(statements.once(index, () => make(part, index)));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      writeErrors.push({ index, code: error.code, errmsg: error.message, ...error.more });
      if (command['ordered'] !== false) break;
    }
  }
  const n = done.reduce((total, answer) => total + Number(answer['n']), 0);
  return { n, done, ...(writeErrors.length > 0 ? { writeErrors } : {}) };
}
