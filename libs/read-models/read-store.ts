import type { Position } from '#event-store';

/**
 * The port to the read store: documents by id, a few indexed fields beside each, one checkpoint. Adapters: sqlite (embedded), mongodb. Every
 * adapter passes read-store.contract.ts.
 *
 * A *generation* is one complete build of all read models, with one checkpoint. Readers use one generation; another can be built beside it and be
 * promoted when it has caught up (architecture.md, "Projections are folds").
 */
export type IndexValue = string | number | null;

export interface StoredDocument {
  readonly id: string;
  /** Of the last event folded into it. A write with an older position than the stored one changes nothing. */
  readonly position: Position;
  /** Declared by the collection; what queries can use. An array is a field with many values. */
  readonly fields: Readonly<Record<string, IndexValue | readonly (string | number)[]>>;
  /** JSON text. */
  readonly body: string;
}

/** What a read model keeps, and how it is asked. */
export interface CollectionSchema {
  readonly name: string;
  readonly fields: Readonly<Record<string, 'text' | 'integer' | 'texts'>>;
  /** Each a list of fields, in order. A `texts` field may stand in an index of two: [field, texts field]. An index named sparse holds only rows where its last field is not null. */
  readonly indexes: readonly { readonly fields: readonly string[]; readonly sparse?: boolean }[];
}

/** Documents where all of `where` holds. The adapter answers from an index that starts with the `where` fields, then the `order` fields. */
export interface FindQuery {
  readonly collection: string;
  /** Field equals value; on a `texts` field: one of its values equals it. */
  readonly where: Readonly<Record<string, IndexValue>>;
  /** One field's bounds; null values never match. */
  readonly range?: { readonly field: string; readonly above?: IndexValue; readonly from?: IndexValue; readonly below?: IndexValue; readonly upTo?: IndexValue };
  /** Sorted by `field`, then by id in the same direction. */
  readonly order?: { readonly field: string; readonly direction: 'ascending' | 'descending' };
  /** Continues strictly after the row with this field value and id in that order (no id: after all rows with that value). */
  readonly after?: { readonly value: string | number; readonly id?: string };
  readonly limit: number;
}

export type ReadOperation =
  | { readonly kind: 'get'; readonly collection: string; readonly ids: readonly string[] }
  | { readonly kind: 'find'; readonly query: FindQuery }
  /** How many documents match; `range` as in find. */
  | { readonly kind: 'count'; readonly query: Pick<FindQuery, 'collection' | 'where' | 'range'> };

export interface ReadAnswer {
  /** For get and find; get leaves out what is not there. */
  readonly documents: readonly StoredDocument[];
  /** For count; else the number of documents. */
  readonly count: number;
}

export interface ReadStore {
  /** Runs the operations, on one snapshot where the engine has them; `position` is the live generation's checkpoint they were answered at (or an earlier one). */
  read(operations: readonly ReadOperation[]): Promise<{ readonly answers: readonly ReadAnswer[]; readonly position: Position }>;
  /** The live generation's checkpoint. */
  position(): Promise<Position>;
  close(): Promise<void>;
}

export interface GenerationStatus {
  readonly name: string;
  /** Projection name → version it was built with. */
  readonly versions: Readonly<Record<string, number>>;
  readonly live: boolean;
  readonly position: Position;
  /** Documents marked because an event could not be folded. */
  readonly quarantined: number;
}

export interface WriteBatch {
  readonly documents: ReadonlyMap<string, readonly StoredDocument[]>;
  /** Compare-and-set: from must be the stored checkpoint. */
  readonly checkpoint: { readonly from: Position; readonly to: Position };
}

/** One generation, as its builder writes it. */
export interface GenerationWriter {
  readonly name: string;
  position(): Promise<Position>;
  load(collection: string, ids: readonly string[]): Promise<readonly StoredDocument[]>;
  /** Guarded documents first, then the checkpoint. False: another owner moved the checkpoint; nothing of it may be assumed. */
  commit(batch: WriteBatch): Promise<boolean>;
  close(): Promise<void>;
}

/** Where generations are made, listed, promoted and retired. */
export interface Generations {
  list(): Promise<readonly GenerationStatus[]>;
  /** Opens an existing generation, or makes an empty one of these versions. */
  open(name: string, versions: Readonly<Record<string, number>>): Promise<GenerationWriter>;
  promote(name: string): Promise<void>;
  /** Not the live one. */
  retire(name: string): Promise<void>;
}
