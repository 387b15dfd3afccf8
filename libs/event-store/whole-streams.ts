import { type EventStore, type Position, type RecordedEvent, START, StreamDamaged } from './event-store';
import { verifyChain } from './chain';

/** The part of the port that whole streams are read with. */
export type StreamLog = Pick<EventStore, 'readAll' | 'readGroup' | 'readStream' | 'areLast'>;

/** Where a record does not hold: what is named is the first event that does not fit. */
export interface Flaw {
  readonly stream: string;
  /** Of the event that does not fit; of the one that should be there when it is missing. */
  readonly revision: number;
  readonly eventId: string | null;
  readonly reason: string;
}

/** Every event of one stream, oldest first, and whether each continues the chain of those before it. */
export interface WholeStream {
  readonly stream: string;
  readonly events: readonly RecordedEvent[];
  readonly flaw: Flaw | null;
}

/** A batch of streams that begin near each other in the log; `scanned` counts the events that the log's own order showed on the way. */
export interface StreamBatch {
  readonly streams: readonly WholeStream[];
  readonly scanned: number;
}

/** Memory against time. */
export interface GatheringLimits {
  /** Text held at once, in UTF-16 code units: about a byte each. */
  readonly held: number;
  /** Scans of a group at most: beyond, a look-up for each event is cheaper. */
  readonly scans: number;
}

/** A list of 20,000 targets dialed to its end is gathered in one scan. */
const LIMITS: GatheringLimits = { held: 128 * 2 ** 20, scans: 4 };

/** Streams told at once; where each is read by itself, as many round trips to a distributed store. */
const TOLD = 64;

/**
 * The streams of a group (null: of the whole log), whole and one after the other, in the order they began, up to and including `upTo`. Memory holds what
 * the limits allow, however long the log.
 *
 * The log is read in its own order and the streams are gathered on the way: a scan is several times as fast as look-ups. Streams that the memory has no room
 * for are left to the next scan; a log that would take too many scans is read stream by stream.
 *
 * The scan counts the events. Where the count differs from what the streams brought, another pass names the events that no stream leads to (its first or its
 * last was taken away); those come in a last batch.
 */
export async function* wholeStreams(
  log: StreamLog,
  group: string | null,
  upTo: Position,
  limits: GatheringLimits = LIMITS,
): AsyncGenerator<StreamBatch> {
  let missing = 0;
  for await (const batch of gatheredStreams(log, group, upTo, limits)) {
    missing += batch.scanned;
    for (const { events } of batch.streams) missing -= events.length;
    yield batch;
  }
  if (missing !== 0) yield { streams: await strays(log, group, upTo), scanned: 0 };
}

const scan = (log: StreamLog, group: string | null, after: Position, upTo: Position) =>
  group === null ? log.readAll({ after, upTo }) : log.readGroup(group, { after, upTo });

async function* gatheredStreams(
  log: StreamLog,
  group: string | null,
  upTo: Position,
  { held, scans }: GatheringLimits,
): AsyncGenerator<StreamBatch> {
  let scanned = 0;
  for (let after: Position | null = START; after !== null;) {
    const whole: boolean = after === START;
    const gathering: Gathering = new Gathering(held);
    for await (const { events } of scan(log, group, after, upTo)) {
      for (const event of events) gathering.take(event);
      if (whole) scanned += events.length;
      if (whole && gathering.seen > scans * held) {
        yield* separateStreams(log, group, upTo);
        return;
      }
    }
    for (const streams of gathering.batches()) {
      yield { streams: await checked(log, streams, upTo), scanned };
      scanned = 0;
    }
    after = gathering.next;
  }
  if (scanned > 0) yield { streams: [], scanned };
}

/** The streams that begin first, as many as there is room for, and their events. */
class Gathering {
  private readonly streams = new Map<string, RecordedEvent[]>();
  private readonly order: RecordedEvent[][] = [];
  private held = 0;
  private full = false;
  /** Text of all events that were shown. */
  seen = 0;

  constructor(private readonly room: number) {}

  take(event: RecordedEvent): void {
    const size = sizeOf(event);
    this.seen += size;
    const known = this.streams.get(event.stream);
    if (known !== undefined) known.push(event);
    else if (event.revision === 0 && !this.full) this.begin(event);
    else return;
    this.held += size;
    while (this.held > this.room && this.order.length > 1) this.putOff();
  }

  /** Where the next scan begins: the streams that come after this position have been put off. null when none was. */
  get next(): Position | null {
    return this.full ? (this.order.at(-1)?.[0]?.position ?? null) : null;
  }

  /** In the order they began. */
  *batches(): Generator<readonly (readonly RecordedEvent[])[]> {
    for (let at = 0; at < this.order.length; at += TOLD) yield this.order.slice(at, at + TOLD);
  }

  private begin(event: RecordedEvent): void {
    const events = [event];
    this.streams.set(event.stream, events);
    this.order.push(events);
  }

  private putOff(): void {
    this.full = true;
    const events = this.order.pop() ?? [];
    for (const event of events) this.held -= sizeOf(event);
    if (events[0]) this.streams.delete(events[0].stream);
  }
}

const sizeOf = ({ stream, id, type, data, metadata, hash }: RecordedEvent): number =>
  stream.length + id.length + type.length + data.length + metadata.length + hash.length;

/**
 * Gathered streams, held against the store's own index where it has one: a stream that by it ends elsewhere has gone on since, or was cut. It is read anew, by that
 * index.
 */
async function checked(log: StreamLog, streams: readonly (readonly RecordedEvent[])[], upTo: Position): Promise<readonly WholeStream[]> {
  const last = streams.flatMap((events) => events.at(-1) ?? []);
  const areLast = await log.areLast?.(last);
  const whole = streams.map(async (events, at) => {
    const stream = last[at]?.stream ?? '';
    return areLast?.[at] === false ? separateStream(log, stream, upTo) : { stream, events, flaw: flawOf(events) };
  });
  return (await Promise.all(whole)).filter(({ events }) => events.length > 0);
}

/** Each stream read by itself, in the order they began. */
async function* separateStreams(log: StreamLog, group: string | null, upTo: Position): AsyncGenerator<StreamBatch> {
  for await (const { events } of scan(log, group, START, upTo)) {
    const began = events.filter(({ revision }) => revision === 0).map(({ stream }) => stream);
    let scanned = events.length;
    for (let at = 0; at === 0 || at < began.length; at += TOLD) {
      const read = await Promise.all(began.slice(at, at + TOLD).map((stream) => separateStream(log, stream, upTo)));
      // Of a damaged one nothing was brought: it comes at the end, with what is left of it.
      yield { streams: read.filter(({ events: brought }) => brought.length > 0), scanned };
      scanned = 0;
    }
  }
}

async function separateStream(log: StreamLog, stream: string, upTo: Position): Promise<WholeStream> {
  try {
    const all = await log.readStream(stream);
    const events = (all.at(-1)?.position ?? START) > upTo ? all.filter(({ position }) => position <= upTo) : all;
    return { stream, events, flaw: flawOf(events) };
  } catch (error) {
    if (!(error instanceof StreamDamaged)) throw error;
    // Told by the last pass, which sees what is left of it.
    return { stream, events: [], flaw: null };
  }
}

function flawOf(events: readonly RecordedEvent[]): Flaw | null {
  const misfit = verifyChain(events);
  return misfit && flawAt(misfit, events);
}

function flawAt(misfit: RecordedEvent, events: readonly RecordedEvent[]): Flaw {
  const at = events.indexOf(misfit);
  const { stream, revision, id } = misfit;
  const expected = (events[at - 1]?.revision ?? -1) + 1;
  if (revision === expected)
    return { stream, revision, eventId: id, reason: 'its hash is not that of its content and of the event before it' };
  return { stream, revision: expected, eventId: null, reason: `it is missing: event ${id} of revision ${revision} stands in its place` };
}

/** Streams of which events are there that reading the stream does not bring. Keeps the names of all streams, once, for a log that is damaged. */
async function strays(log: StreamLog, group: string | null, upTo: Position): Promise<readonly WholeStream[]> {
  const left = new Map<string, RecordedEvent[]>();
  const whole = new Set<string>();
  for await (const { events } of scan(log, group, START, upTo)) {
    for (const event of events) {
      if (whole.has(event.stream)) continue;
      const known = left.get(event.stream);
      if (known !== undefined) {
        known.push(event);
        continue;
      }
      const { events: led } = event.revision === 0 ? await separateStream(log, event.stream, upTo) : { events: [] };
      if (led.length > 0) whole.add(event.stream);
      else left.set(event.stream, [event]);
    }
  }
  return [...left].map(([stream, events]) => ({ stream, events, flaw: flawOf(events) ?? missingTail(stream, events) }));
}

const missingTail = (stream: string, events: readonly RecordedEvent[]): Flaw => ({
  stream,
  revision: events.length,
  eventId: null,
  reason: 'it is missing: the store remembers a later event of this stream than it holds',
});
