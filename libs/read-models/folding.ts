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

/** A document as its builder holds it. */
interface HeldDocument {
  /** Of the last event folded. */
  readonly position: Position;
  /** What it had folded when it was last written: of a document of many streams, that is what tells known events from new ones. */
  readonly written: Position;
  readonly content: Content;
  readonly quarantine: string | null;
}

/**
 * Text where a document has one stream: all its events of a commit are folded in one go, so that nothing else is kept of it; thousands of objects that live until
 * the commit are what a collector is busiest with. `fields` null: they did not change. The few documents of many streams are objects until they are written.
 */
type Content =
  { readonly body: string; readonly fields: StoredDocument['fields'] | null } | { readonly document: unknown; readonly body?: undefined };

const NOTHING: HeldDocument = { position: START, written: START, content: { document: null }, quarantine: null };

/** A stream whose next event is not the one that follows what its document has folded: it has to be folded anew up to this event. */
export interface Gap {
  readonly documentId: string;
  readonly fact: Fact | UnreadableFact;
}

/**
 * The documents of one projection while a generation is built: those changed since the last commit, and the last ones used. Knows no store: its caller loads what is
 * `missing` and writes what was `changed`.
 */
export class Folding {
  private readonly changed = new Map<string, HeldDocument>();
  private readonly recent: LRUCache<string, HeldDocument>;
  private readonly admitted = new Map<string, HeldDocument>();
  private readonly found: Quarantine[] = [];
  /** Whether a document is one stream. */
  private readonly ofOneStream: boolean;

  constructor(
    readonly projection: AnyProjection,
    /** Documents kept beside the changed ones. */
    cached: number,
  ) {
    this.recent = new LRUCache({ max: cached });
    this.ofOneStream = projection.headOf !== undefined;
  }

  /** Documents that a commit would write. */
  get pending(): number {
    return this.changed.size;
  }

  /**
   * Which documents have to be loaded before events of these streams are folded. One that begins with its first event needs none: should the document exist after
   * all (the event is delivered again), the guarded write keeps the newer one.
   */
  missing(streams: Iterable<{ readonly stream: string; readonly revision: number }>): readonly string[] {
    const missing = new Set<string>();
    for (const { stream, revision } of streams) {
      const id = documentOf(this.projection, stream);
      const begins = this.ofOneStream && revision === 0;
      if (!begins && !this.changed.has(id) && !this.recent.has(id)) missing.add(id);
    }
    return Array.from(missing);
  }

  /** Takes in loaded documents, until `dismiss`. */
  admit(documents: readonly ReadDocument[]): void {
    for (const { id, position, body, quarantine } of documents) {
      const content: Content = body === 'null' ? { document: null } : { body, fields: null };
      this.admitted.set(id, { position, written: position, content, quarantine });
    }
  }

  dismiss(): void {
    this.admitted.clear();
  }

  /**
   * Folds facts, those of a stream in its order. Other streams of the same document may come before or after: such a document counts, and does not mind. Answers the
   * streams that must be folded anew; nothing of them was folded.
   */
  fold(facts: readonly (Fact | UnreadableFact)[]): readonly Gap[] {
    const gaps: Gap[] = [];
    for (const [id, run] of byDocument(this.projection, facts)) {
      const gap = this.foldDocument(id, run);
      if (gap !== null) gaps.push(gap);
    }
    return gaps;
  }

  /** Replaces a document by the fold of its whole stream. */
  refold(id: string, stream: readonly (Fact | UnreadableFact)[]): void {
    this.changed.set(id, this.foldRun(NOTHING, null, stream));
  }

  /** Its stream cannot be read any more: the document stays what it was, and lacks this event. */
  abandon({ documentId, fact }: Gap, error: unknown): void {
    const held = this.heldOf(documentId);
    this.changed.set(documentId, this.hold(held, latest(held.position, [fact]), this.documentIn(held), this.quarantine(fact, error)));
  }

  /** What is to be written. */
  documents(): readonly StoredDocument[] {
    return Array.from(this.changed, ([id, { position, content, quarantine }]) => {
      const { body, fields } = content.body === undefined ? this.asText(content.document, quarantine) : content;
      return { id, position, fields: fields ?? {}, body, quarantine };
    });
  }

  /** They were written. Answers what was quarantined since the last time. */
  committed(): readonly Quarantine[] {
    for (const [id, held] of this.changed) {
      const content = held.content.body === undefined ? held.content : { body: held.content.body, fields: null };
      this.recent.set(id, { ...held, written: held.position, content });
    }
    this.changed.clear();
    return this.found.splice(0);
  }

  /** Hands over what is to be written, and forgets it: for a build in which no event of these documents comes again. */
  handOver(): readonly StoredDocument[] {
    const documents = this.documents();
    this.changed.clear();
    this.found.length = 0;
    return documents;
  }

  private foldDocument(id: string, run: readonly (Fact | UnreadableFact)[]): Gap | null {
    const held = this.heldOf(id);
    // What is quarantined stays as it is until it is folded anew as a whole.
    if (held.quarantine !== null) return null;
    const known = this.ofOneStream ? held.position : held.written;
    const news = run.every(({ position }) => position > known) ? run : run.filter(({ position }) => position > known);
    if (news.length === 0) return null;
    const document = this.documentIn(held);
    const gap = this.gapBefore(document, news);
    if (gap !== undefined) return { documentId: id, fact: gap };
    const folded = this.foldRun(held, document, news);
    const same = folded.content.body === undefined && folded.content.document === document && folded.quarantine === null;
    if (!same) this.changed.set(id, folded);
    return null;
  }

  private heldOf(id: string): HeldDocument {
    return this.changed.get(id) ?? this.recent.get(id) ?? this.admitted.get(id) ?? NOTHING;
  }

  private documentIn({ content }: HeldDocument): unknown {
    return content.body === undefined ? content.document : this.projection.decode(content.body);
  }

  private gapBefore(document: unknown, news: readonly (Fact | UnreadableFact)[]): Fact | UnreadableFact | undefined {
    if (this.projection.headOf === undefined) return undefined;
    const first = document === null ? 0 : this.projection.headOf(document).revision + 1;
    return news.find(({ revision }, index) => revision !== first + index);
  }

  /** Up to the first event that cannot be folded; that one quarantines the document. */
  private foldRun(held: HeldDocument, before: unknown, run: readonly (Fact | UnreadableFact)[]): HeldDocument {
    const inOneGo = this.foldInOneGo(before, run);
    if (inOneGo !== null) return this.hold(held, latest(held.position, run), inOneGo.document, null);
    let [position, document] = [held.position, before];
    for (const fact of run) {
      try {
        if (fact.event === null) throw fact.error;
        document = this.projection.evolve(document, fact);
      } catch (error) {
        return this.hold(held, latest(position, [fact]), document, this.quarantine(fact, error));
      }
      position = latest(position, [fact]);
    }
    return this.hold(held, position, document, null);
  }

  /** null where the projection cannot, or an event cannot be folded: then they are taken one by one, to find it and keep what came before. */
  private foldInOneGo(before: unknown, run: readonly (Fact | UnreadableFact)[]): { readonly document: unknown } | null {
    if (this.projection.evolveAll === undefined || !run.every(isReadable)) return null;
    try {
      return { document: this.projection.evolveAll(before, run) };
    } catch {
      return null;
    }
  }

  private hold({ written }: HeldDocument, position: Position, document: unknown, quarantine: string | null): HeldDocument {
    return { position, written, content: this.ofOneStream ? this.asText(document, quarantine) : { document }, quarantine };
  }

  private asText(document: unknown, quarantine: string | null): { readonly body: string; readonly fields: StoredDocument['fields'] } {
    return {
      body: document === null ? 'null' : this.projection.encode(document),
      // A document that lacks an event is in no index: it is neither listed nor handed out.
      fields: quarantine === null ? this.projection.fields(document) : {},
    };
  }

  private quarantine({ stream, revision, id }: Fact | UnreadableFact, error: unknown): string {
    const mark: Quarantine = { stream, revision, eventId: id, reason: error instanceof Error ? error.message : String(error) };
    this.found.push(mark);
    return JSON.stringify(mark);
  }
}

const latest = (position: Position, facts: readonly (Fact | UnreadableFact)[]): Position =>
  facts.reduce((last, fact) => (fact.position > last ? fact.position : last), position);

const documentOf = (projection: AnyProjection, stream: string): string =>
  projection.documentId(stream.slice(projection.category.length + 1));

const isReadable = (fact: Fact | UnreadableFact): fact is Fact => fact.event !== null;

/** Groups facts of a projection's category by the document they belong to. */
function byDocument(
  projection: AnyProjection,
  facts: readonly (Fact | UnreadableFact)[],
): ReadonlyMap<string, readonly (Fact | UnreadableFact)[]> {
  const groups = new Map<string, (Fact | UnreadableFact)[]>();
  for (const fact of facts) {
    const id = documentOf(projection, fact.stream);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [fact]);
    else group.push(fact);
  }
  return groups;
}

export type Decode = (event: { readonly type: string; readonly data: string; readonly metadata: string }) => DialingEvent;
