import { type EventStore, type Position, type RecordedEvent, START, StreamDamaged, type StreamsBatch } from './event-store';
import { verifyChain } from './chain';

/** The part of the port that whole streams are read with. */
export type StreamLog = Pick<EventStore, 'readAll' | 'readGroup' | 'readStream' | 'readStreams'>;

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

/** Streams read at once, where each is read by itself; a round trip on a distributed store. */
const READS = 64;

/**
 * The streams of a group (null: of the whole log), whole and one after the other, in the order they began, up to and including `upTo`. Memory holds one
 * batch, however long the log: what a stream's state needs is read with it, not kept from its beginning on.
 *
 * The store brings them, or tells where each begins; either way every event of the group is counted. Where the count differs from what the streams brought, a
 * last pass names the events that no stream leads to (its first or its last was taken away); those come in a last batch.
 */
export async function* wholeStreams(log: StreamLog, group: string | null, upTo: Position): AsyncGenerator<StreamBatch> {
  let missing = 0;
  const batches = log.readStreams ? broughtStreams(log, log.readStreams(group, upTo), upTo) : separateStreams(log, group, upTo);
  for await (const batch of batches) {
    missing += batch.scanned;
    for (const { events } of batch.streams) missing -= events.length;
    yield batch;
  }
  if (missing !== 0) yield { streams: await strays(log, group, upTo), scanned: 0 };
}

const scan = (log: StreamLog, group: string | null, upTo: Position) =>
  group === null ? log.readAll({ after: START, upTo }) : log.readGroup(group, { after: START, upTo });

/** As the store brings them. */
async function* broughtStreams(log: StreamLog, brought: AsyncIterable<StreamsBatch>, upTo: Position): AsyncGenerator<StreamBatch> {
  for await (const { streams, scanned } of brought) {
    const whole = await Promise.all(
      streams.map(async ({ stream, events }) =>
        events.length > 0 ? { stream, events, flaw: flawOf(events) } : separateStream(log, stream, upTo),
      ),
    );
    yield { streams: whole.filter(({ events }) => events.length > 0), scanned };
  }
}

/** Each stream read by itself, in the order they began. */
async function* separateStreams(log: StreamLog, group: string | null, upTo: Position): AsyncGenerator<StreamBatch> {
  for await (const { events } of scan(log, group, upTo)) {
    const began = events.filter(({ revision }) => revision === 0).map(({ stream }) => stream);
    let scanned = events.length;
    for (let at = 0; at === 0 || at < began.length; at += READS) {
      const read = await Promise.all(began.slice(at, at + READS).map((stream) => separateStream(log, stream, upTo)));
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
  for await (const { events } of scan(log, group, upTo)) {
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
