import { LRUCache } from 'lru-cache';
import type { DialingEvent } from '#dialing';
import { START, type Position } from '#event-store';
import type { AnyProjection, Fact } from './projection';
import type { Quarantine, ReadDocument, StoredDocument } from './read-store';

/** An event that could not be decoded, where it stands. */
export interface UnreadableFact extends Omit<Fact, 'event'> {
  readonly event: null;
  readonly error: Error;
}

/** A document as its builder holds it: parsed once, written whole. */
interface HeldDocument {
  readonly position: Position;
  /** null: nothing was folded yet. */
  readonly document: unknown;
  readonly quarantine: string | null;
}

const NOTHING: HeldDocument = { position: START, document: null, quarantine: null };

/**
 * `by position`: what a document has folded is known by its position. `by streams`: each stream is given once, whole, whatever positions others had; models that fold many
 * streams into one document count, and do not mind their order.
 */
export type FoldOrder = 'by position' | 'by streams';

/** A stream whose next event is not the one that follows what its document has folded: it has to be folded anew up to this event. */
export interface Gap {
  readonly documentId: string;
  readonly fact: Fact | UnreadableFact;
}

/**
 * The documents of one projection while a generation is built: those changed since the last commit, and the last ones used, as objects. Knows no
 * store: its caller loads what is `missing` and writes what was `changed`.
 */
export class Folding {
  private readonly changed = new Map<string, HeldDocument>();
  private readonly recent: LRUCache<string, HeldDocument>;
  private readonly admitted = new Map<string, HeldDocument>();
  private readonly found: Quarantine[] = [];

  constructor(
    readonly projection: AnyProjection,
    /** Documents kept beside the changed ones. */
    cached: number,
  ) {
    this.recent = new LRUCache({ max: cached });
  }

  /** Documents that a commit would write. */
  get pending(): number {
    return this.changed.size;
  }

  /**
   * Which documents have to be loaded before these facts are folded. The first event of a stream needs none: should the document exist after all (the
   * event is delivered again), the guarded write keeps the newer one.
   */
  missing(facts: ReadonlyMap<string, readonly (Fact | UnreadableFact)[]>): readonly string[] {
    const missing: string[] = [];
    for (const [id, [first]] of facts) {
      const begins = this.projection.headOf !== undefined && first?.revision === 0;
      if (!begins && !this.changed.has(id) && !this.recent.has(id)) missing.push(id);
    }
    return missing;
  }

  /** Takes in loaded documents, for the next `fold`. */
  admit(documents: readonly ReadDocument[]): void {
    for (const { id, position, body, quarantine } of documents) {
      this.admitted.set(id, { position, document: body === 'null' ? null : this.projection.decode(body), quarantine });
    }
  }

  /** Folds facts by document, in the order of the log. Answers the streams that must be folded anew; nothing of them was folded. */
  fold(facts: ReadonlyMap<string, readonly (Fact | UnreadableFact)[]>, order: FoldOrder = 'by position'): readonly Gap[] {
    const gaps: Gap[] = [];
    for (const [id, run] of facts) {
      const gap = this.foldDocument(id, run, order);
      if (gap !== null) gaps.push(gap);
    }
    this.admitted.clear();
    return gaps;
  }

  /** Replaces a document by the fold of its whole stream. */
  refold(id: string, stream: readonly (Fact | UnreadableFact)[]): void {
    this.changed.set(id, this.foldRun(NOTHING, stream));
  }

  /** What is to be written. */
  documents(): readonly StoredDocument[] {
    return Array.from(this.changed, ([id, { position, document, quarantine }]) => ({
      id,
      position,
      // A document that lacks an event is in no index: it is neither listed nor handed out.
      fields: quarantine === null ? this.projection.fields(document) : {},
      body: document === null ? 'null' : this.projection.encode(document),
      quarantine,
    }));
  }

  /** They were written. Answers what was quarantined since the last time. */
  committed(): readonly Quarantine[] {
    for (const [id, held] of this.changed) this.recent.set(id, held);
    this.changed.clear();
    return this.found.splice(0);
  }

  private foldDocument(id: string, run: readonly (Fact | UnreadableFact)[], order: FoldOrder): Gap | null {
    const held = this.changed.get(id) ?? this.recent.get(id) ?? this.admitted.get(id) ?? NOTHING;
    // What is quarantined stays as it is until it is folded anew as a whole.
    if (held.quarantine !== null) return null;
    if (order === 'by streams' && this.projection.headOf === undefined) {
      this.changed.set(id, { ...this.foldRun(held, run), position: latest(held.position, run) });
      return null;
    }
    const known = run.findIndex(({ position }) => position > held.position);
    if (known < 0) return null;
    const news = known === 0 ? run : run.slice(known);
    const gap = this.gapBefore(held, news);
    if (gap !== undefined) return { documentId: id, fact: gap };
    const folded = this.foldRun(held, news);
    if (folded.document !== held.document || folded.quarantine !== null) this.changed.set(id, folded);
    return null;
  }

  private gapBefore(held: HeldDocument, news: readonly (Fact | UnreadableFact)[]): Fact | UnreadableFact | undefined {
    if (this.projection.headOf === undefined) return undefined;
    const first = held.document === null ? 0 : this.projection.headOf(held.document).revision + 1;
    return news.find(({ revision }, index) => revision !== first + index);
  }

  /** Up to the first event that cannot be folded; that one quarantines the document. */
  private foldRun(held: HeldDocument, run: readonly (Fact | UnreadableFact)[]): HeldDocument {
    const inOneGo = this.foldInOneGo(held, run);
    if (inOneGo !== null) return inOneGo;
    let { position, document } = held;
    for (const fact of run) {
      try {
        if (fact.event === null) throw fact.error;
        document = this.projection.evolve(document, fact);
        position = fact.position;
      } catch (error) {
        return this.quarantine({ position, document, quarantine: null }, fact, error);
      }
    }
    return { position, document, quarantine: null };
  }

  /** null where the projection cannot, or an event cannot be folded: then they are taken one by one, to find it and keep what came before. */
  private foldInOneGo(held: HeldDocument, run: readonly (Fact | UnreadableFact)[]): HeldDocument | null {
    const last = run.at(-1);
    if (this.projection.evolveAll === undefined || last === undefined || !run.every(isReadable)) return null;
    try {
      return { position: last.position, document: this.projection.evolveAll(held.document, run), quarantine: null };
    } catch {
      return null;
    }
  }

  private quarantine(held: HeldDocument, fact: Fact | UnreadableFact, error: unknown): HeldDocument {
    const reason = error instanceof Error ? error.message : String(error);
    const mark: Quarantine = { stream: fact.stream, revision: fact.revision, eventId: fact.id, reason };
    this.found.push(mark);
    return { position: fact.position, document: held.document, quarantine: JSON.stringify(mark) };
  }
}

const latest = (position: Position, facts: readonly (Fact | UnreadableFact)[]): Position =>
  facts.reduce((last, fact) => (fact.position > last ? fact.position : last), position);

const isReadable = (fact: Fact | UnreadableFact): fact is Fact => fact.event !== null;

/** Groups facts of a projection's category by the document they belong to, in the order of the log. */
export function byDocument(
  projection: AnyProjection,
  facts: readonly (Fact | UnreadableFact)[],
): ReadonlyMap<string, readonly (Fact | UnreadableFact)[]> {
  const subjectAt = projection.category.length + 1;
  const groups = new Map<string, (Fact | UnreadableFact)[]>();
  for (const fact of facts) {
    const id = projection.documentId(fact.stream.slice(subjectAt));
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [fact]);
    else group.push(fact);
  }
  return groups;
}

export type Decode = (event: { readonly type: string; readonly data: string; readonly metadata: string }) => DialingEvent;
