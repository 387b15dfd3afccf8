import type { Collection, IndexDescription } from 'mongodb';
import { mongoPrefix, type MongoConnection, type Position } from '#event-store';
import { versionsOf, type AnyProjection } from './projection';
import type { CollectionSchema, ReadDocument, StoredDocument } from './read-store';

/**
 * How generations lie in MongoDB. A generation's documents are in collections of its own; one collection has a record for each generation, with its checkpoint, and one
 * says for each set of versions which generation their readers use. All names carry the log's id.
 */
export interface GenerationRecord {
  /** Its name. */
  readonly _id: string;
  readonly versions: Readonly<Record<string, number>>;
  /** What it is made of; another release may have other collections. */
  readonly collections: readonly string[];
  readonly position: Position;
  readonly prepared: boolean;
  /** It is being removed: what is left of it is nobody's. */
  readonly retired?: true;
}

/** Which generation the readers of a set of versions use. */
export interface CurrentRecord {
  /** `versionsKey` of them. */
  readonly _id: string;
  readonly versions: Readonly<Record<string, number>>;
  readonly generation: string;
}

/** The declared fields stand beside; what is null is left out, so that partial indexes stay small. */
export interface MongoDocument extends Readonly<Record<string, unknown>> {
  readonly _id: string;
  readonly position: Position;
  readonly body: string;
  readonly quarantine?: string;
}

const OWN_FIELDS = ['_id', 'position', 'quarantine', 'body'];

/** The collections of one log. */
export class MongoLayout {
  private readonly prefix: string;
  /** Of these read models, as `versionsKey` gives it. */
  readonly key: string;
  readonly schemas: ReadonlyMap<string, CollectionSchema>;

  /** Throws for a log without an id, and for a field that has the name of one that every document has. */
  constructor(logId: string, projections: readonly AnyProjection[]) {
    this.prefix = mongoPrefix(logId);
    this.key = versionsKey(versionsOf(projections));
    this.schemas = new Map(projections.map(({ schema }) => [schema.name, schema]));
    for (const { name, fields } of this.schemas.values()) {
      const clash = Object.keys(fields).find((field) => OWN_FIELDS.includes(field) || /[.$]/.test(field));
      if (clash !== undefined) throw new Error(`A field of ${name} cannot be called ${clash}.`);
    }
  }

  generations(connection: MongoConnection): Collection<GenerationRecord> {
    return connection.collection(`${this.prefix}_generations`);
  }

  current(connection: MongoConnection): Collection<CurrentRecord> {
    return connection.collection(`${this.prefix}_current`);
  }

  documents(connection: MongoConnection, generation: string, collection: string): Collection<MongoDocument> {
    return connection.collection(`${this.prefix}_${generation}_${collection}`);
  }

  schema(name: string): CollectionSchema {
    const schema = this.schemas.get(name);
    if (schema === undefined) throw new Error(`There is no collection ${name} in this store.`);
    return schema;
  }
}

/** The same for equal sets of versions, in whatever order. */
export const versionsKey = (versions: Readonly<Record<string, number>>): string =>
  Object.entries(versions)
    .map(([name, version]) => `${name}:${version}`)
    .sort()
    .join(',');

/** Kept from the first document on: it is nearly always empty. */
export const QUARANTINE_INDEX = {
  name: 'quarantine',
  key: { quarantine: 1 },
  partialFilterExpression: { quarantine: { $exists: true } },
} as const satisfies IndexDescription;

/** The indexes that queries name. Each ends with the id, so that it gives the order of equal fields, too. */
export function indexesOf(schema: CollectionSchema): IndexDescription[] {
  return schema.indexes.map(({ fields, sparse = false }, at) => ({
    name: indexName(at),
    key: new Map([...fields, '_id'].map((field) => [field, 1] as const)),
    ...(sparse ? { partialFilterExpression: Object.fromEntries(fields.map((field) => [field, { $exists: true }])) } : {}),
  }));
}

export const indexName = (at: number): string => `index_${at}`;

export function mongoDocument({ id, position, body, quarantine, fields }: StoredDocument): MongoDocument {
  const present = Object.entries(fields).filter(([, value]) => value !== null);
  return { _id: id, position, body, ...(quarantine === null ? {} : { quarantine }), ...Object.fromEntries(present) };
}

export const READ_FIELDS = { position: 1, body: 1, quarantine: 1 } as const;

export const readDocument = ({ _id, position, body, quarantine }: MongoDocument): ReadDocument => ({
  id: _id,
  position,
  body,
  quarantine: quarantine ?? null,
});
