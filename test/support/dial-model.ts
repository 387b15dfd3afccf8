/**
 * The work of the benchmarks and of the concurrency tests (docs: the dial cycle), and its result computed without any engine: targets with
 * two destinations, at most three tries each, no interval; what an attempt comes to is a pure function of the target's and the attempt's number.
 */

export const DESTINATIONS_EACH = 2;
export const TRIES_EACH = 3;

export type DialOutcome = 'answered' | 'busy' | 'no_answer' | 'failed';

/** Uniform in [0, 1): a 32-bit integer hash (the finalizer of MurmurHash3) of target number i and attempt number k. */
function uniform(i: number, k: number): number {
  let hash = (Math.imul(i, 0x9e3779b1) ^ Math.imul(k, 0x85ebca77)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000;
}

/** The k-th attempt (from 1) on target i: 30 % answered, 25 % busy, 35 % no answer, 10 % failed. */
export function dialOutcome(i: number, k: number): DialOutcome {
  const u = uniform(i, k);
  if (u < 0.3) return 'answered';
  if (u < 0.55) return 'busy';
  return u < 0.9 ? 'no_answer' : 'failed';
}

/** The number, over all destinations, of a try on one of them: those before it were used up. */
export const attemptNumber = (destinationIndex: number, tryCount: number): number => destinationIndex * TRIES_EACH + tryCount;

export interface TargetEnd {
  readonly doneReason: 'answered' | 'exhausted';
  /** What each attempt came to, in order. */
  readonly outcomes: readonly DialOutcome[];
  readonly tryCounts: readonly number[];
}

/** How target i ends. */
export function targetEnd(i: number): TargetEnd {
  const outcomes: DialOutcome[] = [];
  while (outcomes.length < DESTINATIONS_EACH * TRIES_EACH && outcomes.at(-1) !== 'answered')
    outcomes.push(dialOutcome(i, outcomes.length + 1));
  const tryCounts = Array.from({ length: DESTINATIONS_EACH }, (_, index) =>
    Math.max(0, Math.min(TRIES_EACH, outcomes.length - index * TRIES_EACH)),
  );
  return { doneReason: outcomes.at(-1) === 'answered' ? 'answered' : 'exhausted', outcomes, tryCounts };
}

export interface DialTotals {
  readonly attempts: number;
  readonly byOutcome: Readonly<Record<DialOutcome, number>>;
  readonly byDestination: readonly number[];
  readonly answered: number;
  readonly exhausted: number;
}

/** Totals over the targets 0 … count - 1. */
export function dialTotals(count: number): DialTotals {
  const byOutcome: Record<DialOutcome, number> = { answered: 0, busy: 0, no_answer: 0, failed: 0 };
  const byDestination = Array.from({ length: DESTINATIONS_EACH }, () => 0);
  let attempts = 0;
  let answered = 0;
  for (let i = 0; i < count; i += 1) {
    const end = targetEnd(i);
    attempts += end.outcomes.length;
    for (const outcome of end.outcomes) byOutcome[outcome] += 1;
    end.tryCounts.forEach((tries, index) => (byDestination[index] = (byDestination[index] ?? 0) + tries));
    if (end.doneReason === 'answered') answered += 1;
  }
  return { attempts, byOutcome, byDestination, answered, exhausted: count - answered };
}
