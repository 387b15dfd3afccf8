import type { Position } from '#event-store';

/**
 * The port to the read store: documents by id, a few indexed fields beside each, one checkpoint. Adapters: sqlite (embedded), mongodb. Every
 * adapter passes read-store.contract.ts.
 *
 * A *generation* is one complete build of all read models, with one checkpoint. Readers use one generation; another can be built beside it and be
 * promoted when it has caught up ("Projections are folds", the architecture's rules).
 */
export type IndexValue = string | number | null;

/** A document as it is read. */
export interface ReadDocument {
  readonly id: string;
  /** Of the last event folded into it. A write with an older position than the stored one changes nothing; one with the same position replaces it. */
  readonly position: Position;
  /** JSON text. */
  readonly body: string;
  /** null, or JSON text (`Quarantine`): an event could not be folded into it. `body` is then what it was before that event. */
  readonly quarantine: string | null;
}

/** A document as it is written. */
export interface StoredDocument extends ReadDocument {
  /** Declared by the collection; what queries can use; one that is absent is null. An array is a field with many values. */
  readonly fields: Readonly<Record<string, IndexValue | readonly string[]>>;
}

/** Why a document is quarantined: the event that could not be folded. */
export interface Quarantine {
  readonly stream: string;
  readonly revision: number;
  readonly eventId: string;
  readonly reason: string;
}

/** What a read model keeps, and how it is asked. */
export interface CollectionSchema {
  readonly name: string;
  readonly fields: Readonly<Record<string, 'text' | 'integer' | 'texts'>>;
  readonly indexes: readonly IndexSchema[];
}

export interface IndexSchema {
  /** In order; documents of equal fields follow each other by id. At most one of them a `texts` field: a row for each of its values. */
  readonly fields: readonly string[];
  /** Holds only documents where none of its fields is null. */
  readonly sparse?: boolean;
}

/**
 * Documents where all of `where` holds. Answered from an index that starts with `where` fields and ends with the field of `order` (or `range`): the one that
 * covers the most `where` fields, the first declared of equals; what it does not cover is checked row by row, but one it must cover. A query that no index serves is
 * refused: it is a mistake in a read model. Quarantined documents match nothing.
 */
export interface FindQuery {
  readonly collection: string;
  /** Field equals value; on a `texts` field: one of its values equals it. */
  readonly where: Readonly<Record<string, IndexValue>>;
  /** One field's bounds; null values never match. */
  readonly range?: {
    readonly field: string;
    readonly above?: IndexValue;
    readonly from?: IndexValue;
    readonly below?: IndexValue;
    readonly upTo?: IndexValue;
  };
  /**
   * Sorted by `field`, then by `then` where it is given, then by id, all in the same direction (ids compared as strings, code unit by code unit).
   * Documents that lack one of these fields are left out. Without an order they come in any.
   */
  readonly order?: { readonly field: string; readonly then?: string; readonly direction: 'ascending' | 'descending' };
  /** Continues strictly after the row with this field value and id in that order (no id: after all rows with that value). Not with `then`. */
  readonly after?: { readonly value: string | number; readonly id?: string };
  /** Hex digits, such as `03ab`: only documents whose id starts with one of them. Gateways share an outdial's targets by it. */
  readonly idStartsWith?: string;
  readonly limit: number;
}

export type ReadOperation =
  | { readonly kind: 'get'; readonly collection: string; readonly ids: readonly string[] }
  | { readonly kind: 'find'; readonly query: FindQuery }
  /** How many documents match; `range` as in find. */
  | { readonly kind: 'count'; readonly query: Pick<FindQuery, 'collection' | 'where' | 'range'> };

export interface ReadAnswer {
  /** For get and find; get leaves out what is not there. */
  readonly documents: readonly ReadDocument[];
  /** For count; else the number of documents. */
  readonly count: number;
}

export interface ReadStore {
  /**
   * Runs the operations, on one snapshot where the engine has them; `position` is the live generation's checkpoint they were answered at (or an earlier one).
   * Without a live generation of the versions this reader was made for: no documents, at START.
   */
  read(operations: readonly ReadOperation[]): Promise<{ readonly answers: readonly ReadAnswer[]; readonly position: Position }>;
  /** The live generation's checkpoint. */
  position(): Promise<Position>;
  close(): Promise<void>;
}

export interface GenerationStatus {
  readonly name: string;
  /** Projection name → version it was built with. */
  readonly versions: Readonly<Record<string, number>>;
  /** Readers of these versions use it. Where several releases run at once, each has a live one. */
  readonly live: boolean;
  /** Of other versions than those this was opened for, and a running release has them: it is that release's to build and to retire. */
  readonly foreign?: boolean;
  readonly position: Position;
  /** Documents marked because an event could not be folded. */
  readonly quarantined: number;
}

export interface WriteBatch {
  readonly documents: ReadonlyMap<string, readonly StoredDocument[]>;
  /** Compare-and-set: from must be the stored checkpoint. */
  readonly checkpoint: { readonly from: Position; readonly to: Position };
}

export interface QuarantinedDocument extends Quarantine {
  readonly collection: string;
  readonly id: string;
}

/** One generation, as its builder writes it. */
export interface GenerationWriter {
  readonly name: string;
  position(): Promise<Position>;
  /** Leaves out what is not there. Quarantined ones too. */
  load(collection: string, ids: readonly string[]): Promise<readonly ReadDocument[]>;
  /** Guarded documents first, then the checkpoint. False: another owner moved the checkpoint; nothing of it may be assumed. */
  commit(batch: WriteBatch): Promise<boolean>;
  /**
   * Makes what queries need beside the documents (indexes). A build calls it when it has first caught up: far cheaper than keeping indexes through a whole
   * rebuild. Nothing when it is prepared already.
   */
  prepare(): Promise<void>;
  /** The documents that are marked. */
  quarantined(): Promise<readonly QuarantinedDocument[]>;
  close(): Promise<void>;
}

/** Where generations are made, listed, promoted and retired. */
export interface Generations {
  list(): Promise<readonly GenerationStatus[]>;
  /** Opens an existing generation, or makes an empty one of these versions; rejects when it exists with others. */
  open(name: string, versions: Readonly<Record<string, number>>): Promise<GenerationWriter>;
  /** Makes it the one that readers of its versions use, atomically. Rejects when it is not prepared. */
  promote(name: string): Promise<void>;
  /** Removes it, its writer closed; nothing when it is not there. Rejects for a live one. */
  retire(name: string): Promise<void>;
}
