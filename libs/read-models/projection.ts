import type { DialingEvent } from '#dialing';
import type { Position } from '#event-store';
import type { CollectionSchema, StoredDocument } from './read-store';

/** A stored event, decoded, with where it stands. */
export interface Fact {
  readonly event: DialingEvent;
  readonly stream: string;
  readonly revision: number;
  readonly position: Position;
  readonly hash: string;
  readonly id: string;
}

/**
 * A read model as a fold (architecture.md): which document an event belongs to, and what that document becomes. Pure; never an increment that
 * a redelivery could double, for the runner skips what a document has already folded.
 */
export interface Projection<Doc> {
  readonly name: string;
  /** Raised whenever the fold or the fields change: a new generation is built. */
  readonly version: number;
  readonly schema: CollectionSchema;
  /** null: this event is nothing to this model. */
  documentId(event: DialingEvent): string | null;
  evolve(document: Doc | null, fact: Fact): Doc;
  /** The indexed fields of a document. */
  fields(document: Doc): StoredDocument['fields'];
}
