import { decodeEvent, evolveTarget } from '#dialing';
import type { Attempt, DialingEvent, DialPolicy, Five, Micros, Outcome, Target, TargetEvent } from '#dialing';
import { wholeStreams } from '#event-store';
import type { Flaw, Position, RecordedEvent, StreamLog, WholeStream } from '#event-store';
import { getProgressDocument, getTargets } from '#read-models';
import type { ProgressDocument, ReadStore, TargetDocument } from '#read-models';

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

/** Whether the record holds, as far as the replay went. Of many flaws only the first hundred are kept. */
export interface ChainVerdict {
  readonly ok: boolean;
  readonly events: number;
  readonly flawed: number;
  readonly flaws: readonly Flaw[];
}

const FLAWS_KEPT = 100;

/** A target as its events tell it. */
interface ReplayedTarget {
  readonly stream: string;
  readonly state: Target | null;
  readonly head: { readonly revision: number; readonly hash: string };
  readonly attempts: ReadonlyMap<string, AttemptRecord>;
  readonly events: readonly { readonly recorded: RecordedEvent; readonly event: TargetEvent }[];
  readonly flaw: Flaw | null;
}

interface AttemptRecord {
  readonly policy: DialPolicy;
  readonly events: AttemptEvent[];
}

/** Counts what a replay sees; one a pass. */
export class Replay {
  private flawed = 0;
  private readonly flaws: Flaw[] = [];
  private events = 0;

  constructor(private readonly outdial: AuditedOutdial) {}

  /** Known in full when the replay has ended. */
  verdict(): ChainVerdict {
    return { ok: this.flawed === 0, events: this.events, flawed: this.flawed, flaws: this.flaws };
  }

  async *targets(): AsyncGenerator<readonly ReplayedTarget[]> {
    const { log, outdialId, upTo } = this.outdial;
    for await (const { streams } of wholeStreams(log, outdialId, upTo)) {
      const replayed: ReplayedTarget[] = [];
      for (const stream of streams) {
        this.events += stream.events.length;
        const target = stream.stream.startsWith('outdialtarget-') ? replayTarget(stream) : null;
        const flaw = target?.flaw ?? stream.flaw;
        if (flaw !== null) this.note(flaw);
        if (target !== null) replayed.push(target);
      }
      yield replayed;
    }
  }

  /** The rows of the report: target by target in the order they were added, a target's attempts in the order they started. */
  async *attempts({ from, to }: AuditPeriod): AsyncGenerator<readonly AuditedAttempt[]> {
    for await (const batch of this.targets()) {
      const rows = batch.flatMap((one) => rowsOf(one).filter(({ attempt }) => attempt.tmStart >= from && attempt.tmStart < to));
      if (rows.length > 0) yield rows;
    }
  }

  private note(flaw: Flaw): void {
    this.flawed += 1;
    if (this.flaws.length < FLAWS_KEPT) this.flaws.push(flaw);
  }
}

function replayTarget({ stream, events, flaw }: WholeStream): ReplayedTarget {
  const attempts = new Map<string, AttemptRecord>();
  const decoded: { recorded: RecordedEvent; event: TargetEvent }[] = [];
  let state: Target | null = null;
  let head = { revision: -1, hash: '' };
  try {
    for (const recorded of events) {
      // A target's stream holds its events only; one that is of another kind has been put there, and is told as a flaw by its hash.
      const event = decodeEvent(recorded) as TargetEvent;
      state = evolveTarget(state, event);
      head = { revision: recorded.revision, hash: recorded.hash };
      decoded.push({ recorded, event });
      noteAttempt(attempts, recorded, event);
    }
  } catch (error) {
    const bad = events[decoded.length];
    const unreadable: Flaw = {
      stream,
      revision: bad?.revision ?? -1,
      eventId: bad?.id ?? null,
      reason: `it cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    };
    return { stream, state, head, attempts, events: decoded, flaw: flaw ?? unreadable };
  }
  return { stream, state, head, attempts, events: decoded, flaw };
}

function noteAttempt(attempts: Map<string, AttemptRecord>, recorded: RecordedEvent, event: TargetEvent): void {
  const told: AttemptEvent = { id: recorded.id, type: recorded.type, position: recorded.position, tm: event.tm };
  if (event.type === 'DialAttemptStarted') attempts.set(event.attempt.attemptId, { policy: event.policy, events: [told] });
  else if ('attemptId' in event) attempts.get(event.attemptId)?.events.push(told);
}

function rowsOf({ state, attempts, flaw }: ReplayedTarget): readonly AuditedAttempt[] {
  if (state === null) return [];
  const target = state;
  return target.attempts.flatMap((attempt) => {
    const record = attempts.get(attempt.attemptId);
    return record === undefined ? [] : [{ attempt, target, policy: record.policy, events: record.events, chainOk: flaw === null }];
  });
}

// ---------------------------------------------------------------- totals

/** Outcomes as they are counted; an attempt without one is under way. Released ones are told apart: they were never dialed. */
type Tallied = Outcome | 'under_way';

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
  const replay = new Replay(outdial);
  const totals = new Totals();
  for await (const batch of replay.targets()) {
    for (const { state } of batch) {
      if (state === null) continue;
      totals.target(state);
      for (const attempt of state.attempts) {
        if (attempt.tmStart < from || attempt.tmStart >= to) continue;
        totals.attempt(attempt);
        if (attempt.outcome !== 'released') seen(attempt);
      }
    }
  }
  return totals.summary(replay.verdict());
}

// ---------------------------------------------------------------- verify

/** One thing that the read models say otherwise than the events. */
export interface Difference {
  /** A target's id; the outdial's when it is about the counters. */
  readonly id: string;
  readonly field: string;
  /** As JSON would have them. */
  readonly events: unknown;
  readonly readModel: unknown;
}

export interface Verification {
  readonly events: number;
  readonly targets: number;
  readonly consistent: boolean;
  /** The first hundred. */
  readonly differences: readonly Difference[];
  readonly chain: ChainVerdict;
}

/**
 * Replays an outdial and compares it with the read models: each target's document with its stream folded to the document's own revision, the counters at
 * the position they stand at. The read models must have reached `upTo` before.
 */
export async function verifyOutdial(outdial: AuditedOutdial, reads: ReadStore): Promise<Verification> {
  const counters = await getProgressDocument(reads, outdial.outdialId);
  // The counters may have gone on since the caller looked at the log's head.
  const upTo = outdial.upTo > counters.position ? outdial.upTo : counters.position;
  const replay = new Replay({ ...outdial, upTo });
  const totals = new Totals();
  const differences: Difference[] = [];
  let targets = 0;
  const differ = (difference: Difference): void => {
    if (differences.length < FLAWS_KEPT) differences.push(difference);
  };
  for await (const batch of replay.targets()) {
    const ids = batch.map(({ stream }) => stream.slice(stream.indexOf('.') + 1));
    const documents = new Map((await readTargets(reads, outdial.outdialId, ids)).map((document) => [document.state.id, document]));
    for (const [at, id] of ids.entries()) {
      const target = batch[at];
      if (target === undefined) continue;
      targets += 1;
      for (const difference of compareTarget(await current(outdial, target, documents.get(id)), id, documents.get(id))) differ(difference);
      countAt(totals, target, counters.position);
    }
  }
  const chain = replay.verdict();
  for (const difference of compareCounters(outdial.outdialId, totals.summary(chain), counters.document)) differ(difference);
  return { events: chain.events, targets, consistent: differences.length === 0 && chain.ok, differences, chain };
}

/** A quarantined document is a difference of its own, not an end of the comparison. */
async function readTargets(reads: ReadStore, outdialId: string, targetIds: readonly string[]): Promise<readonly TargetDocument[]> {
  try {
    return await getTargets(reads, { outdialId, targetIds });
  } catch {
    const each = await Promise.all(
      targetIds.map((id) => getTargets(reads, { outdialId, targetIds: [id] }).catch(() => [] as readonly TargetDocument[])),
    );
    return each.flat();
  }
}

/** The target, read on when its document has been written since the replay began. */
async function current({ log }: AuditedOutdial, target: ReplayedTarget, document: TargetDocument | undefined): Promise<ReplayedTarget> {
  if (document === undefined || document.head.revision <= target.head.revision || target.flaw !== null) return target;
  const { stream } = target;
  return replayTarget({ stream, events: await log.readStream(stream), flaw: null });
}

function compareTarget(target: ReplayedTarget, id: string, document: TargetDocument | undefined): readonly Difference[] {
  if (document === undefined) {
    return [{ id, field: 'document', events: `revision ${target.head.revision}`, readModel: null }];
  }
  const { revision, hash } = document.head;
  const last = target.events[revision];
  if (last === undefined) {
    // The read model has seen an event that is gone: the stream was cut.
    return [{ id, field: 'revision', events: target.head.revision, readModel: revision }];
  }
  const found: Difference[] = [];
  if (last.recorded.hash !== hash) found.push({ id, field: 'hash', events: last.recorded.hash, readModel: hash });
  const folded = target.events.slice(0, revision + 1).reduce<Target | null>((state, { event }) => evolveTarget(state, event), null);
  return [...found, ...compareFields(id, folded, document.state)];
}

function compareFields(id: string, events: object | null, readModel: object): readonly Difference[] {
  const [left, right] = [plain(events ?? {}), plain(readModel)];
  const fields = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return fields
    .filter((field) => JSON.stringify(left[field]) !== JSON.stringify(right[field]))
    .map((field) => ({ id, field, events: left[field] ?? null, readModel: right[field] ?? null }));
}

/** As it would come back from a store, members in one order. */
const plain = (value: object): Readonly<Record<string, unknown>> => sorted(JSON.parse(JSON.stringify(value))) as Record<string, unknown>;

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member)]),
  );
}

/** Counts a target as it was at a position. */
function countAt(totals: Totals, target: ReplayedTarget, position: Position): void {
  const last = target.events.at(-1);
  const upTo = last !== undefined && last.recorded.position <= position;
  const state = upTo
    ? target.state
    : target.events
        .filter(({ recorded }) => recorded.position <= position)
        .reduce<Target | null>((folded, { event }) => evolveTarget(folded, event), null);
  if (state === null) return;
  totals.target(state);
  for (const attempt of state.attempts) totals.attempt(attempt);
}

function compareCounters(id: string, summary: AuditSummary, document: ProgressDocument): readonly Difference[] {
  const { idle, progressing, done } = summary.targets;
  const outcomes = Object.fromEntries(Object.keys(document.outcomes).map((name) => [name, summary.byOutcome[name as Tallied] ?? 0]));
  const counted = {
    statuses: { idle, progressing, done },
    doneReasons: summary.done,
    attempted: summary.attempted,
    outcomes,
    attemptsByDestination: summary.byDestination,
    answeredByDestination: summary.answeredByDestination,
  };
  const { statuses, doneReasons, attempted, attemptsByDestination, answeredByDestination } = document;
  return compareFields(id, counted, {
    statuses,
    doneReasons,
    attempted,
    outcomes: document.outcomes,
    attemptsByDestination,
    answeredByDestination,
  });
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
