import { decodeEvent, foldTarget } from '#dialing/replay';
import type { Attempt, DialingEvent, DialPolicy, Five, Micros, Outcome, Target, TargetEvent } from '#dialing';
import { START, wholeStreams } from '#event-store';
import type { Flaw, Position, RecordedEvent, Share, StreamLog, WholeStream } from '#event-store';

/**
 * What happened, by replay ("Reading what happened", the API contract): the events of an outdial, never a read model, target by target. Nothing here
 * keeps more than a batch of targets, so a report of any size is streamed with flat memory. Pure but for the log that is handed in: it runs on
 * whichever thread can spare the time.
 */
export interface AuditedOutdial {
  readonly log: StreamLog;
  readonly outdialId: string;
  /** The position that the replay ends with: two passes over the same outdial see the same. */
  readonly upTo: Position;
  /** When several threads replay it together: each sees the targets that fall to it. */
  readonly share?: Share;
}

/** Attempts that started in [from, to), in microseconds. */
export interface AuditPeriod {
  readonly from: Micros;
  readonly to: Micros;
}

/** An event that made an attempt what it is. */
export interface AttemptEvent {
  readonly id: string;
  readonly type: string;
  readonly position: Position;
  readonly tm: Micros;
}

/** One row of the report. */
export interface AuditedAttempt {
  readonly attempt: Attempt;
  readonly target: Target;
  /** The limits and intervals that were in force when it started. */
  readonly policy: DialPolicy;
  readonly events: readonly AttemptEvent[];
  /** Whether the chain of its target's events holds. */
  readonly chainOk: boolean;
}

/** Whether a record holds, or a part of one. Of many flaws only the first hundred are kept. */
export interface ChainVerdict {
  readonly ok: boolean;
  readonly events: number;
  readonly flawed: number;
  readonly flaws: readonly Flaw[];
}

/** Flaws, differences: of many the first hundred. */
export const FLAWS_KEPT = 100;

/** A target as its events tell it. */
export interface ReplayedTarget {
  readonly stream: string;
  readonly state: Target | null;
  /** Its whole stream. */
  readonly recorded: readonly RecordedEvent[];
  /** What they say; they end before the first that cannot be read. */
  readonly events: readonly TargetEvent[];
  readonly flaw: Flaw | null;
}

interface AttemptRecord {
  readonly attemptId: string;
  readonly policy: DialPolicy;
  readonly events: AttemptEvent[];
}

/** What is known of the chain so far. */
export class ChainTally {
  private events = 0;
  private flawed = 0;
  private readonly flaws: Flaw[] = [];

  note(events: number, flaw: Flaw | null): void {
    this.events += events;
    if (flaw === null) return;
    this.flawed += 1;
    if (this.flaws.length < FLAWS_KEPT) this.flaws.push(flaw);
  }

  /** What comes after it in the record. */
  add({ events, flawed, flaws }: ChainVerdict): void {
    this.events += events;
    this.flawed += flawed;
    this.flaws.push(...flaws.slice(0, FLAWS_KEPT - this.flaws.length));
  }

  verdict(): ChainVerdict {
    return { ok: this.flawed === 0, events: this.events, flawed: this.flawed, flaws: this.flaws };
  }
}

/** Some of the targets of an outdial, and what their record (and that of the outdial itself) is worth. */
interface ReplayedBatch {
  /** Its number, from 0, which a few that follow one another have in common; in a shared replay each comes to one of the threads. */
  readonly at: number;
  readonly targets: readonly ReplayedTarget[];
  readonly chain: ChainVerdict;
}

export async function* replay({ log, outdialId, upTo, share }: AuditedOutdial): AsyncGenerator<ReplayedBatch> {
  for await (const { at, streams } of wholeStreams(log, outdialId, upTo, share)) {
    const targets: ReplayedTarget[] = [];
    const chain = new ChainTally();
    for (const stream of streams) {
      const target = stream.stream.startsWith('outdialtarget-') ? replayTarget(stream) : null;
      chain.note(stream.events.length, target?.flaw ?? stream.flaw);
      if (target !== null) targets.push(target);
    }
    yield { at, targets, chain: chain.verdict() };
  }
}

/** A part of the report. */
export interface AttemptsBatch extends Pick<ReplayedBatch, 'at' | 'chain'> {
  readonly rows: readonly AuditedAttempt[];
}

/** The rows of the report: target by target in the order they were added, a target's attempts in the order they started. */
export async function* attemptRows(outdial: AuditedOutdial, { from, to }: AuditPeriod): AsyncGenerator<AttemptsBatch> {
  for await (const { at, targets, chain } of replay(outdial)) {
    const rows = targets.flatMap((one) => rowsOf(one).filter(({ attempt }) => attempt.tmStart >= from && attempt.tmStart < to));
    yield { at, rows, chain };
  }
}

export function replayTarget({ stream, events, flaw }: WholeStream): ReplayedTarget {
  const told: TargetEvent[] = [];
  let unreadable: Flaw | null = null;
  try {
    // A target's stream holds its events only; one that is of another kind has been put there, and is told as a flaw by its hash.
    for (const recorded of events) told.push(decodeEvent(recorded) as TargetEvent);
  } catch (error) {
    const bad = events[told.length];
    unreadable = {
      stream,
      revision: bad?.revision ?? -1,
      eventId: bad?.id ?? null,
      reason: `it cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
  return { stream, state: foldTarget(told), recorded: events, events: told, flaw: flaw ?? unreadable };
}

function rowsOf(one: ReplayedTarget): readonly AuditedAttempt[] {
  const { state: target, flaw } = one;
  if (target === null) return [];
  const records = attemptsOf(one);
  return target.attempts.flatMap((attempt, at) => {
    // Each attempt has one event that started it, and they stand in the same order.
    const record = records[at];
    return record === undefined ? [] : [{ attempt, target, policy: record.policy, events: record.events, chainOk: flaw === null }];
  });
}

/** The events of each attempt, and the policy it was started under, in the order they started. */
function attemptsOf({ recorded, events }: ReplayedTarget): readonly AttemptRecord[] {
  const attempts: AttemptRecord[] = [];
  for (const [at, event] of events.entries()) {
    const { id = '', type = '', position = START } = recorded[at] ?? {};
    const told: AttemptEvent = { id, type, position, tm: event.tm };
    if (event.type === 'DialAttemptStarted') attempts.push({ attemptId: event.attempt.attemptId, policy: event.policy, events: [told] });
    else if ('attemptId' in event) attempts.findLast(({ attemptId }) => attemptId === event.attemptId)?.events.push(told);
  }
  return attempts;
}

// ---------------------------------------------------------------- totals

/** Outcomes as they are counted; an attempt without one is under way. Released ones are told apart: they were never dialed. */
export type Tallied = Outcome | 'under_way';

/** Totals by replay. Those of the targets do not look at the period: they are as of `upTo`. */
export interface AuditSummary {
  readonly targets: { readonly total: number; readonly idle: number; readonly progressing: number; readonly done: number };
  readonly done: { readonly answered: number; readonly exhausted: number; readonly canceled: number };
  /** Targets not gone that were attempted in their present life. */
  readonly attempted: number;
  readonly attempts: number;
  readonly byOutcome: Readonly<Partial<Record<Tallied, number>>>;
  readonly byDestination: Five<number>;
  readonly answeredByDestination: Five<number>;
  readonly released: number;
  readonly firstStart: Micros | null;
  readonly lastStart: Micros | null;
  readonly chain: ChainVerdict;
}

/** Adds up what a replay of an outdial shows. */
export class Totals {
  private readonly statuses = { idle: 0, progressing: 0, done: 0 };
  private readonly reasons = { answered: 0, exhausted: 0, canceled: 0 };
  private readonly outcomes: Partial<Record<Tallied, number>> = {};
  private readonly destinations = [0, 0, 0, 0, 0];
  private readonly answered = [0, 0, 0, 0, 0];
  private attempted = 0;
  private attempts = 0;
  private released = 0;
  private first: Micros | null = null;
  private last: Micros | null = null;

  target(target: Target): void {
    if (target.gone) return;
    this.statuses[target.status] += 1;
    if (target.doneReason !== null) this.reasons[target.doneReason] += 1;
    if (target.tryCounts.some((count) => count > 0)) this.attempted += 1;
  }

  attempt({ outcome, destinationIndex, tmStart }: Attempt): void {
    if (outcome === 'released') {
      this.released += 1;
      return;
    }
    const as = outcome ?? 'under_way';
    this.attempts += 1;
    this.outcomes[as] = (this.outcomes[as] ?? 0) + 1;
    this.destinations[destinationIndex] = (this.destinations[destinationIndex] ?? 0) + 1;
    if (outcome === 'answered') this.answered[destinationIndex] = (this.answered[destinationIndex] ?? 0) + 1;
    this.first = this.first === null ? tmStart : Math.min(this.first, tmStart);
    this.last = this.last === null ? tmStart : Math.max(this.last, tmStart);
  }

  summary(chain: ChainVerdict): AuditSummary {
    const { idle, progressing, done } = this.statuses;
    return {
      targets: { total: idle + progressing + done, idle, progressing, done },
      done: this.reasons,
      attempted: this.attempted,
      attempts: this.attempts,
      byOutcome: this.outcomes,
      byDestination: fiveOf(this.destinations),
      answeredByDestination: fiveOf(this.answered),
      released: this.released,
      firstStart: this.first,
      lastStart: this.last,
      chain,
    };
  }
}

const fiveOf = ([a = 0, b = 0, c = 0, d = 0, e = 0]: readonly number[]): Five<number> => [a, b, c, d, e];

/** The totals of an outdial; of its attempts, those that started within the period. `seen` is shown each counted attempt. */
export async function summarize(
  outdial: AuditedOutdial,
  { from, to }: AuditPeriod,
  seen: (attempt: Attempt) => void = () => undefined,
): Promise<AuditSummary> {
  const tally = new ChainTally();
  const totals = new Totals();
  for await (const { targets, chain } of replay(outdial)) {
    tally.add(chain);
    for (const { state } of targets) {
      if (state === null) continue;
      totals.target(state);
      for (const attempt of state.attempts) {
        if (attempt.tmStart < from || attempt.tmStart >= to) continue;
        totals.attempt(attempt);
        if (attempt.outcome !== 'released') seen(attempt);
      }
    }
  }
  return totals.summary(tally.verdict());
}

// ---------------------------------------------------------------- the past

/** A stream's state at a time: its events up to and including it. null before its first. */
export function stateAt<S, E extends DialingEvent>(
  events: readonly RecordedEvent[],
  at: Micros,
  evolve: (state: S | null, event: E) => S,
): { readonly state: S; readonly revision: number } | null {
  let found = null as { readonly state: S; readonly revision: number } | null;
  for (const recorded of events) {
    const event = decodeEvent(recorded) as E;
    // Times rise along a stream ("Time", the architecture's rules).
    if (event.tm > at) break;
    found = { state: evolve(found?.state ?? null, event), revision: recorded.revision };
  }
  return found;
}
