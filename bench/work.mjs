/**
 * The work that is measured, without any engine: who answers at which attempt, and what the totals must therefore be. Every run, ours or a
 * peer's, is held against it, so that nothing can be fast by leaving something out.
 */

export const DESTINATIONS = 2;
/** Tries a destination. */
export const TRIES = 3;
export const OUTCOMES = ['answered', 'busy', 'no_answer', 'failed'];

/** The outplan of a dial cycle: a retry is due at once. */
export const OUTPLAN = { name: 'bench', try_interval: 0, max_try_count_0: TRIES, max_try_count_1: TRIES };

/** Uniform in [0, 1): a 32-bit hash (murmur3's finaliser) of target number i and attempt number k, from 1. */
function uniform(i, k) {
  let hash = Math.imul(i, 0x9e3779b1) ^ Math.imul(k, 0x85ebca77);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** What comes of attempt number `k` on target number `i`: 30 % answered, 25 % busy, 35 % no answer, 10 % failed. */
function outcomeOf(i, k) {
  const u = uniform(i, k);
  if (u < 0.3) return 'answered';
  if (u < 0.55) return 'busy';
  return u < 0.9 ? 'no_answer' : 'failed';
}

/** Number of an attempt on its target, from 1: destinations are dialed one after the other, each up to its limit. */
export const attemptNumber = (destinationIndex, tryCount) => destinationIndex * TRIES + tryCount;

/** The outcomes of a target, in order, until it is done. */
export function* attemptsOf(i) {
  for (let k = 1; k <= DESTINATIONS * TRIES; k++) {
    const outcome = outcomeOf(i, k);
    yield outcome;
    if (outcome === 'answered') return;
  }
}

/** What must have happened when targets 0 … n - 1 are done. */
export function expectedTotals(n) {
  const byOutcome = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0]));
  for (let i = 0; i < n; i++) for (const outcome of attemptsOf(i)) byOutcome[outcome]++;
  const attempts = OUTCOMES.reduce((sum, outcome) => sum + byOutcome[outcome], 0);
  return { attempts, byOutcome, answered: byOutcome.answered, exhausted: n - byOutcome.answered };
}

/**
 * What dialers keep of their own: each attempt is asked for here, and none may be made twice, left out or out of order. `ended` resolves when every target
 * is done, and rejects with the first attempt that was wrong.
 */
export function attemptTally(targets) {
  const byOutcome = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0]));
  /** Number of the last attempt on each target. */
  const last = new Uint8Array(targets);
  let done = 0;
  let settle;
  const ended = new Promise((resolve, reject) => (settle = { resolve, reject }));
  ended.catch(() => undefined);
  return {
    ended,
    byOutcome,
    isDone: () => done === targets,
    /** Makes attempt number `k`, from 1, on target `i`. */
    attempt(i, k) {
      if (k !== last[i] + 1) {
        const error = new Error(`target ${i}: attempt ${k} came after attempt ${last[i]}`);
        settle.reject(error);
        throw error;
      }
      last[i] = k;
      const outcome = outcomeOf(i, k);
      byOutcome[outcome]++;
      const over = outcome === 'answered' || k === DESTINATIONS * TRIES;
      if (over) done++;
      if (done === targets) settle.resolve();
      return { outcome, over };
    },
  };
}

/** Throws when the dialers' own count is not that of the work. */
export function checkDialed(targets, byOutcome) {
  const expected = expectedTotals(targets);
  for (const outcome of OUTCOMES) mustEqual(`${outcome}, as dialed`, expected.byOutcome[outcome], byOutcome[outcome]);
  return expected;
}

export function mustEqual(what, expected, actual) {
  if (actual !== expected) throw new Error(`${what}: ${actual}, where the work itself gives ${expected}`);
}

/** Target number i as the API takes it; its number comes back with each lease as external_id. */
export function targetOf(i) {
  const number = String(2_000_000 + i).padStart(7, '0');
  return {
    external_id: String(i),
    destination_0: { type: 'tel', target: `+1555${number}` },
    destination_1: { type: 'tel', target: `+1556${number}` },
  };
}
