import { LRUCache } from 'lru-cache';
import {
  attemptUnderWay,
  decodeEvent,
  encodeEvent,
  evolveAccessKey,
  evolveCustomer,
  evolveDeployment,
  evolveOutdial,
  evolveOutplan,
  evolveTarget,
  OutdialError,
} from '#dialing';
import type { AccessKey, Customer, Deployment, DialingEvent, EventContext, Outdial, Outplan, Target } from '#dialing';
import { EMPTY_STREAM, StoreUnavailable } from '#event-store';
import type { AppendLane, AppendRequest, AppendResult, EventStore, NewEvent, Position, RecordedEvent, StreamHead } from '#event-store';
import { derivedId } from './derived-id';
import type { RequestContext } from './request';

/** A kind of stream: its name, and how its events become a state. The deciders stay in the core; this only says how to fold. */
export interface Kind<S> {
  readonly name: string;
  evolve(state: S | null, event: DialingEvent): S;
  /** Whether another command on what a command has just made of it is to be expected: only then is it worth the memory. */
  expectsMore(state: S): boolean;
}

// A stream holds events of its own kind only (the deciders made them), which the union cannot say: hence one cast a kind, here and nowhere else.
const kind = <S, E extends DialingEvent>(
  name: string,
  evolve: (state: S | null, event: E) => S,
  expectsMore: (state: S) => boolean = () => true,
): Kind<S> => ({ name, evolve, expectsMore });
export const OUTDIAL: Kind<Outdial> = kind('outdial', evolveOutdial);
/** What is leased is soon reported on. What was reported is dialed again in minutes, if ever, and then comes with the hopper's candidate. */
export const TARGET: Kind<Target> = kind('target', evolveTarget, (target) => attemptUnderWay(target) !== null);
export const OUTPLAN: Kind<Outplan> = kind('outplan', evolveOutplan);
export const CUSTOMER: Kind<Customer> = kind('customer', evolveCustomer);
export const ACCESS_KEY: Kind<AccessKey> = kind('accesskey', evolveAccessKey);
export const DEPLOYMENT: Kind<Deployment> = kind('deployment', evolveDeployment);

/** A stream as this process knows it: never invented, at most behind. */
export interface Known<S> {
  readonly state: S | null;
  readonly head: StreamHead;
}
const NOTHING: Known<never> = { state: null, head: EMPTY_STREAM };

/** What one command makes of a stream's state. No events: already so. `decide` throws an OutdialError to refuse. */
export interface Job<S, R> {
  readonly stream: string;
  readonly kind: Kind<S>;
  decide(known: Known<S>): { readonly events: readonly DialingEvent[]; readonly result: (after: Known<S>) => R };
  /** Known to the caller already (a hopper's document): decided on without reading; a conflict corrects it. */
  readonly known?: Known<S>;
  /** Most probably a new stream: decided on as such without reading; a conflict corrects it. */
  readonly assumeNew?: boolean;
}

export type JobOutcome<R> =
  { readonly ok: true; readonly result: R; readonly position: Position | null } | { readonly ok: false; readonly error: unknown };

/** A stream that this process has just appended to. */
export interface Committed {
  readonly stream: string;
  readonly kind: Kind<unknown>;
  readonly known: Known<unknown>;
  readonly position: Position;
  /** One of too many to keep their states (an import): listeners keep no more of it than they must. */
  readonly passing: boolean;
}

export interface RunOptions {
  readonly context: RequestContext;
  readonly lane?: AppendLane;
  /** Keep the states in memory for the next command (an import of a million rows should not). */
  readonly remember?: boolean;
}

interface Group<S> {
  readonly stream: string;
  readonly kind: Kind<S>;
  /** Of the jobs on this stream, in order. */
  readonly indexes: number[];
  known: Known<S> | undefined;
  /** `known` is what this process remembers, and others may have appended since: good enough for an append, which would tell, and for nothing else. */
  readonly remembered?: boolean;
}

interface Decided<S, R> {
  readonly events: readonly DialingEvent[];
  readonly state: S | null;
  readonly results: readonly Result<S, R>[];
}

/** What came of one job. */
interface Result<S, R> {
  readonly index: number;
  /** What it made of its stream: what a later job makes of the same stream must not show in its result. */
  readonly state: S | null;
  readonly result: (after: Known<S>) => R;
}

/** An append under way. What was sent is not held: it would be most of what an import has in memory while it waits for the disk. */
interface Pending<S, R> {
  readonly group: Group<S>;
  readonly state: S | null;
  readonly results: readonly Result<S, R>[];
}

interface Round<S, R> {
  readonly pending: readonly Pending<S, R>[];
  /** Of each pending one. */
  readonly answers: Promise<readonly AppendResult[]>;
}

const NOT_KNOWN = 'The event store did not answer in time; whether the change was made is not known. Send it again.';

/** A conflict is decided again on the newer state; this many in a row means that something is wrong with the store, not with the caller. */
const ROUNDS = 25;
/** States of streams most recently used, mostly of targets that are leased: some kilobytes each. */
const REMEMBERED = 10_000;

/**
 * The shell around the deciders: loads states, lets commands decide, appends what they decided at the revision they decided on, and decides again
 * when somebody else was first. The claim is such an append (architecture.md, rule 3): whatever was believed, one wins.
 */
export class Streams {
  private readonly memory = new LRUCache<string, Known<unknown>>({ max: REMEMBERED });
  /** Appends that were tried, and those of them that another append came before. */
  readonly counts = { appends: 0, appendConflicts: 0 };
  private readonly listeners: ((committed: readonly Committed[]) => void)[] = [];

  constructor(private readonly events: EventStore) {}

  /** Told synchronously after each append, before the command's caller is: what they keep is never behind what was acknowledged. */
  onCommitted(listener: (committed: readonly Committed[]) => void): void {
    this.listeners.push(listener);
  }

  /** The stream's state now: from memory where this process is the only writer, else with what has been appended since. */
  async load<S>(kindOf: Kind<S>, stream: string, { remember = true }: Pick<RunOptions, 'remember'> = {}): Promise<Known<S>> {
    const remembered = this.memory.get(stream) as Known<S> | undefined;
    if (remembered && this.events.exclusive) return remembered;
    return this.refresh(kindOf, stream, remembered ?? NOTHING, remember || remembered !== undefined);
  }

  /** One command on one stream. Throws what the decider throws; PRECONDITION_FAILED for If-Match; UNAVAILABLE. */
  async runOne<S, R>(job: Job<S, R>, options: RunOptions): Promise<{ readonly result: R; readonly position: Position | null }> {
    const [outcome] = await this.run([job], options);
    if (!outcome) throw new Error('a job has an outcome');
    if (!outcome.ok) throw outcome.error;
    return outcome;
  }

  /**
   * Many commands, appended in as few calls as conflicts allow; an outcome each, in order. Jobs on the same stream are decided one after the other, each
   * on what the one before made of it, and appended together.
   */
  async run<S, R>(jobs: readonly Job<S, R>[], options: RunOptions): Promise<readonly JobOutcome<R>[]> {
    const outcomes = new Array<JobOutcome<R> | undefined>(jobs.length);
    const groups = new Map<string, Group<S>>();
    jobs.forEach((job, index) => {
      const group = groups.get(job.stream);
      if (group) group.indexes.push(index);
      else groups.set(job.stream, this.groupOf(job, index, options.context));
    });
    const fail = (group: Group<S>, error: unknown): void => {
      for (const index of group.indexes) outcomes[index] = { ok: false, error };
    };
    let open: readonly Group<S>[] = [...groups.values()];
    for (let round = 0; open.length > 0; round += 1) {
      if (round === ROUNDS) {
        for (const group of open) fail(group, contention());
        break;
      }
      open = await this.readUnread(open, options, fail);
      open = await this.appendRound(jobs, open, outcomes, options, fail);
    }
    return outcomes.map((outcome) => outcome ?? { ok: false, error: new Error('a job was not run') });
  }

  private groupOf<S, R>(job: Job<S, R>, index: number, context: RequestContext): Group<S> {
    const { stream, kind, assumeNew } = job;
    const indexes = [index];
    // Under an Idempotency-Key it may be this very command that made the stream, before a crash: only the append can tell.
    if (assumeNew && context.intent) return { stream, kind, indexes, known: NOTHING };
    const remembered = this.memory.get(stream) as Known<S> | undefined;
    const given = job.known ?? (assumeNew ? NOTHING : undefined);
    if (given) {
      const newer = remembered && remembered.head.revision >= given.head.revision;
      return { stream, kind, indexes, known: newer ? remembered : given };
    }
    return { stream, kind, indexes, known: remembered, remembered: remembered !== undefined && !this.events.exclusive };
  }

  /** Reads the streams that nothing is known of; answers the groups that may be decided. */
  private async readUnread<S>(
    open: readonly Group<S>[],
    options: RunOptions,
    fail: (group: Group<S>, error: unknown) => void,
  ): Promise<readonly Group<S>[]> {
    const unread = open.filter(({ known }) => known === undefined);
    if (unread.length === 0) return open;
    await Promise.all(
      unread.map(async (group) => {
        try {
          group.known = await this.load(group.kind, group.stream, options);
        } catch (error) {
          fail(group, error);
        }
      }),
    );
    return open.filter(({ known }) => known !== undefined);
  }

  /** Decides and appends once; answers the groups that lost a race, to be read again. */
  private async appendRound<S, R>(
    jobs: readonly Job<S, R>[],
    open: readonly Group<S>[],
    outcomes: (JobOutcome<R> | undefined)[],
    options: RunOptions,
    fail: (group: Group<S>, error: unknown) => void,
  ): Promise<Group<S>[]> {
    const again: Group<S>[] = [];
    const round = this.decideGroups(jobs, open, outcomes, options, again);
    if (round === null) return again;
    const { pending } = round;
    const answers = await round.answers;
    const committed: Committed[] = [];
    const repeated: { readonly one: Pending<S, R>; readonly position: Position }[] = [];
    for (const [at, one] of pending.entries()) {
      const { group } = one;
      const answer: AppendResult = answers[at] ?? { ok: false, error: 'StoreUnavailable' };
      this.counts.appends += 1;
      if (!answer.ok && answer.error === 'RevisionConflict') {
        this.counts.appendConflicts += 1;
        again.push(this.afterConflict(group));
      } else if (!answer.ok) fail(group, new StoreUnavailable(NOT_KNOWN));
      // What stands there was decided by the same command before a crash; what was decided now is not what was stored.
      else if (answer.repeated) repeated.push({ one, position: answer.position });
      else {
        const { head, position } = answer;
        const known: Known<S> = { state: one.state, head };
        this.remember(group, known, options);
        const passing = options.remember === false;
        committed.push({ stream: group.stream, kind: group.kind, known, position, passing });
        for (const { index, state, result } of one.results) outcomes[index] = { ok: true, result: result({ state, head }), position };
      }
    }
    // Before the callers learn of it: what the listeners keep (the hopper, the expiry) is then never behind an acknowledged change.
    if (committed.length > 0) for (const listener of this.listeners) listener(committed);
    for (const { one, position } of repeated) {
      this.memory.delete(one.group.stream);
      const known = await this.refresh(one.group.kind, one.group.stream, NOTHING);
      for (const { index, result } of one.results) outcomes[index] = { ok: true, result: result(known), position };
    }
    return again;
  }

  /**
   * Decides, and sends what there is to append; null when there is nothing. Groups that have nothing to append have their outcomes at once, or are to
   * be read first when they were only remembered.
   */
  private decideGroups<S, R>(
    jobs: readonly Job<S, R>[],
    open: readonly Group<S>[],
    outcomes: (JobOutcome<R> | undefined)[],
    { context, lane = 'interactive' }: RunOptions,
    again: Group<S>[],
  ): Round<S, R> | null {
    const pending: Pending<S, R>[] = [];
    const requests: AppendRequest[] = [];
    // One for all: encoding it is done once an object.
    const eventContext = eventContextOf(context);
    for (const group of open) {
      const before: Known<S> = group.known ?? NOTHING;
      const { events, state, results } = this.decideGroup(jobs, group, before, outcomes, context);
      if (group.remembered && (events.length === 0 || results.length < group.indexes.length)) {
        again.push({ stream: group.stream, kind: group.kind, indexes: group.indexes, known: undefined });
        continue;
      }
      if (events.length === 0) {
        const { head } = before;
        for (const { index, result } of results) outcomes[index] = { ok: true, result: result({ state, head }), position: null };
        continue;
      }
      pending.push({ group, state, results });
      requests.push({
        stream: group.stream,
        expected: before.head,
        events: encode(group.stream, events, eventContext),
        verbatim: context.fresh,
      });
    }
    return pending.length === 0 ? null : { pending, answers: this.events.append(requests, lane) };
  }

  private remember<S>({ stream, kind }: Group<S>, known: Known<S>, options: RunOptions): void {
    const expectsMore = known.state !== null && kind.expectsMore(known.state);
    if (expectsMore && (options.remember !== false || this.memory.has(stream))) this.memory.set(stream, known);
    else this.memory.delete(stream);
  }

  /** Whoever was first may have been this process: then its result is already here. Else the stream is read on from what is known. */
  private afterConflict<S>(group: Group<S>): Group<S> {
    const before = group.known ?? NOTHING;
    const newer = this.memory.get(group.stream) as Known<S> | undefined;
    if (newer && newer.head.revision > before.head.revision) return { ...group, known: newer, remembered: !this.events.exclusive };
    this.memory.delete(group.stream);
    return { stream: group.stream, kind: group.kind, indexes: group.indexes, known: undefined };
  }

  private decideGroup<S, R>(
    jobs: readonly Job<S, R>[],
    group: Group<S>,
    before: Known<S>,
    outcomes: (JobOutcome<R> | undefined)[],
    context: RequestContext,
  ): Decided<S, R> {
    const events: DialingEvent[] = [];
    const results: Result<S, R>[] = [];
    const { head } = before;
    let { state } = before;
    for (const index of group.indexes) {
      const job = jobs[index];
      if (!job) continue;
      try {
        if (context.ifMatch !== undefined && context.ifMatch !== head.revision) throw stale(context.ifMatch, head.revision);
        const decided = job.decide({ state, head });
        let after = state;
        for (const event of decided.events) after = job.kind.evolve(after, event);
        events.push(...decided.events);
        state = after;
        results.push({ index, state, result: decided.result });
      } catch (error) {
        outcomes[index] = { ok: false, error };
      }
    }
    return { events, state, results };
  }

  /** What has been appended after `base`, folded onto it. */
  private async refresh<S>(kindOf: Kind<S>, stream: string, base: Known<S>, remember = true): Promise<Known<S>> {
    const news = await this.events.readStream(stream, base.head.revision + 1);
    const known = news.reduce<Known<S>>((before, recorded) => fold(kindOf, before, recorded), base);
    if (known.state !== null && remember) this.memory.set(stream, known);
    return known;
  }
}

const eventContextOf = (context: RequestContext): EventContext => ({
  customerId: context.customerId,
  actor: context.actor,
  correlationId: context.requestId,
  causationId: context.commandId,
  ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
});

/** The command's id is what causes its events, and what their ids derive from. */
const encode = (stream: string, events: readonly DialingEvent[], context: EventContext): NewEvent[] =>
  events.map((event, index) => {
    const { type, data, metadata } = encodeEvent(event, context);
    return { id: derivedId(context.causationId, `${stream}/${index}`), type, data, metadata };
  });

function fold<S>(kindOf: Kind<S>, before: Known<S>, recorded: RecordedEvent): Known<S> {
  return {
    state: kindOf.evolve(before.state, decodeEvent(recorded)),
    head: { revision: recorded.revision, hash: recorded.hash },
  };
}

const stale = (expected: number, actual: number): OutdialError =>
  new OutdialError(
    'FAILED_PRECONDITION',
    'STALE_REVISION',
    'It was changed since you read it: read it again, then send the change again.',
    [{ field: 'If-Match', reason: `the current ETag is "${actual}"`, value: `"${expected}"` }],
  );

const contention = (): OutdialError =>
  new OutdialError('UNAVAILABLE', 'CONTENTION', 'Too many changes to the same resource at once; try again.', [], 1);
