import { START, type EventBatch, type EventStore, type Position, type RecordedEvent } from '#event-store';
import { Folding, type Decode, type UnreadableFact } from './folding';
import type { AnyProjection, Fact } from './projection';
import type { GenerationWriter, Quarantine, StoredDocument } from './read-store';

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
  cachedDocuments: 2_000,
  mostUnfolded: 16_000,
};

/** Streams decoded at a time: few enough for their events to be gone again before anybody has to collect them. */
const STREAMS_AT_ONCE = 200;

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
    if (error instanceof NewerEvent) return { reason: 'unknown-event-type', type: error.type, position: error.position };
    throw error;
  }
}

class Stopped extends Error {}
class OwnershipLost extends Error {}

/** An event of a type that this release does not know. */
class NewerEvent extends Error {
  constructor(
    readonly type: string,
    readonly position: Position,
  ) {
    super(newerRelease(type, position));
  }
}

/** What to tell of an event type that is not known. */
export const newerRelease = (type: string, position: Position): string =>
  `The event ${type} at ${position} was written by a newer release: run that release, or a newer one.`;

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
    if (log.readStreams === undefined || log.head === undefined) return;
    try {
      const upTo = await log.head();
      let [scanned, events] = [0, 0];
      for await (const batch of log.readStreams(null, upTo)) {
        if (signal.aborted) throw new Stopped();
        const brought = await Promise.all(batch.streams.map((one) => this.wholeStream(one, upTo)));
        for (const stream of brought) this.hold(stream);
        await this.fold();
        scanned += batch.scanned;
        events += brought.reduce((total, { length }) => total + length, 0);
        if (this.finished.reduce((total, { pending }) => total + pending, 0) >= this.limits.finishedDocuments)
          await this.commit(this.finished, false);
      }
      if (events !== scanned) throw new DamagedLog('The streams of the log do not bring all of its events.');
      this.taken = upTo;
      await this.commit(this.foldings, false);
    } catch (error) {
      if (error instanceof Stopped || error instanceof OwnershipLost || error instanceof NewerEvent) throw error;
      logger.warn({ err: error }, 'could not build stream by stream: building in the order of the log');
      this.forget();
    }
  }

  private async wholeStream(
    { stream, events }: { readonly stream: string; readonly events: readonly RecordedEvent[] },
    upTo: Position,
  ): Promise<readonly RecordedEvent[]> {
    // Without events the store's index has it otherwise: it has gone on since, as a rule.
    return events.length > 0 ? events : (await this.options.log.readStream(stream)).filter(({ position }) => position <= upTo);
  }

  /** Of models whose documents fold one stream each. The others are finished with the last stream, and begin anew when a build is interrupted. */
  private get finished(): readonly Folding[] {
    return this.foldings.filter(({ projection }) => projection.headOf !== undefined);
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
    await this.commit(this.foldings, batch.caughtUp);
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
    const facts = this.decodeAll(streams);
    for (const folding of this.foldings) {
      const { projection } = folding;
      for (const { documentId, fact } of folding.fold(facts.get(projection.category) ?? [])) {
        const { stream, revision } = fact;
        this.options.logger.warn(
          { stream, revision, projection: projection.name },
          'an event is not the next one of its document: folding its stream anew',
        );
        folding.refold(documentId, await this.readUpTo(fact));
      }
    }
  }

  /** Decodes each event once for all projections, by category; leaves out what none of them folds. */
  private decodeAll(streams: readonly (readonly RecordedEvent[])[]): ReadonlyMap<string, readonly (Fact | UnreadableFact)[]> {
    const facts = new Map<string, (Fact | UnreadableFact)[]>(this.options.projections.map(({ category }) => [category, []]));
    for (const events of streams) {
      const own = events[0] && facts.get(categoryOf(events[0].stream));
      if (own) for (const recorded of events) own.push(factOf(recorded, this.options.decode));
    }
    return facts;
  }

  /** A stream from its beginning; at least up to an event that is known to be there, also from a store that is still behind. */
  private async readUpTo(fact: Fact | UnreadableFact): Promise<readonly (Fact | UnreadableFact)[]> {
    const { log, decode } = this.options;
    return this.persist('read a stream', async () => {
      const recorded = await log.readStream(fact.stream);
      const last = recorded.at(-1);
      if (last === undefined || last.revision < fact.revision)
        throw new Error(`${fact.stream} was read without its event ${fact.revision}.`);
      return recorded.map((event) => factOf(event, decode));
    });
  }

  private async commit(foldings: readonly Folding[], caughtUp: boolean): Promise<void> {
    const { writer, onCommitted, logger } = this.options;
    const documents = new Map<string, readonly StoredDocument[]>();
    for (const folding of foldings) {
      if (folding.pending > 0) documents.set(folding.projection.schema.name, folding.documents());
    }
    const checkpoint = { from: this.committed, to: this.taken };
    if (documents.size > 0 || checkpoint.from !== checkpoint.to) {
      let failed = false;
      const written = await this.persist('write documents', async () => {
        // After a failure nobody knows whether it was written; a second try would then take itself for another owner.
        if (failed && (await writer.position()) === checkpoint.to) return true;
        failed = true;
        return writer.commit({ documents, checkpoint });
      });
      if (!written) throw new OwnershipLost();
    }
    const quarantined = foldings.flatMap((folding) => folding.committed());
    for (const mark of quarantined) logger.error(mark, 'an event could not be folded: its document is quarantined');
    const commit: Commit = {
      position: checkpoint.to,
      caughtUp,
      events: this.events,
      documents: Array.from(documents.values()).reduce((total, { length }) => total + length, 0),
      quarantined,
    };
    this.committed = checkpoint.to;
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
    if (error instanceof Stopped || error instanceof OwnershipLost || error instanceof NewerEvent) throw error;
    if (signal.aborted) throw new Stopped();
    logger.warn({ err: error, failures }, `could not ${what}: trying again`);
    await wait(backoff(failures), signal);
    // The signal may have come while it waited, whatever was known of it before.
    if (this.options.signal.aborted) throw new Stopped();
  }
}

/** Milliseconds before the next try: 50, 100, … 5,000. No jitter: a generation has one owner. */
export const backoff = (failures: number): number => Math.min(5_000, 50 * 2 ** (failures - 1));

/** The kind of a stream: what stands before the first `-` of its name. */
const categoryOf = (stream: string): string => stream.slice(0, stream.indexOf('-'));

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
