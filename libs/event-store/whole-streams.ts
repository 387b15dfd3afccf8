import {
  EMPTY_STREAM,
  type EventStore,
  type Position,
  type RecordedEvent,
  START,
  StreamDamaged,
  type StreamHead,
  type StreamsBatch,
} from './event-store';
import { continuesChain } from './chain';
import { numbersTaken, endShare, type Share, Turns } from './share';

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
  /** Its number in the order of the streams, from 0, which a few that follow one another have in common. */
  readonly at: number;
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
 *
 * With a share: the batches that fall to this thread. The threads together see what one alone would, and each number comes to one of them. The last of them to end makes
 * the last pass.
 */
export async function* wholeStreams(log: StreamLog, group: string | null, upTo: Position, share?: Share): AsyncGenerator<StreamBatch> {
  let [scanned, brought, last] = [0, 0, 0];
  const batches = log.readStreams
    ? broughtStreams(log, log.readStreams(group, upTo, share), upTo)
    : separateStreams(log, group, upTo, share);
  for await (const batch of batches) {
    last = batch.at;
    scanned += batch.scanned;
    for (const { events } of batch.streams) brought += events.length;
    yield batch;
  }
  const all = share === undefined ? brought : endShare(share, brought);
  if (all === null || all === scanned) return;
  // The empty batches of all threads come first.
  const at = share === undefined ? last + 1 : numbersTaken(share);
  yield { at, streams: await strays(log, group, upTo), scanned: 0 };
}

const scan = (log: StreamLog, group: string | null, upTo: Position) =>
  group === null ? log.readAll({ after: START, upTo }) : log.readGroup(group, { after: START, upTo });

/** As the store brings them. */
async function* broughtStreams(log: StreamLog, brought: AsyncIterable<StreamsBatch>, upTo: Position): AsyncGenerator<StreamBatch> {
  for await (const { at, streams, scanned } of brought) {
    const whole: WholeStream[] = [];
    for (const { stream, events } of streams) {
      const one = events.length > 0 ? { stream, events, flaw: flawOf(events) } : await separateStream(log, stream, upTo);
      if (one.events.length > 0) whole.push(one);
    }
    yield { at, streams: whole, scanned };
  }
}

/** Each stream read by itself, in the order they began. */
async function* separateStreams(log: StreamLog, group: string | null, upTo: Position, share?: Share): AsyncGenerator<StreamBatch> {
  const turns = new Turns(share);
  let scanned = 0;
  for await (const { events } of scan(log, group, upTo)) {
    scanned += events.length;
    const began = events.filter(({ revision }) => revision === 0).map(({ stream }) => stream);
    for (let from = 0; from < began.length; from += READS) {
      const at = turns.next();
      if (at === null) continue;
      const read = await Promise.all(began.slice(from, from + READS).map((stream) => separateStream(log, stream, upTo)));
      // Of a damaged one nothing was brought: it comes at the end, with what is left of it.
      yield { at, streams: read.filter(({ events: brought }) => brought.length > 0), scanned };
      scanned = 0;
    }
  }
  yield { at: turns.end(), streams: [], scanned };
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

/** Of the first event of one stream that does not continue the chain of those before it. */
function flawOf(events: readonly RecordedEvent[]): Flaw | null {
  let head: StreamHead = EMPTY_STREAM;
  for (const event of events) {
    if (!continuesChain(event, head)) return flawAt(event, head);
    head = event;
  }
  return null;
}

function flawAt({ stream, revision, id }: RecordedEvent, head: StreamHead): Flaw {
  const expected = head.revision + 1;
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
