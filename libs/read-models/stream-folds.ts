import { StreamDamaged, type EventStore, type Position, type RecordedEvent, type Share } from '#event-store';
import { Folding, type Decode, type UnreadableFact } from './folding';
import type { AnyProjection, Fact } from './projection';
import type { StoredDocument } from './read-store';

/** By collection. */
export type Documents = ReadonlyMap<string, readonly StoredDocument[]>;

/** What was folded of some streams of a log, in a build from nothing. */
export interface FoldedStreams {
  /** Those of one stream are finished. Those of many come with the last of them, and hold what the streams of one thread add: `GatheredFolds` makes one of them all. */
  readonly documents: Documents;
  /** Events that these streams brought. */
  readonly events: number;
  /** As in `StreamsBatch`: over all that one thread folds, every event of the log. */
  readonly scanned: number;
  /** Events that were not the next ones of their documents: those were folded from their whole streams. */
  readonly gaps: readonly GapFound[];
  /** Of this thread. */
  readonly last: boolean;
}

export interface GapFound {
  readonly stream: string;
  readonly revision: number;
  readonly projection: string;
}

/** Folds the streams that fall to it, on a thread of its own: called when a build begins, and ends when its iteration does or the signal aborts. Rejects when the thread fails. */
export type Helper = (upTo: Position, share: Share, signal: AbortSignal) => AsyncGenerator<FoldedStreams, void>;

export interface StreamFoldsOptions {
  readonly log: Required<Pick<EventStore, 'readStreams' | 'readStream'>>;
  readonly decode: Decode;
  readonly projections: readonly AnyProjection[];
  readonly upTo: Position;
  readonly share: Share;
  /** Documents told of together, at least. */
  readonly together: number;
}

/**
 * Folds whole streams, each document in one go: of the log's those that fall to the caller of a share. Holds what is told next, and the documents of many streams.
 * Throws what the log does, and `NewerEvent`.
 */
export async function* foldStreams({
  log,
  decode,
  projections,
  upTo,
  share,
  together,
}: StreamFoldsOptions): AsyncGenerator<FoldedStreams, void> {
  const foldings = projections.map((projection) => new Folding(projection, 1));
  const finished = foldings.filter(({ projection }) => foldsOneStream(projection));
  let gaps: GapFound[] = [];
  let [events, scanned] = [0, 0];
  const told = (of: readonly Folding[], last: boolean): FoldedStreams => {
    const documents = new Map(of.map((folding) => [folding.projection.schema.name, folding.handOver()]));
    const folded = { documents, events, scanned, gaps, last };
    gaps = [];
    [events, scanned] = [0, 0];
    return folded;
  };
  const whole = async (stream: string): Promise<readonly RecordedEvent[]> =>
    (await log.readStream(stream)).filter(({ position }) => position <= upTo);

  for await (const batch of log.readStreams(null, upTo, share)) {
    // Without events the store's index has it otherwise: it has gone on since, as a rule.
    const streams: (readonly RecordedEvent[])[] = [];
    for (const one of batch.streams) streams.push(one.events.length > 0 ? one.events : await whole(one.stream));
    await foldInto(foldings, streams, decode, (gap) => {
      gaps.push(gap);
      return whole(gap.stream);
    });
    events += streams.reduce((total, { length }) => total + length, 0);
    scanned += batch.scanned;
    if (finished.reduce((total, { pending }) => total + pending, 0) >= together) yield told(finished, false);
  }
  yield told(foldings, true);
}

/** What threads have folded, until it is written. */
export class GatheredFolds {
  private whole = new Map<string, StoredDocument[]>();
  private count = 0;
  /** Documents of many streams, as far as they are known. */
  private readonly parts: ReadonlyMap<AnyProjection, Map<string, StoredDocument>>;

  constructor(private readonly projections: readonly AnyProjection[]) {
    this.parts = new Map(projections.filter((projection) => !foldsOneStream(projection)).map((projection) => [projection, new Map()]));
  }

  /** How many documents of one stream there are. */
  get finished(): number {
    return this.count;
  }

  add(documents: Documents): void {
    for (const projection of this.projections) {
      const { name } = projection.schema;
      const more = documents.get(name) ?? [];
      const parts = this.parts.get(projection);
      if (parts === undefined) this.addWhole(name, more);
      else for (const part of more) parts.set(part.id, merged(projection, parts.get(part.id), part));
    }
  }

  /** Those of one stream; they are forgotten. */
  takeFinished(): Documents {
    const finished = this.whole;
    this.whole = new Map();
    this.count = 0;
    return finished;
  }

  /** There are no more: those of many streams, too. */
  takeAll(): Documents {
    const all = new Map<string, readonly StoredDocument[]>(this.takeFinished());
    for (const [{ schema }, parts] of this.parts) if (parts.size > 0) all.set(schema.name, Array.from(parts.values()));
    return all;
  }

  private addWhole(name: string, more: readonly StoredDocument[]): void {
    const whole = this.whole.get(name) ?? [];
    for (const document of more) whole.push(document);
    if (whole.length > 0) this.whole.set(name, whole);
    this.count += more.length;
  }
}

const foldsOneStream = (projection: AnyProjection): boolean => projection.headOf !== undefined;

/** A part that lacks an event stands for all: what the others add to it could not be relied on. */
function merged(projection: AnyProjection, one: StoredDocument | undefined, other: StoredDocument): StoredDocument {
  if (one === undefined) return other;
  if (one.quarantine !== null || other.quarantine !== null) return one.quarantine === null ? other : one;
  if (projection.merge === undefined) throw new TypeError(`Parts of documents of ${projection.name} cannot be merged.`);
  const document = projection.merge(projection.decode(one.body), projection.decode(other.body));
  const position = one.position > other.position ? one.position : other.position;
  return { id: one.id, position, fields: projection.fields(document), body: projection.encode(document), quarantine: null };
}

/**
 * Folds the events of streams, those of each in its order. A stream that is not folded from where its document stands is read anew, as a whole; `readAnew` answers why
 * it cannot be, where it never can.
 */
export async function foldInto(
  foldings: readonly Folding[],
  streams: readonly (readonly RecordedEvent[])[],
  decode: Decode,
  readAnew: (gap: GapFound) => Promise<readonly RecordedEvent[] | StreamDamaged>,
): Promise<void> {
  const facts = decodeAll(foldings, streams, decode);
  for (const folding of foldings) {
    const { category, name } = folding.projection;
    for (const gap of folding.fold(facts.get(category) ?? [])) {
      const { stream, revision } = gap.fact;
      const events = await readAnew({ stream, revision, projection: name });
      if (events instanceof StreamDamaged) folding.abandon(gap, events);
      else {
        const whole = events.map((event) => factOf(event, decode));
        folding.refold(gap.documentId, whole);
      }
    }
  }
}

/** Decodes each event once for all projections, by category; leaves out what none of them folds. */
function decodeAll(
  foldings: readonly Folding[],
  streams: readonly (readonly RecordedEvent[])[],
  decode: Decode,
): ReadonlyMap<string, readonly (Fact | UnreadableFact)[]> {
  const facts = new Map<string, (Fact | UnreadableFact)[]>(foldings.map(({ projection }) => [projection.category, []]));
  for (const events of streams) {
    const own = events[0] && facts.get(categoryOf(events[0].stream));
    if (own) for (const recorded of events) own.push(factOf(recorded, decode));
  }
  return facts;
}

/** The kind of a stream: what stands before the first `-` of its name. */
export const categoryOf = (stream: string): string => stream.slice(0, stream.indexOf('-'));

/** An event of a type that this release does not know. It crosses threads, where its class is lost. */
export class NewerEvent extends Error {
  readonly code = 'NewerEvent';

  constructor(
    readonly type: string,
    readonly position: Position,
  ) {
    super(newerRelease(type, position));
  }
}

export const isNewerEvent = (error: unknown): error is NewerEvent => codeOf(error) === 'NewerEvent';

/** What to tell of an event type that is not known. */
export const newerRelease = (type: string, position: Position): string =>
  `The event ${type} at ${position} was written by a newer release: run that release, or a newer one.`;

/** Decodes an event; what is malformed becomes an unreadable fact. Throws `NewerEvent`. */
export function factOf(
  { type, data, metadata, stream, revision, position, hash, id }: RecordedEvent,
  decode: Decode,
): Fact | UnreadableFact {
  try {
    return { event: decode({ type, data, metadata }), stream, revision, position, hash, id };
  } catch (error) {
    if (codeOf(error) === 'UnknownEventType') throw new NewerEvent(type, position);
    return { event: null, error: error instanceof Error ? error : new Error(String(error)), stream, revision, position, hash, id };
  }
}

const codeOf = (error: unknown): unknown => (typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined);

/** A message between threads. */
export interface PackedFolds {
  /** JSON of all but the bodies, with the length of each. */
  readonly head: string;
  readonly bodies: string;
}

type Row = readonly [id: string, position: Position, quarantine: string | null, fields: StoredDocument['fields'], length: number];
type Head = Omit<FoldedStreams, 'documents'> & { readonly collections: readonly (readonly [name: string, rows: readonly Row[]])[] };

/** As two texts: a structured clone of thousands of small objects costs far more than their bytes, and bodies as part of a JSON would be escaped and read once more. */
export function packFolds({ documents, ...rest }: FoldedStreams): PackedFolds {
  const bodies: string[] = [];
  const rowOf = ({ id, position, quarantine, fields, body }: StoredDocument): Row => {
    bodies.push(body);
    return [id, position, quarantine, fields, body.length];
  };
  const collections = Array.from(documents, ([name, of]) => [name, of.map(rowOf)] as const);
  return { head: JSON.stringify({ ...rest, collections } satisfies Head), bodies: bodies.join('') };
}

export function unpackFolds({ head, bodies }: PackedFolds): FoldedStreams {
  const { collections, ...rest } = JSON.parse(head) as Head;
  let end = 0;
  const documentOf = ([id, position, quarantine, fields, length]: Row): StoredDocument => {
    const body = bodies.slice(end, (end += length));
    return { id, position, quarantine, fields, body };
  };
  return { documents: new Map(collections.map(([name, rows]) => [name, rows.map(documentOf)])), ...rest };
}
