import pLimit from 'p-limit';
import { CopyMarks } from './log-copy-marks';
import { EMPTY_STREAM, type EventStore, type Position, type RecordedEvent, START, type StreamHead } from './event-store';
import { Patience } from './patience';
import { type Flaw, type StreamLog, wholeStreams } from './whole-streams';

/** What is copied from. Nobody may write to it meanwhile. */
export type CopySource = Pick<EventStore, 'logId' | 'readStream' | 'readGroup' | 'readAll' | 'head'>;
/** What is copied into: opened so that an unfinished copy is no hindrance. */
export type CopyTarget = CopySource & Pick<EventStore, 'append'>;

export interface CopyOptions {
  /**
   * Places of the source that shall have an exact counterpart in the copy: everything up to there stands before it, everything later after it. A place that is
   * none of these has one that is a little earlier.
   */
  readonly cuts: readonly Position[];
  /** Category of the streams that come after the others of a window: they belong to those. */
  readonly last: string;
  readonly onProgress: (progress: CopyProgress) => void;
  readonly limits?: Partial<CopyLimits>;
}

export interface CopyProgress {
  readonly stage: 'checking' | 'copying' | 'verifying';
  /** Events of this stage that are done. */
  readonly events: number;
  /** Of how many; 0 when that is not known yet. */
  readonly of: number;
}

export interface CopyLimits {
  /** Events held at once. What is cut off within a window is done again as a whole. */
  readonly window: number;
  /** Streams that are appended to at once. */
  readonly lanes: number;
  /** Ends with StoreUnavailable when the target could not be reached for so long. */
  readonly patienceMs: number;
}
const LIMITS: CopyLimits = { window: 20_000, lanes: 64, patienceMs: 60_000 };

/** Of one append: EventStoreDB takes no more than a megabyte unless it is told to. */
const APPEND_BYTES = 400_000;

export interface LogCopy {
  readonly streams: number;
  readonly events: number;
  /** The place in the copy that everything up to `place` of the source stands before, and nothing later: exact for a cut and for the source's head. */
  readonly placeOf: (place: Position) => Position;
  /** Where the events at these places of the source stand in the copy. Reads the source once, up to the last of them. */
  readonly placesOfEvents: (places: readonly Position[]) => Promise<ReadonlyMap<Position, Position>>;
}

/** Why nothing was copied, or not all: one line that says what to do. */
export class CopyRefused extends Error {
  readonly code = 'CopyRefused';
}

/**
 * Copies a log: event ids, revisions, text and hashes as they are; only positions change. Marks in the target say how far it has come (log-copy-marks.ts), so that it
 * can be cut off at any moment and be done again: it goes on at the last mark, and what is appended a second time is recognised by its ids.
 * Resolves when all of it stands there and was compared. Rejects with CopyRefused; with StoreUnavailable when the target stays away.
 */
export async function copyLog(source: CopySource, target: CopyTarget, options: CopyOptions): Promise<LogCopy> {
  const limits = { ...LIMITS, ...options.limits };
  const patience = new Patience(limits.patienceMs);
  const marks = await CopyMarks.read(target, patience);
  await refuseOther(source, target, marks, patience);
  const whole = await check(source, options.onProgress);
  const head = await source.head();
  await copyWindows({ source, target, marks, patience, limits, options, head, of: whole.events });
  const copied = patientReads(target, patience);
  await compare(source, copied, whole, options.onProgress);
  await setMark(marks, { source: source.logId, reached: head, next: null });
  return {
    ...whole,
    placeOf: (place) => marks.before(place)?.position ?? START,
    placesOfEvents: (places) => placesOfEvents(source, copied, places),
  };
}

async function placesOfEvents(
  source: CopySource,
  target: Pick<EventStore, 'readStream'>,
  places: readonly Position[],
): Promise<ReadonlyMap<Position, Position>> {
  const wanted = new Set(places);
  const found = new Map<Position, Position>();
  const upTo = [...wanted].sort().at(-1) ?? START;
  if (upTo === START) return found;
  for await (const { events } of source.readAll({ after: START, upTo })) {
    for (const { position, stream, revision } of events.filter((event) => wanted.has(event.position))) {
      const [there] = await target.readStream(stream, revision);
      if (there) found.set(position, there.position);
    }
  }
  return found;
}

async function refuseOther(source: CopySource, target: CopyTarget, marks: CopyMarks, patience: Patience): Promise<void> {
  const last = marks.last;
  const head = await patience.through(() => target.head());
  if (last === undefined) {
    if (head === START) return;
    throw new CopyRefused(`The target holds another Outdial log already (${target.logId}): choose a database without one.`);
  }
  if (last.source !== source.logId) {
    throw new CopyRefused(
      `The target holds a copy of another log (${last.source}), this one is ${source.logId}: choose a database without one.`,
    );
  }
  if (last.next === null && head > last.position) {
    throw new CopyRefused('This log was copied there completely, and a service has gone on with the copy since: nothing was changed.');
  }
}

/** Every stream's chain, before anything is written: a copy of a damaged record would look as damaged as its source, and nobody would know since when. */
async function check(
  source: CopySource,
  onProgress: CopyOptions['onProgress'],
): Promise<{ readonly streams: number; readonly events: number }> {
  let [streams, events] = [0, 0];
  for await (const batch of wholeStreams(source, null, await source.head())) {
    for (const { flaw } of batch.streams) if (flaw !== null) throw new CopyRefused(`The source’s record does not hold: ${told(flaw)}`);
    streams += batch.streams.length;
    for (const one of batch.streams) events += one.events.length;
    onProgress({ stage: 'checking', events, of: 0 });
  }
  return { streams, events };
}

const told = ({ stream, revision, eventId, reason }: Flaw): string =>
  `${stream} event ${revision}${eventId === null ? '' : ` (${eventId})`}: ${reason}`;

interface Copying {
  readonly source: CopySource;
  readonly target: CopyTarget;
  readonly marks: CopyMarks;
  readonly patience: Patience;
  readonly limits: CopyLimits;
  readonly options: Pick<CopyOptions, 'cuts' | 'last' | 'onProgress'>;
  readonly head: Position;
  readonly of: number;
}

/**
 * Window after window in the order of the log, a mark before each. Within a window the order is free: that of each stream holds, what outdials and their like say
 * comes before what their targets do, and streams are appended to side by side.
 */
async function copyWindows(copying: Copying): Promise<void> {
  const { source, marks, limits, options, head } = copying;
  const cuts = [...new Set([...options.cuts, head])].sort();
  const lane = pLimit(limits.lanes);
  const { reached = START, next = null } = marks.last ?? {};
  let after = reached;
  // Of a window that was begun some events may stand there: no mark belongs among them, so it ends where it was going to.
  let upTo = next;
  const progress = new Counter(options.onProgress, copying.of, await countUpTo(source, reached));
  while (after < head) {
    const limit = upTo ?? cuts.find((cut) => cut > after) ?? head;
    const events = await windowOf(source, after, limit, upTo === null ? limits.window : Infinity);
    const ended = events.length < limits.window || upTo !== null ? limit : (events.at(-1)?.position ?? limit);
    if (upTo === null) await setMark(marks, { source: source.logId, reached: after, next: ended });
    const [early, late] = slicesOf(events, options.last);
    for (const slices of [early, late]) {
      await Promise.all(slices.map((slice) => lane(async () => progress.add(await copySlice(copying, slice)))));
    }
    [after, upTo] = [ended, null];
  }
}

async function setMark(marks: CopyMarks, mark: Parameters<CopyMarks['set']>[0]): Promise<void> {
  const last = marks.last;
  if (last?.reached === mark.reached && last.next === mark.next) return;
  if (!(await marks.set(mark))) throw new CopyRefused('Another copy into this target is under way: let it end first.');
}

async function countUpTo(source: CopySource, upTo: Position): Promise<number> {
  let count = 0;
  if (upTo !== START) for await (const { events } of source.readAll({ after: START, upTo })) count += events.length;
  return count;
}

async function windowOf(source: CopySource, after: Position, upTo: Position, most: number): Promise<readonly RecordedEvent[]> {
  const window: RecordedEvent[] = [];
  for await (const { events } of source.readAll({ after, upTo })) {
    window.push(...events);
    if (window.length >= most) break;
  }
  return window.length > most ? window.slice(0, most) : window;
}

/** What a window has of one stream. */
type Slice = readonly [RecordedEvent, ...RecordedEvent[]];

function slicesOf(events: readonly RecordedEvent[], lastCategory: string): readonly [early: readonly Slice[], late: readonly Slice[]] {
  const streams = new Map<string, [RecordedEvent, ...RecordedEvent[]]>();
  for (const event of events) {
    const slice = streams.get(event.stream);
    if (slice) slice.push(event);
    else streams.set(event.stream, [event]);
  }
  const slices = [...streams.values()];
  const isLate = ([{ stream }]: Slice): boolean => stream.startsWith(`${lastCategory}-`);
  return [slices.filter((slice) => !isLate(slice)), slices.filter(isLate)];
}

/** Appends what the target lacks of a slice, and answers how many events the slice has. */
async function copySlice(copying: Copying, slice: Slice): Promise<number> {
  const { target, patience } = copying;
  let head = await headBefore(copying.source, slice[0]);
  let rest: readonly RecordedEvent[] = slice;
  while (rest.length > 0) {
    const { stream, revision } = rest[0] ?? slice[0];
    const events = firstOf(rest, APPEND_BYTES);
    const made = await patience.append(target, { stream, expected: head, events: events.map(asNew), verbatim: true }, 'import');
    // An append that was cut off elsewhere than this one begins or ends: the stream itself says how far it is.
    const there = made.ok ? [] : (await patience.through(() => target.readStream(stream, revision))).slice(0, rest.length);
    const last = made.ok ? events.at(-1) : there.at(-1);
    const same = made.ok ? made.head.hash === last?.hash : there.every(({ hash }, at) => hash === rest[at]?.hash);
    if (last === undefined || !same) throw differs(stream, revision);
    head = { revision: last.revision, hash: last.hash };
    rest = rest.slice(made.ok ? events.length : there.length);
  }
  return slice.length;
}

const differs = (stream: string, revision: number): CopyRefused =>
  new CopyRefused(`The target’s stream ${stream} is not the source’s from event ${revision} on: somebody else has written to it.`);

async function headBefore(source: CopySource, { stream, revision }: RecordedEvent): Promise<StreamHead> {
  if (revision === 0) return EMPTY_STREAM;
  const [before] = await source.readStream(stream, revision - 1);
  return before ?? EMPTY_STREAM;
}

const asNew = ({ id, type, data, metadata }: RecordedEvent) => ({ id, type, data, metadata });

/** As many as have `bytes` together; one at least. Texts of other alphabets have up to three bytes a code unit. */
function firstOf(events: readonly RecordedEvent[], bytes: number): readonly RecordedEvent[] {
  let size = 0;
  const end = events.findIndex(
    ({ data, metadata, type }) => (size += Buffer.byteLength(data) + Buffer.byteLength(metadata) + type.length) > bytes,
  );
  return end < 0 ? events : events.slice(0, Math.max(end, 1));
}

class Counter {
  constructor(
    private readonly tell: CopyOptions['onProgress'],
    private readonly of: number,
    private events: number,
  ) {}

  add(count: number): void {
    this.events += count;
    this.tell({ stage: 'copying', events: this.events, of: this.of });
  }
}

/** Every stream of the target whole, with a chain that holds and the source's head; and as many of them, and of events, as the source has: so no stream is missing. */
async function compare(
  source: CopySource,
  target: StreamLog & Pick<EventStore, 'head'>,
  whole: { readonly streams: number; readonly events: number },
  onProgress: CopyOptions['onProgress'],
): Promise<void> {
  let [streams, events] = [0, 0];
  for await (const batch of wholeStreams(target, null, await target.head())) {
    for (const one of batch.streams) {
      if (one.flaw !== null) throw new CopyRefused(`The copy does not hold: ${told(one.flaw)}`);
      const last = one.events.at(-1);
      if (last === undefined) continue;
      const [same, more] = await source.readStream(one.stream, last.revision);
      if (same?.hash !== last.hash || more !== undefined) throw differs(one.stream, (more ?? last).revision);
      events += one.events.length;
    }
    streams += batch.streams.length;
    onProgress({ stage: 'verifying', events, of: whole.events });
  }
  if (streams !== whole.streams || events !== whole.events) {
    throw new CopyRefused(
      `The target has ${events} events in ${streams} streams, the source ${whole.events} in ${whole.streams}: events were lost in the target.`,
    );
  }
}

function patientReads(log: CopyTarget, patience: Patience): StreamLog & Pick<EventStore, 'head'> {
  return {
    head: () => patience.through(() => log.head()),
    readStream: (stream, from) => patience.through(() => log.readStream(stream, from)),
    readGroup: (group, range) => log.readGroup(group, range),
    async *readAll(range) {
      // Read on, not again: what was given cannot be taken back.
      let after = range.after;
      const ending = Symbol('end');
      for (;;) {
        const next = await patience.through(async () => {
          for await (const batch of log.readAll({ ...range, after })) return batch;
          return ending;
        });
        if (typeof next === 'symbol') return;
        yield next;
        after = next.position;
      }
    },
  };
}
