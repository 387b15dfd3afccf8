import {
  five,
  type Change,
  type DestinationIndex,
  type Five,
  type Micros,
  type Outcome,
  type OutdialMode,
  type ReportedOutcome,
  type Standing,
  type TargetEvent,
} from '#dialing';
import { START, type Position } from '#event-store';
import { documentOf, eventsOf, jsonBody, MisplacedEvent } from './documents';
import type { Fact, Projection } from './projection';
import type { FindQuery, ReadStore } from './read-store';
import { dueAfter, TARGET_EVENTS, targets } from './targets';

/** How attempts are counted: by how they ended, or as still under way. Released ones are not counted. */
export type CountedOutcome = ReportedOutcome | 'under_way';
export type OutcomeCounts = Readonly<Record<CountedOutcome, number>>;

/** The counters of one outdial: kept from its targets' events alone, each of which tells what its target was before and is after. */
export interface ProgressDocument {
  /** Targets that are not gone, by status. (A deleted target whose attempt is under way still counts.) */
  readonly statuses: Readonly<Record<Standing['status'], number>>;
  readonly doneReasons: Readonly<Record<NonNullable<Standing['doneReason']>, number>>;
  /** Targets not gone that were tried at least once in their present life. */
  readonly attempted: number;
  readonly outcomes: OutcomeCounts;
  readonly attemptsByDestination: Five<number>;
  readonly answeredByDestination: Five<number>;
  /** By the number of the try on its destination: the first try at index 0. */
  readonly attemptsByTry: readonly number[];
  readonly answeredByTry: readonly number[];
  readonly idleByMinute: IdleMinutes;
  /** [minute since 1970, attempts that ended in it, answers reported in it], ascending; the last day's. */
  readonly endsByMinute: readonly MinuteOfEnds[];
}

export type MinuteOfEnds = readonly [minute: number, ended: number, answered: number];

/**
 * How many idle targets are due in which minute (since 1970). All minutes up to `settled` are counted in `past`, so that the document stays small however
 * long the outdial runs. `settled` trails the newest event by two minutes: a reader whose clock is a little behind still finds its own minute apart.
 */
export interface IdleMinutes {
  readonly settled: number;
  readonly past: number;
  /** [minute, targets], ascending. */
  readonly minutes: readonly (readonly [number, number])[];
}

const MINUTE = 60_000_000;
const SETTLED_AFTER = 2;
/** Minutes of ends that are kept before the newest event's. */
const MINUTES_OF_ENDS = 24 * 60;
const minuteOf = (time: Micros): number => Math.floor(time / MINUTE);

const NO_OUTCOMES: OutcomeCounts = {
  under_way: 0,
  answered: 0,
  busy: 0,
  no_answer: 0,
  failed: 0,
  canceled: 0,
  rejected: 0,
  machine: 0,
  fax: 0,
  congestion: 0,
  invalid_number: 0,
  unknown: 0,
};

const EMPTY: ProgressDocument = {
  statuses: { idle: 0, progressing: 0, done: 0 },
  doneReasons: { answered: 0, exhausted: 0, canceled: 0 },
  attempted: 0,
  outcomes: NO_OUTCOMES,
  attemptsByDestination: [0, 0, 0, 0, 0],
  answeredByDestination: [0, 0, 0, 0, 0],
  attemptsByTry: [],
  answeredByTry: [],
  idleByMinute: { settled: 0, past: 0, minutes: [] },
  endsByMinute: [],
};

const isTargetEvent = eventsOf<TargetEvent>(TARGET_EVENTS);

export const progress: Projection<ProgressDocument> = {
  name: 'progress',
  version: 2,
  schema: { name: 'progress', fields: {}, indexes: [] },
  category: 'outdialtarget',
  documentId: (subject) => subject.slice(0, subject.indexOf('.')),
  evolve: (document, fact) => countAll(document, [fact]),
  evolveAll: countAll,
  merge: (one, other) => new Tally().add(one).add(other).document(),
  fields: () => ({}),
  ...jsonBody(),
};

function countAll(document: ProgressDocument | null, facts: readonly Fact[]): ProgressDocument {
  const tally = new Tally().add(document ?? EMPTY);
  for (const { event } of facts) {
    if (!isTargetEvent(event)) throw new MisplacedEvent('progress', event.type);
    tally.count(event);
  }
  return tally.document();
}

/** Documents being counted on: a run of thousands of events is folded on one copy instead of thousands. */
class Tally {
  private readonly statuses = { ...EMPTY.statuses };
  private readonly doneReasons = { ...EMPTY.doneReasons };
  private readonly outcomes = { ...EMPTY.outcomes };
  private readonly attemptsByDestination: number[] = [];
  private readonly answeredByDestination: number[] = [];
  private readonly attemptsByTry: number[] = [];
  private readonly answeredByTry: number[] = [];
  private readonly idle = new Map<number, number>();
  private readonly ends = new Map<number, MinuteOfEnds>();
  private attempted = 0;
  private settled = 0;
  private past = 0;
  private newestMinute = SETTLED_AFTER;

  /** Counts what a document has counted; of documents of other targets only. */
  add(document: ProgressDocument): this {
    addAll(this.statuses, document.statuses);
    addAll(this.doneReasons, document.doneReasons);
    addAll(this.outcomes, document.outcomes);
    for (const [index, by] of document.attemptsByDestination.entries()) add(this.attemptsByDestination, index, by);
    for (const [index, by] of document.answeredByDestination.entries()) add(this.answeredByDestination, index, by);
    for (const [index, by] of document.attemptsByTry.entries()) add(this.attemptsByTry, index, by);
    for (const [index, by] of document.answeredByTry.entries()) add(this.answeredByTry, index, by);
    for (const [minute, ended, answered] of document.endsByMinute) this.endedIn(minute, ended, answered);
    const { settled, past, minutes } = document.idleByMinute;
    for (const [minute, by] of minutes) this.due(minute, by);
    this.attempted += document.attempted;
    this.past += past;
    this.settled = Math.max(this.settled, settled);
    this.newestMinute = Math.max(this.newestMinute, settled + SETTLED_AFTER);
    return this;
  }

  count(event: TargetEvent): void {
    this.newestMinute = Math.max(this.newestMinute, minuteOf(event.tm));
    switch (event.type) {
      case 'LeaseExtended':
      case 'OutcomeAnnotated':
        return;
      case 'TargetAdded':
      case 'TargetUpdated':
      case 'DestinationExhausted':
      case 'TargetCanceled':
      case 'TargetEnded':
      case 'TargetRemoved':
        break;
      case 'DialAttemptStarted':
        this.attempt('under_way', event.attempt.destinationIndex, 1);
        add(this.attemptsByTry, event.attempt.tryCount - 1, 1);
        break;
      case 'OutcomeRecorded':
        this.attempt('under_way', event.destinationIndex, -1);
        this.attempt(event.outcome, event.destinationIndex, 1);
        this.ended(event.tm, 1, event.outcome);
        if (event.outcome === 'answered') add(this.answeredByTry, tryOf(event) - 1, 1);
        break;
      case 'LeaseExpired':
        this.attempt('under_way', event.destinationIndex, -1);
        this.attempt('unknown', event.destinationIndex, 1);
        this.ended(event.tm, 1, 'unknown');
        break;
      case 'LeaseReleased':
        this.attempt('under_way', event.destinationIndex, -1);
        add(this.attemptsByTry, tryOf(event) - 1, -1);
        break;
      case 'LateOutcomeRecorded':
        this.attempt(event.previousOutcome, event.destinationIndex, -1);
        this.attempt(event.outcome, event.destinationIndex, 1);
        // It ended when it expired; what is new is the answer.
        this.ended(event.tm, 0, event.outcome);
        if (event.outcome === 'answered') add(this.answeredByTry, event.tryCount - 1, 1);
        break;
    }
    this.move(event.change);
  }

  document(): ProgressDocument {
    return {
      statuses: this.statuses,
      doneReasons: this.doneReasons,
      attempted: this.attempted,
      outcomes: this.outcomes,
      attemptsByDestination: five((index) => this.attemptsByDestination[index] ?? 0),
      answeredByDestination: five((index) => this.answeredByDestination[index] ?? 0),
      attemptsByTry: withoutZeros(this.attemptsByTry),
      answeredByTry: withoutZeros(this.answeredByTry),
      idleByMinute: this.settle(),
      endsByMinute: [...this.ends.values()].filter(([minute]) => minute > this.newestMinute - MINUTES_OF_ENDS).sort(([a], [b]) => a - b),
    };
  }

  private ended(tm: Micros, by: 0 | 1, outcome: ReportedOutcome): void {
    if (by > 0 || outcome === 'answered') this.endedIn(minuteOf(tm), by, outcome === 'answered' ? 1 : 0);
  }

  private endedIn(minute: number, by: number, answeredBy: number): void {
    const [, ended, answered] = this.ends.get(minute) ?? [minute, 0, 0];
    this.ends.set(minute, [minute, ended + by, answered + answeredBy]);
  }

  private attempt(outcome: Outcome | 'under_way', index: DestinationIndex, by: 1 | -1): void {
    if (outcome === 'released') return;
    this.outcomes[outcome] += by;
    add(this.attemptsByDestination, index, by);
    if (outcome === 'answered') add(this.answeredByDestination, index, by);
  }

  private move({ before, after }: Change): void {
    if (before !== null) this.stand(before, -1);
    this.stand(after, 1);
  }

  private stand(standing: Standing, by: 1 | -1): void {
    if (standing.gone) return;
    this.statuses[standing.status] += by;
    if (standing.doneReason !== null) this.doneReasons[standing.doneReason] += by;
    if (standing.tryCounts.some((count) => count > 0)) this.attempted += by;
    if (standing.due !== null) this.due(minuteOf(standing.due), by);
  }

  private due(minute: number, by: number): void {
    if (minute <= this.settled) this.past += by;
    else this.idle.set(minute, (this.idle.get(minute) ?? 0) + by);
  }

  private settle(): IdleMinutes {
    const settled = this.newestMinute - SETTLED_AFTER;
    const minutes: (readonly [number, number])[] = [];
    let past = this.past;
    for (const [minute, count] of this.idle) {
      if (minute <= settled) past += count;
      else if (count !== 0) minutes.push([minute, count]);
    }
    return { settled, past, minutes: minutes.sort(([a], [b]) => a - b) };
  }
}

/** Adds to a count, with zeros before it where there are none yet. */
const add = (counts: number[], index: number, by: number): void => {
  while (counts.length <= index) counts.push(0);
  counts[index] = (counts[index] ?? 0) + by;
};

const addAll = <Key extends string>(counts: Record<Key, number>, by: Readonly<Record<Key, number>>): void => {
  for (const key in counts) counts[key] += by[key];
};

/** Without the zeros at its end: what was released leaves no trace. */
const withoutZeros = (counts: readonly number[]): readonly number[] => counts.slice(0, counts.findLastIndex((count) => count !== 0) + 1);

/** Which try on its destination ended: nothing else was tried there since it started. */
const tryOf = ({ change, destinationIndex }: { readonly change: Change; readonly destinationIndex: DestinationIndex }): number =>
  change.before?.tryCounts[destinationIndex] ?? 1;

/** GET progress (the API contract, Outdials), and what a console shows beside it. Counts of attempts leave out released ones. */
export interface Progress {
  readonly targets: { readonly total: number; readonly idle: number; readonly progressing: number; readonly done: number };
  readonly done: { readonly answered: number; readonly exhausted: number; readonly canceled: number };
  readonly attempts: {
    readonly total: number;
    readonly byOutcome: OutcomeCounts;
    readonly byDestination: Five<number>;
    readonly answeredByDestination: Five<number>;
    /** The first try of a destination at index 0. */
    readonly byTry: readonly number[];
    readonly answeredByTry: readonly number[];
    /** Of the last day, minutes (`tm`: their beginning) in which attempts ended or answers were reported. */
    readonly byMinute: readonly { readonly tm: Micros; readonly ended: number; readonly answered: number }[];
  };
  /** Idle targets due by `tm`; 0 unless the outdial is active. */
  readonly callable: number;
  /** Idle targets not due yet, whatever the outdial's mode. */
  readonly waiting: number;
  /** The next moment after `tm` at which a target becomes due; null when none will, or when the outdial is not active. */
  readonly nextCallableAt: Micros | null;
  /** Share of the targets that were attempted at least once, 0 … 1; 0 when there are none. */
  readonly penetration: number;
  /** Answered ÷ ended attempts, 0 … 1; 0 when none has ended. */
  readonly connectRate: number;
  /** What "now" was. */
  readonly tm: Micros;
}

/**
 * Exact, and as cheap for a million targets as for ten: counters, and the targets due within the current minute counted by their index, on one snapshot.
 * A deleted outdial is asked for as `archived`: neither hands anything out. Throws `DocumentQuarantined`.
 */
export async function getProgress(
  store: ReadStore,
  { outdialId, mode, now }: { readonly outdialId: string; readonly mode: OutdialMode; readonly now: Micros },
): Promise<Progress> {
  const minute = minuteOf(now);
  const { document, counted, next } = await readCounters(store, outdialId, { from: minute * MINUTE, upTo: now }, now);
  if (document.idleByMinute.settled < minute) {
    const due = document.idleByMinute.past + sum(document.idleByMinute.minutes.map(([at, count]) => (at < minute ? count : 0))) + counted;
    return progressOf(document, due, next, mode, now);
  }
  // An event far ahead of this clock has settled the current minute, too: only the index can tell its targets apart.
  const all = await readCounters(store, outdialId, { upTo: now }, now);
  return progressOf(all.document, all.counted, all.next, mode, now);
}

/** The counters themselves, and the position of the last event they have counted: what a verification compares. Throws `DocumentQuarantined`. */
export async function getProgressDocument(
  store: ReadStore,
  outdialId: string,
): Promise<{ readonly document: ProgressDocument; readonly position: Position }> {
  const { answers } = await store.read([{ kind: 'get', collection: 'progress', ids: [outdialId] }]);
  const stored = answers[0]?.documents[0];
  if (stored === undefined) return { document: EMPTY, position: START };
  return { document: documentOf(progress, stored), position: stored.position };
}

async function readCounters(
  store: ReadStore,
  outdialId: string,
  due: { readonly from?: Micros; readonly upTo: Micros },
  now: Micros,
): Promise<{ document: ProgressDocument; counted: number; next: Micros | null }> {
  const range: FindQuery['range'] = { field: 'due', ...due };
  const { answers } = await store.read([
    { kind: 'get', collection: 'progress', ids: [outdialId] },
    { kind: 'count', query: { collection: 'targets', where: { outdial: outdialId }, range } },
    { kind: 'find', query: dueAfter(outdialId, now) },
  ]);
  const stored = answers[0]?.documents[0];
  const next = answers[2]?.documents[0];
  return {
    document: stored === undefined ? EMPTY : documentOf(progress, stored),
    counted: answers[1]?.count ?? 0,
    next: next === undefined ? null : documentOf(targets, next).state.due,
  };
}

function progressOf(document: ProgressDocument, due: number, next: Micros | null, mode: OutdialMode, now: Micros): Progress {
  const { statuses, doneReasons, attempted, outcomes, attemptsByDestination, answeredByDestination, attemptsByTry, answeredByTry } =
    document;
  const total = statuses.idle + statuses.progressing + statuses.done;
  const attempts = sum(Object.values(outcomes));
  const ended = attempts - outcomes.under_way;
  const active = mode === 'active';
  return {
    targets: { total, ...statuses },
    done: doneReasons,
    attempts: {
      total: attempts,
      byOutcome: outcomes,
      byDestination: attemptsByDestination,
      answeredByDestination,
      byTry: attemptsByTry,
      answeredByTry: attemptsByTry.map((_, at) => answeredByTry[at] ?? 0),
      byMinute: document.endsByMinute
        .filter(([minute]) => minute > minuteOf(now) - MINUTES_OF_ENDS)
        .map(([minute, endedThen, answered]) => ({ tm: minute * MINUTE, ended: endedThen, answered })),
    },
    callable: active ? due : 0,
    waiting: statuses.idle - due,
    nextCallableAt: active ? next : null,
    penetration: total === 0 ? 0 : attempted / total,
    connectRate: ended === 0 ? 0 : outcomes.answered / ended,
    tm: now,
  };
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
