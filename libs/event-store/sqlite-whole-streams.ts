import type { RecordedEvent, StreamsBatch } from './event-store';
import { type Share, Turns } from './share';

/** What is asked of the log's file; each call is one consistent moment. */
export interface LinkedLog {
  /** Events of a group (undefined: of all) in the order of the log: where each is, and where its stream's previous one is, 0 for none. */
  links(group: string | undefined, after: number, upTo: number, limit: number): LinksPage;
  eventsAt(positions: readonly number[]): readonly RecordedEvent[];
  /** Whether the index has each of these events as the last of its stream. */
  areLast(events: readonly RecordedEvent[]): readonly boolean[];
}

/** As many of the one as of the other. */
export interface LinksPage {
  readonly positions: readonly number[];
  readonly previous: readonly number[];
}

/** Positions held at once: some 30 MB. The links of a longer log are gone through more than once. */
const POSITIONS = 1_000_000;
/** Of a page of links: some ten milliseconds. */
const LINKS = 20_000;
/** Of a batch. All that is made of its events lives at once, and what outgrows the young generation the collector copies, twice: that cost a third of a report. */
const STREAMS = 8;
const EVENTS = 1000;

/**
 * The streams of a log, or of one group, in the order they began. The links alone say which events belong together; they are read in the order of the log, a fifth of
 * the events' cost. Then the events are read by position, many in one statement: that costs a third more than in the order of the log, and a third of what a statement
 * for each would. No event's text is held for longer than its batch.
 *
 * An event whose predecessor is gone is brought by no stream; `scanned` counts it.
 *
 * With a share: the batches that this thread takes of those that all its threads go through. Each goes through the links itself, which costs less than to tell.
 */
export function* sqliteStreams(
  log: LinkedLog,
  group: string | undefined,
  upTo: number,
  { held = POSITIONS, share }: { readonly held?: number; readonly share?: Share | undefined } = {},
): Generator<StreamsBatch | null, void> {
  let after: number | null = 0;
  let scanned = 0;
  const turns = new Turns(share);
  while (after !== null) {
    const links: Links = new Links(held);
    const all = after === 0;
    for (let from: number = after; ;) {
      const page = log.links(group, from, upTo, LINKS);
      const { positions } = page;
      links.take(page);
      if (all) scanned += positions.length;
      if (positions.length < LINKS) break;
      from = positions.at(-1) ?? upTo;
      yield null;
    }
    for (const batch of batchesOf(links.streams())) {
      const at = turns.next();
      if (at === null) continue;
      yield { at, streams: read(log, batch), scanned };
      scanned = 0;
    }
    after = links.next;
  }
  yield { at: turns.end(), streams: [], scanned };
}

/** The events of streams, by their positions; without events the streams that the index has otherwise. */
function read(log: LinkedLog, streams: readonly (readonly number[])[]): StreamsBatch['streams'] {
  const events = eventsOf(log, streams.flat());
  let end = 0;
  const whole = streams.map(({ length }) => events.slice(end, (end += length)));
  const last = log.areLast(whole.flatMap((of) => of.at(-1) ?? []));
  return whole.map((of, at) => {
    const stream = of[0]?.stream ?? '';
    const sound = last[at] === true && of.every((event) => event.stream === stream);
    return { stream, events: sound ? of : [] };
  });
}

function eventsOf(log: LinkedLog, positions: readonly number[]): readonly RecordedEvent[] {
  if (positions.length <= EVENTS) return log.eventsAt(positions);
  const events: RecordedEvent[] = [];
  for (let at = 0; at < positions.length; at += EVENTS) events.push(...log.eventsAt(positions.slice(at, at + EVENTS)));
  return events;
}

function* batchesOf(streams: Iterable<readonly number[]>): Generator<readonly (readonly number[])[]> {
  let batch: (readonly number[])[] = [];
  let events = 0;
  for (const positions of streams) {
    batch.push(positions);
    events += positions.length;
    if (batch.length < STREAMS && events < EVENTS) continue;
    yield batch;
    batch = [];
    events = 0;
  }
  if (batch.length > 0) yield batch;
}

/**
 * The positions of the streams that begin first, as many as may be held. Flat lists of numbers outside the heap: a list for each stream would be copied by the collector
 * twice, and that took longer than all the rest.
 */
class Links {
  /** Of the events that were taken, in the order of the log, some of them of streams that have been put off since: where, and of which stream, by the order they began. */
  private positions = new Float64Array(LINKS);
  private owners = new Int32Array(LINKS);
  /** By event: 1 when another follows it. */
  private followed = new Uint8Array(LINKS);
  /** How many events have been taken. */
  private taken = 0;
  /** By stream: how many events, and where its first is. */
  private lengths = new Int32Array(LINKS);
  private begins = new Float64Array(LINKS);
  /** Where the last event's predecessor was found: that of the next event often stands next to it, since lists are dialed in one order again and again. */
  private found = -1;
  private held = 0;
  private kept = 0;
  private putOffFrom: number | null = null;

  constructor(private readonly room: number) {}

  take({ positions, previous }: LinksPage): void {
    for (let n = 0; n < positions.length; n += 1) this.takeOne(positions[n] ?? 0, previous[n] ?? 0);
  }

  private takeOne(position: number, previous: number): void {
    const stream = previous === 0 ? this.begun(position) : this.follow(previous);
    if (stream === undefined || stream >= this.kept) return;
    if (this.taken === this.positions.length) {
      this.positions = longer(this.positions, Float64Array);
      this.owners = longer(this.owners, Int32Array);
      this.followed = longer(this.followed, Uint8Array);
    }
    this.positions[this.taken] = position;
    this.owners[this.taken] = stream;
    this.followed[this.taken] = 0;
    this.taken += 1;
    this.lengths[stream] = (this.lengths[stream] ?? 0) + 1;
    this.held += 1;
    while (this.held > this.room && this.kept > 1) this.putOff();
  }

  /** Streams that begin after this position have been put off; null when none was. */
  get next(): number | null {
    return this.putOffFrom === null ? null : (this.begins[this.kept - 1] ?? null);
  }

  /** By stream, oldest event first. */
  *streams(): Generator<readonly number[]> {
    const [ordered, ends] = this.sorted();
    let start = 0;
    for (const end of ends) {
      yield Array.from(ordered.subarray(start, end));
      start = end;
    }
  }

  /** The positions stream by stream, and where those of each end. */
  private sorted(): readonly [ordered: Float64Array, ends: Int32Array] {
    const ends = new Int32Array(this.kept);
    const ordered = new Float64Array(this.held);
    for (let stream = 0, end = 0; stream < this.kept; stream += 1) {
      ends[stream] = end;
      end += this.lengths[stream] ?? 0;
    }
    for (let n = 0; n < this.taken; n += 1) {
      const stream = this.owners[n] ?? 0;
      if (stream >= this.kept) continue;
      const end = ends[stream] ?? 0;
      ordered[end] = this.positions[n] ?? 0;
      ends[stream] = end + 1;
    }
    return [ordered, ends];
  }

  private begun(position: number): number | undefined {
    if (this.putOffFrom !== null) return undefined;
    if (this.kept === this.begins.length) {
      this.begins = longer(this.begins, Float64Array);
      this.lengths = longer(this.lengths, Int32Array);
    }
    this.begins[this.kept] = position;
    this.lengths[this.kept] = 0;
    return this.kept++;
  }

  /** The stream whose newest event stands there; undefined when there is none, or another event follows it already. */
  private follow(previous: number): number | undefined {
    const next = this.found + 1;
    const at = next < this.taken && this.positions[next] === previous ? next : this.find(previous);
    if (at === this.taken || this.positions[at] !== previous || this.followed[at] === 1) return undefined;
    this.found = at;
    this.followed[at] = 1;
    return this.owners[at];
  }

  /** Where a position stands among those that were taken, or would stand: they ascend. */
  private find(position: number): number {
    let [from, to] = [0, this.taken];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.positions[middle] ?? 0) < position) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  private putOff(): void {
    this.kept -= 1;
    this.putOffFrom = this.begins[this.kept] ?? null;
    this.held -= this.lengths[this.kept] ?? 0;
    if (this.taken > 2 * this.room) this.forget();
  }

  /** Frees what was taken of streams that have been put off. */
  private forget(): void {
    let left = 0;
    for (let n = 0; n < this.taken; n += 1) {
      const owner = this.owners[n] ?? 0;
      if (owner >= this.kept) continue;
      this.positions[left] = this.positions[n] ?? 0;
      this.owners[left] = owner;
      this.followed[left] = this.followed[n] ?? 0;
      left += 1;
    }
    this.taken = left;
    this.found = -1;
  }
}

/** The same numbers, with room for as many again. */
function longer<T extends Float64Array | Int32Array | Uint8Array>(numbers: T, Numbers: new (length: number) => T): T {
  const room = new Numbers(2 * numbers.length);
  room.set(numbers);
  return room;
}
