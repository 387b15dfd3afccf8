import type { DialingEvent } from '#dialing';
import type { Position, StreamHead } from '#event-store';
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
 * A read model as a fold ("Projections are folds", the architecture's rules): which document an event belongs to, and what that document
 * becomes. Pure; never an increment that a redelivery could double, for the runner skips what a document has already folded.
 */
export interface Projection<Doc> {
  readonly name: string;
  /** Raised whenever the fold or the fields change: a new generation is built. */
  readonly version: number;
  readonly schema: CollectionSchema;
  /** The kind of streams that it folds: what stands before the first `-` of their names. */
  readonly category: string;
  /**
   * The document that the events of a stream belong to, by the rest of its name: so an event which cannot be read still names the document that
   * lacks it.
   */
  documentId(subject: string): string;
  /** Answers the same object when the event changes nothing of it. */
  evolve(document: Doc | null, fact: Fact): Doc;
  /** The same for a run of facts of one document, for folds that are cheaper in one go. Equals `evolve` one by one. */
  evolveAll?(document: Doc | null, facts: readonly Fact[]): Doc;
  /**
   * Of a model whose documents each fold exactly one whole stream: the last event folded. The runner then notices an event that is not the next one
   * and folds that stream anew.
   */
  headOf?(document: Doc): StreamHead;
  /** Of a model whose documents fold many streams: what two of one document come to, each folded from nothing and of other whole streams. Equals the fold of them all. */
  merge?(one: Doc, other: Doc): Doc;
  /** The indexed fields of a document. */
  fields(document: Doc): StoredDocument['fields'];
  /** Its body, and back. A document that was never folded (quarantined at its first event) has the body `null`. */
  encode(document: Doc): string;
  decode(body: string): Doc;
}

/** Any projection: a list of models holds folds of different documents, and only the projection itself looks into its own. */
export type AnyProjection = Projection<unknown>;

/** What a generation built by these projections is told apart by. */
export const versionsOf = (projections: readonly AnyProjection[]): Readonly<Record<string, number>> =>
  Object.fromEntries(projections.map(({ name, version }) => [name, version]));
