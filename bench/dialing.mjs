import { setTimeout as sleep } from 'node:timers/promises';
import { attemptTally } from './work.mjs';

const STALLED_MS = 60_000;

/**
 * Dials a list to its end: each dialer claims a batch, reports the outcomes, and begins again.
 * @param {{
 *   claim: (limit: number, dialer: string) => Promise<{ attemptId: string, targetId: string, i: number, k: number }[]>,
 *   report: (outcomes: { attemptId: string, targetId: string, outcome: string }[], dialer: string) => Promise<{ result: string, status: string }[]>,
 * }} engine attempt number `k` on target number `i`
 * @param {{ targets: number, dialers: number, batch: number }} how
 */
export async function dialList(engine, { targets, dialers, batch }) {
  const milliseconds = { claim: [], report: [] };
  const tally = attemptTally(targets);
  let done = 0;
  let moved = performance.now();

  async function timed(kind, request) {
    const start = performance.now();
    const answer = await request;
    milliseconds[kind].push(performance.now() - start);
    return answer;
  }

  async function dial(dialer) {
    while (!tally.isDone()) {
      const leases = await timed('claim', engine.claim(batch, dialer));
      if (leases.length === 0) {
        if (performance.now() - moved > STALLED_MS) throw new Error(`nothing to dial, yet only ${done} of ${targets} targets are done`);
        await sleep(5);
        continue;
      }
      const outcomes = leases.map(({ attemptId, targetId, i, k }) => ({ attemptId, targetId, outcome: tally.attempt(i, k).outcome }));
      const fates = await timed('report', engine.report(outcomes, dialer));
      const refused = fates.find(({ result }) => result !== 'recorded');
      if (refused) throw new Error(`an attempt is ${refused.result}, not recorded`);
      for (const { status } of fates) if (status === 'done') done++;
      moved = performance.now();
    }
  }

  const start = performance.now();
  await Promise.all(Array.from({ length: dialers }, (_, n) => dial(`dialer-${n}`)));
  const seconds = (performance.now() - start) / 1000;
  if (done !== targets) throw new Error(`${done} targets of ${targets} are done when all have been dialed to their end`);
  return { seconds, milliseconds, byOutcome: tally.byOutcome };
}
