import { deserialize, ObjectId, serialize, type Document } from 'bson';
import { find as mingoFind, update as mingoUpdate } from 'mingo';
import { isEqual } from 'mingo/util';
import { CommandError, Index, type IndexSpec, type Stored } from './indexes';
import { matcher } from './matching';
import { explained, isOperators, plan, walk, type Question } from './plan';
import { compareValues, identityOf } from './values';

export interface Found {
  readonly documents: readonly Stored[];
  readonly keysExamined: number;
  readonly docsExamined: number;
}

export interface UpdateStatement {
  readonly q: Document;
  readonly u: Document;
  readonly upsert?: boolean;
  readonly multi?: boolean;
  readonly hint?: unknown;
  readonly sort?: Record<string, number>;
  readonly arrayFilters?: Document[];
}

export interface Updated {
  readonly matched: number;
  readonly modified: number;
  readonly upserted?: unknown;
  /** The last document that was written, before and after. */
  readonly before: Document | null;
  readonly after: Document | null;
}

/** The documents of one collection and their indexes. Each method is one atomic change. */
export class Collection {
  readonly indexes: Index[] = [new Index({ name: '_id_', key: { _id: 1 }, unique: true })];
  private readonly byId = new Map<string, Stored>();
  private rows = 0;

  constructor(readonly namespace: string) {}

  get size(): number {
    return this.byId.size;
  }

  /** In the order asked for; `most` of them after `skip`. */
  find(question: Question, { skip = 0, most = Infinity }: { readonly skip?: number; readonly most?: number } = {}): Found {
    const matches = matcher(question.filter);
    const scan = plan(question, this.indexes);
    let [keysExamined, docsExamined] = [0, 0];
    const rows =
      scan.by === null
        ? this.byId.values()
        : this.candidates(
            question,
            walk(scan.by, () => (keysExamined += 1)),
          );
    let documents: Stored[] = [];
    const enough = scan.sorted ? skip + most : Infinity;
    if (enough > 0) {
      for (const stored of rows) {
        docsExamined += 1;
        if (matches(stored.document) && documents.push(stored) >= enough) break;
      }
    }
    if (!scan.sorted) documents = sorted(documents, question.sort);
    return { documents: documents.slice(skip, skip + most), keysExamined, docsExamined };
  }

  explain(question: Question, window: { readonly skip?: number; readonly most?: number }): Document {
    const { documents, keysExamined, docsExamined } = this.find(question, window);
    return {
      queryPlanner: explained(plan(question, this.indexes), question, this.namespace),
      executionStats: {
        executionSuccess: true,
        nReturned: documents.length,
        totalKeysExamined: keysExamined,
        totalDocsExamined: docsExamined,
      },
    };
  }

  insert(document: Document): void {
    const whole: Document = document['_id'] === undefined ? { _id: new ObjectId(), ...document } : document;
    this.put({ row: (this.rows += 1), document: whole }, null, whole);
  }

  update({ q, u, upsert = false, multi = false, hint, sort = {}, arrayFilters = [] }: UpdateStatement): Updated {
    if (Array.isArray(u)) throw new CommandError(9, 'FailedToParse', 'the stand-in knows no update by a pipeline');
    const { documents } = this.find({ filter: q, sort, hint }, { most: multi ? Infinity : 1 });
    if (documents.length === 0) return upsert ? this.upsert(q, u, arrayFilters) : NOTHING;
    let modified = 0;
    let [before, after]: [Document | null, Document | null] = [null, null];
    for (const stored of documents) {
      before = stored.document;
      after = changed(before, q, u, arrayFilters);
      if (compareValues(before, after) === 0) continue;
      this.put(stored, before, after);
      modified += 1;
    }
    return { matched: documents.length, modified, before, after };
  }

  delete(question: Question, most: number): readonly Document[] {
    const { documents } = this.find(question, { most });
    for (const stored of documents) this.put(stored, stored.document, null);
    return documents.map(({ document }) => document);
  }

  /** Answers whether it is new. */
  createIndex(spec: IndexSpec): boolean {
    const same = this.indexes.find((index) => index.spec.name === spec.name || JSON.stringify(index.spec.key) === JSON.stringify(spec.key));
    if (same !== undefined) {
      if (isEqual(same.spec, spec)) return false;
      throw new CommandError(86, 'IndexKeySpecsConflict', `An existing index has the name or the key of ${spec.name}, and is another one.`);
    }
    const index = new Index(spec);
    for (const stored of this.byId.values()) {
      const keys = index.keysOf(stored.document);
      this.refuse(index, index.clash(keys, stored));
      index.change(stored, [], keys);
    }
    this.indexes.push(index);
    return true;
  }

  dropIndex(name: string): void {
    const at = this.indexes.findIndex(({ spec }) => spec.name === name);
    if (at <= 0) throw new CommandError(27, 'IndexNotFound', `index not found with name [${name}]`);
    this.indexes.splice(at, 1);
  }

  /** One document by its id is looked up: that is what most queries are. */
  private candidates({ filter }: Question, otherwise: Iterable<Stored>): Iterable<Stored> {
    const id: unknown = filter['_id'];
    if (typeof id !== 'string') return otherwise;
    const stored = this.byId.get(identityOf(id));
    return stored === undefined ? [] : [stored];
  }

  private upsert(q: Document, u: Document, arrayFilters: Document[]): Updated {
    const after = upserted(q, u, arrayFilters);
    this.insert(after);
    return { matched: 0, modified: 0, upserted: after['_id'], before: null, after };
  }

  /** Puts a document in the place of another one, in all indexes or, when one refuses it, in none. */
  private put(stored: Stored, before: Document | null, after: Document | null): void {
    const changes = this.indexes.map((index) => {
      const keys = after === null ? [] : index.keysOf(after);
      this.refuse(index, index.clash(keys, before === null ? null : stored));
      return { index, was: before === null ? [] : index.keysOf(before), keys };
    });
    for (const { index, was, keys } of changes) index.change(stored, was, keys);
    if (after === null) this.byId.delete(identityOf(stored.document['_id']));
    else {
      stored.document = after;
      this.byId.set(identityOf(after['_id']), stored);
    }
  }

  private refuse(index: Index, key: readonly unknown[] | undefined): void {
    if (key === undefined) return;
    const keyValue = Object.fromEntries(index.fields.map((field, i) => [field, key[i]]));
    const shown = Object.entries(keyValue).map(([field, value]) => `${field}: ${JSON.stringify(value)}`);
    throw new CommandError(
      11000,
      'DuplicateKey',
      `E11000 duplicate key error collection: ${this.namespace} index: ${index.spec.name} dup key: { ${shown.join(', ')} }`,
      { keyPattern: index.spec.key, keyValue },
    );
  }
}

const NOTHING: Updated = { matched: 0, modified: 0, before: null, after: null };

const isReplacement = (u: Document): boolean => !Object.keys(u).some((key) => key.startsWith('$'));

function changed(before: Document, q: Document, u: Document, arrayFilters: Document[]): Document {
  if (isReplacement(u)) {
    if (u['_id'] !== undefined && identityOf(u['_id']) !== identityOf(before['_id'])) throw immutableId();
    return { _id: before['_id'] as unknown, ...u };
  }
  const after = deserialize(serialize(before));
  const { $setOnInsert: _, ...operators } = u;
  apply(after, operators, arrayFilters, q);
  return after;
}

function apply(document: Document, operators: Document, arrayFilters: Document[], q: Document): void {
  if (Object.keys(operators).length === 0) return;
  try {
    mingoUpdate(document, operators, arrayFilters, q, { cloneMode: 'deep' });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw message.includes('immutable') ? immutableId() : new CommandError(9, 'FailedToParse', message);
  }
}

const immutableId = (): CommandError =>
  new CommandError(66, 'ImmutableField', `Performing an update on the path '_id' would modify the immutable field '_id'`);

/** What an update makes when nothing matches: what the query pins, changed as the update says. */
function upserted(q: Document, u: Document, arrayFilters: Document[]): Document {
  const pinned = pinnedBy(q);
  if (isReplacement(u)) return { _id: (pinned['_id'] ?? u['_id'] ?? new ObjectId()) as unknown, ...u };
  const after: Document = { ...pinned };
  const { $setOnInsert, $set, ...operators } = u as { $setOnInsert?: Document; $set?: Document };
  const set = { ...$set, ...$setOnInsert };
  const all = Object.keys(set).length === 0 ? operators : { ...operators, $set: set };
  apply(after, all, arrayFilters, {});
  return { _id: (after['_id'] ?? new ObjectId()) as unknown, ...after };
}

function pinnedBy(q: Document): Document {
  const pinned: Document = {};
  for (const [field, condition] of Object.entries(q)) {
    if (field === '$and') for (const part of condition as Document[]) Object.assign(pinned, pinnedBy(part));
    if (field.startsWith('$')) continue;
    if (!isOperators(condition)) pinned[field] = condition as unknown;
    else if ('$eq' in condition) pinned[field] = condition['$eq'] as unknown;
  }
  return pinned;
}

function sorted(documents: readonly Stored[], sort: Record<string, number>): Stored[] {
  const places = new Map(documents.map((stored) => [stored.document, stored]));
  const order = mingoFind<Document>([...places.keys()], {})
    .sort(sort)
    .all();
  return order.flatMap((document) => places.get(document) ?? []);
}
