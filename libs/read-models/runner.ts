import { newShare, START, StreamDamaged, type EventBatch, type EventStore, type Position, type RecordedEvent } from '#event-store';
import { Folding, type Decode } from './folding';
import type { AnyProjection } from './projection';
import type { GenerationWriter, Quarantine } from './read-store';
import {
  categoryOf,
  foldInto,
  foldStreams,
  GatheredFolds,
  isNewerEvent,
  type Documents,
  type FoldedStreams,
  type GapFound,
  type Helper,
} from './stream-folds';

/** The part of the event store that projections follow. */
export interface ProjectionLog extends Partial<Pick<EventStore, 'readStreams' | 'head'>> {
  subscribe(after: Position, signal: AbortSignal): AsyncIterable<EventBatch>;
  readStream(stream: string): Promise<readonly RecordedEvent[]>;
}

export interface ProjectionLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Commit {
  readonly position: Position;
  /** No later event existed when the last of these was read. */
  readonly caughtUp: boolean;
  readonly events: number;
  readonly documents: number;
  /** Documents newly marked. */
  readonly quarantined: readonly Quarantine[];
}

export type RunEnd =
  | { readonly reason: 'stopped' }
  /** Another owner moved the checkpoint: it builds this generation now. */
  | { readonly reason: 'ownership-lost' }
  /** A newer release wrote this event; only it can build these read models. */
  | { readonly reason: 'unknown-event-type'; readonly type: string; readonly position: Position };

export interface RunnerOptions {
  readonly log: ProjectionLog;
  /** Throws an error with the code `UnknownEventType` for what a newer release wrote; any other error means that the event is malformed. */
  readonly decode: Decode;
  readonly projections: readonly AnyProjection[];
  readonly writer: GenerationWriter;
  readonly signal: AbortSignal;
  /** Resolves after some milliseconds, or when the signal aborts. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Awaited: the runner goes on when it has resolved. */
  readonly onCommitted: (commit: Commit) => void | Promise<void>;
  readonly logger: ProjectionLogger;
  /** Each takes a part of a build from nothing, where the log can tell its streams. */
  readonly helpers?: readonly Helper[];
  readonly limits?: Partial<RunnerLimits>;
}

export interface RunnerLimits {
  /**
   * Events folded before a commit while the log is ahead. A lag is made up in small steps, from `firstEvents`, doubled with each commit up to `mostWhileRead`: what is not
   * committed yet is remembered by those who appended it, too. A generation that begins, which nobody reads yet, takes the largest from the start.
   */
  readonly firstEvents: number;
  readonly mostWhileRead: number;
  readonly mostEvents: number;
  /** Documents changed before a commit, roughly. Together they bound the memory of a rebuild in the order of the log: 100,000 targets of three attempts are 300 MB. */
  readonly mostDocuments: number;
  /** Documents written at a time while a generation is built stream by stream: each is finished by then, so nothing is gained by holding more. */
  readonly finishedDocuments: number;
  /** Events of a log that helpers are called for: a smaller one is folded before they have started. */
  readonly helpedEvents: number;
  /** Unchanged documents kept, for each projection. */
  readonly cachedDocuments: number;
  /** Events held before they are folded, where a commit takes more than that: the more at once, the fewer documents are met twice. */
  readonly mostUnfolded: number;
}

const LIMITS: RunnerLimits = {
  firstEvents: 2_000,
  mostWhileRead: 4_000,
  mostEvents: 500_000,
  mostDocuments: 100_000,
  finishedDocuments: 10_000,
  helpedEvents: 20_000,
  cachedDocuments: 2_000,
  mostUnfolded: 16_000,
};

/** Streams decoded at a time: few enough for their events to be gone again before anybody has to collect them. */
const STREAMS_AT_ONCE = 200;
/** Documents of a build taken together: some ten milliseconds of folding. */
const TOGETHER = 200;

export const FOLDED_ANEW = 'an event is not the next one of its document: its stream is folded anew';

/**
 * Keeps one generation up to date with the log until it is stopped, loses it, or meets an event of a newer release. When it resolves nothing of it is
 * under way any more. Errors of the store and the log are retried for ever; they end nothing.
 */
export async function runProjections(options: RunnerOptions): Promise<RunEnd> {
  try {
    return await new Run(options).follow();
  } catch (error) {
    if (error instanceof Stopped) return { reason: 'stopped' };
    if (error instanceof OwnershipLost) return { reason: 'ownership-lost' };
    if (isNewerEvent(error)) return { reason: 'unknown-event-type', type: error.type, position: error.position };
    throw error;
  }
}

class Stopped extends Error {}
class OwnershipLost extends Error {}

/** The log's streams do not add up to its events: only its own order shows all of them. */
class DamagedLog extends Error {}

class Run {
  private foldings: readonly Folding[] = [];
  private readonly limits: RunnerLimits;
  /** The stored checkpoint, and what has been taken since. */
  private committed: Position = START;
  private taken: Position = START;
  private events = 0;
  /** Taken and not folded yet, by stream. */
  private unfolded = new Map<string, RecordedEvent[]>();
  private unfoldedEvents = 0;
  private mostEvents: number;

  constructor(private readonly options: RunnerOptions) {
    this.limits = { ...LIMITS, ...options.limits };
    this.mostEvents = this.limits.firstEvents;
    this.forget();
  }

  private forget(): void {
    this.foldings = this.options.projections.map((projection) => new Folding(projection, this.limits.cachedDocuments));
    this.unfolded = new Map();
    this.unfoldedEvents = 0;
    this.taken = this.committed;
    this.events = 0;
  }

  async follow(): Promise<RunEnd> {
    const { log, signal, writer } = this.options;
    this.committed = await this.persist('read the checkpoint', () => writer.position());
    this.taken = this.committed;
    if (this.committed === START) {
      this.mostEvents = this.limits.mostEvents;
      await this.buildByStreams();
    }
    for (let failures = 0; ;) {
      try {
        // What was taken and not committed is still there: the log is taken up again behind it.
        for await (const batch of log.subscribe(this.taken, signal)) {
          await this.take(batch);
          failures = 0;
        }
        if (signal.aborted) throw new Stopped();
        throw new Error('The subscription ended.');
      } catch (error) {
        failures += 1;
        await this.pause(error, failures, 'follow the log');
      }
    }
  }

  /**
   * A build from nothing, where the log can tell its streams one after the other: each document is folded in one go and written once. In the log's own order a document is
   * met again and again, a hundred thousand others in between, and either held all the while or read back. What cannot be built like this (a store that is away, a
   * damaged log) is built in the log's order, which goes on where this has ended.
   */
  private async buildByStreams(): Promise<void> {
    const { log, logger, signal } = this.options;
    if (!tellsStreams(log)) return;
    try {
      const upTo = await log.head();
      await this.writeAll(upTo, this.folded(log, upTo));
    } catch (error) {
      if (signal.aborted) throw new Stopped();
      if (error instanceof OwnershipLost || isNewerEvent(error)) throw error;
      logger.warn({ err: error }, 'could not build stream by stream: building in the order of the log');
      this.forget();
    }
  }

  /** All streams up to a position, folded by this thread and by those that help it: they have ended when this has. */
  private async *folded(log: StreamsLog, upTo: Position): AsyncGenerator<FoldedStreams, void> {
    const { decode, projections, signal, logger, helpers = [] } = this.options;
    const share = newShare(1 + helpers.length);
    const own = foldStreams({ log, decode, projections, upTo, share, together: Math.min(TOGETHER, this.limits.finishedDocuments) });
    const first = await own.next();
    if (first.done === true) return;
    yield first.value;
    let { events, scanned } = first.value;
    const called = scanned < this.limits.helpedEvents ? [] : helpers;
    // What one thread does is over in a moment, and no news to who starts a service.
    if (called.length > 0) logger.info({ threads: 1 + called.length, events: scanned, upTo }, 'building the read models stream by stream');
    // Whose documents of many streams are still to come.
    const owing = new Set(first.value.last ? [] : [own]);
    for await (const [source, folded] of asTheyCome(signal, (over) => [...called.map((help) => help(upTo, share, over)), own])) {
      yield folded;
      events += folded.events;
      // Each thread passes every event of the log, and together they bring each once.
      if (source === own) scanned += folded.scanned;
      if (folded.last) owing.delete(source);
      else owing.add(source);
      // A helper that has told nothing by then has no part in it: on a busy machine it may not have come to anything.
      if (owing.size === 0 && events === scanned) return;
    }
    if (events !== scanned) throw new DamagedLog('The streams of the log do not bring all of its events.');
  }

  private async writeAll(upTo: Position, streams: AsyncIterable<FoldedStreams>): Promise<void> {
    const { projections, logger, signal } = this.options;
    const gathered = new GatheredFolds(projections);
    for await (const { documents, events, gaps } of streams) {
      if (signal.aborted) throw new Stopped();
      for (const gap of gaps) logger.warn(gap, FOLDED_ANEW);
      gathered.add(documents);
      this.events += events;
      if (gathered.finished >= this.limits.finishedDocuments) await this.commitBuilt(gathered.takeFinished());
    }
    this.taken = upTo;
    await this.commitBuilt(gathered.takeAll());
  }

  private async take(batch: EventBatch): Promise<void> {
    if (this.options.signal.aborted) throw new Stopped();
    // What comes again was taken before: a document of many streams could not tell it from what is new.
    this.hold(batch.events.filter(({ position }) => position > this.taken));
    if (batch.position > this.taken) this.taken = batch.position;
    const enough = batch.caughtUp || this.events >= this.mostEvents || this.documents >= this.limits.mostDocuments;
    if (!enough && this.unfoldedEvents < this.limits.mostUnfolded) return;
    try {
      await this.fold();
    } catch (error) {
      // Half of it may be folded: only the checkpoint is sure.
      this.forget();
      throw error;
    }
    if (!enough) return;
    await this.commit(batch.caughtUp);
    this.mostEvents = batch.caughtUp ? this.limits.firstEvents : this.afterLag(this.mostEvents);
  }

  /** Documents that a commit would write, roughly. */
  private get documents(): number {
    return this.foldings.reduce((total, folding) => total + folding.pending, this.unfolded.size);
  }

  private hold(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      const held = this.unfolded.get(event.stream);
      if (held === undefined) this.unfolded.set(event.stream, [event]);
      else held.push(event);
    }
    this.unfoldedEvents += events.length;
    this.events += events.length;
  }

  /** A build from nothing stays at the largest until it has caught up. */
  private afterLag(events: number): number {
    const { mostWhileRead, mostEvents } = this.limits;
    return events >= mostEvents ? mostEvents : Math.min(2 * events, mostWhileRead, mostEvents);
  }

  /** Folds what was taken, stream by stream: each document once, whatever of it was far apart in the log. */
  private async fold(): Promise<void> {
    const streams = Array.from(this.unfolded.values());
    await this.loadFor(streams);
    for (let at = 0; at < streams.length; at += STREAMS_AT_ONCE) await this.foldSome(streams.slice(at, at + STREAMS_AT_ONCE));
    for (const folding of this.foldings) folding.dismiss();
    this.unfolded = new Map();
    this.unfoldedEvents = 0;
  }

  private async loadFor(streams: readonly (readonly RecordedEvent[])[]): Promise<void> {
    const firsts = streams.flatMap(([first]) => first ?? []);
    for (const folding of this.foldings) {
      const { category, schema } = folding.projection;
      const missing = folding.missing(firsts.filter(({ stream }) => categoryOf(stream) === category));
      if (missing.length > 0) {
        folding.admit(await this.persist('load documents', () => this.options.writer.load(schema.name, missing)));
      }
    }
  }

  private async foldSome(streams: readonly (readonly RecordedEvent[])[]): Promise<void> {
    await foldInto(this.foldings, streams, this.options.decode, (gap) => {
      this.options.logger.warn(gap, FOLDED_ANEW);
      return this.readUpTo(gap);
    });
  }

  /** A stream from its beginning; at least up to an event that is known to be there, also from a store that is still behind. */
  private async readUpTo({ stream, revision }: GapFound): Promise<readonly RecordedEvent[] | StreamDamaged> {
    return this.persist('read a stream', async () => {
      const recorded = await unlessDamaged(this.options.log.readStream(stream));
      if (recorded instanceof StreamDamaged) return recorded;
      const last = recorded.at(-1);
      if (last === undefined || last.revision < revision) throw new Error(`${stream} was read without its event ${revision}.`);
      return recorded;
    });
  }

  private async commit(caughtUp: boolean): Promise<void> {
    const changed = this.foldings.filter(({ pending }) => pending > 0);
    const documents = new Map(changed.map((folding) => [folding.projection.schema.name, folding.documents()]));
    await this.write(documents);
    await this.committedAll(
      documents,
      this.foldings.flatMap((folding) => folding.committed()),
      caughtUp,
    );
  }

  /** Of a build from nothing: what is marked in it is marked newly. */
  private async commitBuilt(documents: Documents): Promise<void> {
    await this.write(documents);
    const marks = Array.from(documents.values()).flatMap((of) => of.flatMap(({ quarantine }) => quarantine ?? []));
    await this.committedAll(
      documents,
      marks.map((mark) => JSON.parse(mark) as Quarantine),
      false,
    );
  }

  private async write(documents: Documents): Promise<void> {
    const { writer } = this.options;
    const checkpoint = { from: this.committed, to: this.taken };
    const moves = checkpoint.from !== checkpoint.to;
    if (documents.size === 0 && !moves) return;
    let failed = false;
    const written = await this.persist('write documents', async () => {
      // After a failure nobody knows whether it was written; a second try would then take itself for another owner.
      if (failed && moves && (await writer.position()) === checkpoint.to) return true;
      failed = true;
      return writer.commit({ documents, checkpoint });
    });
    if (!written) throw new OwnershipLost();
  }

  private async committedAll(documents: Documents, quarantined: readonly Quarantine[], caughtUp: boolean): Promise<void> {
    const { onCommitted, logger } = this.options;
    for (const mark of quarantined) logger.error(mark, 'an event could not be folded: its document is quarantined');
    const commit: Commit = {
      position: this.taken,
      caughtUp,
      events: this.events,
      documents: Array.from(documents.values()).reduce((total, { length }) => total + length, 0),
      quarantined,
    };
    this.committed = this.taken;
    this.events = 0;
    await onCommitted(commit);
  }

  /** Tries until it succeeds, less and less often. */
  private async persist<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await attempt();
      } catch (error) {
        await this.pause(error, failures, what);
      }
    }
  }

  /** Waits after an error that passes; throws what ends the run. */
  private async pause(error: unknown, failures: number, what: string): Promise<void> {
    const { signal, wait, logger } = this.options;
    if (error instanceof Stopped || error instanceof OwnershipLost || isNewerEvent(error)) throw error;
    if (signal.aborted) throw new Stopped();
    logger.warn({ err: error, failures }, `could not ${what}: trying again`);
    await wait(backoff(failures), signal);
    // The signal may have come while it waited, whatever was known of it before.
    if (this.options.signal.aborted) throw new Stopped();
  }
}

/** A damaged stream stays damaged: to read it again would be to read it for ever. */
export const unlessDamaged = (read: Promise<readonly RecordedEvent[]>): Promise<readonly RecordedEvent[] | StreamDamaged> =>
  read.catch((error: unknown) => {
    if (error instanceof StreamDamaged) return error;
    throw error;
  });

/** Milliseconds before the next try: 50, 100, … 5,000. No jitter: a generation has one owner. */
export const backoff = (failures: number): number => Math.min(5_000, 50 * 2 ** (failures - 1));

type StreamsLog = ProjectionLog & Required<Pick<ProjectionLog, 'readStreams' | 'head'>>;

const tellsStreams = (log: ProjectionLog): log is StreamsLog => log.readStreams !== undefined && log.head !== undefined;

/** What any of them tells next, as it comes; of those that have, the first. They have all ended when this has, and are told to when it ends early. */
async function* asTheyCome<T>(
  signal: AbortSignal,
  begin: (over: AbortSignal) => readonly AsyncGenerator<T, void>[],
): AsyncGenerator<readonly [source: AsyncGenerator<T, void>, told: T], void> {
  const over = new AbortController();
  const sources = begin(AbortSignal.any([signal, over.signal]));
  const nextOf = async (source: AsyncGenerator<T, void>) => ({ source, next: await source.next() });
  const coming = new Map(sources.map((source) => [source, nextOf(source)]));
  try {
    while (coming.size > 0) {
      const { source, next } = await Promise.race(coming.values());
      if (next.done === true) coming.delete(source);
      else {
        yield [source, next.value];
        coming.set(source, nextOf(source));
      }
    }
  } finally {
    over.abort();
    await Promise.allSettled(sources.map((source) => source.return()));
  }
}
