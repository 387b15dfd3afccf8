/**
 * The dialers, as a process of their own: what they need of the machine is not the service's. Told what to do in one message, answers with one.
 *
 * Each dialer claims a batch, reports the outcomes, and begins again. All stop when every target is done.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { clientAt } from './service.mjs';
import { attemptNumber, outcomeOf, OUTCOMES } from './work.mjs';

const STALLED_MS = 60_000;

/** @param {{ url: string, token: string, outdialId: string, targets: number, dialers: number, batch: number }} task */
async function dialAll({ url, token, outdialId, targets, dialers, batch }) {
  const client = clientAt(url, token, dialers);
  const byOutcome = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0]));
  const milliseconds = { claim: [], report: [] };
  /** Number of the last attempt on each target: none may be dialed twice, left out or dialed out of order. */
  const last = new Uint8Array(targets);
  let done = 0;
  let moved = performance.now();

  function answer({ attempt_id, target_id, external_id, destination_index, try_count }) {
    const i = Number(external_id);
    const k = attemptNumber(destination_index, try_count);
    if (k !== last[i] + 1) throw new Error(`target ${i}: attempt ${k} came after attempt ${last[i]}`);
    last[i] = k;
    const outcome = outcomeOf(i, k);
    byOutcome[outcome]++;
    return { attempt_id, target_id, outcome };
  }

  async function timed(kind, target, body) {
    const start = performance.now();
    const { result } = await client.post(`/v1.0/outdials/${outdialId}/${target}`, body);
    milliseconds[kind].push(performance.now() - start);
    return result;
  }

  async function dial(dialer) {
    while (done < targets) {
      const leases = await timed('claim', 'leases', { limit: batch, dialer });
      if (leases.length === 0) {
        if (performance.now() - moved > STALLED_MS) throw new Error(`nothing to dial, yet only ${done} of ${targets} targets are done`);
        await sleep(5);
        continue;
      }
      const result = await timed('report', 'outcomes', { outcomes: leases.map(answer) });
      const refused = result.find((row) => row.result !== 'recorded');
      if (refused) throw new Error(`attempt ${refused.attempt_id} is ${refused.result}, not recorded`);
      for (const { status } of result) if (status === 'done') done++;
      moved = performance.now();
    }
  }

  const start = performance.now();
  await Promise.all(Array.from({ length: dialers }, (_, n) => dial(`dialer-${n}`)));
  const seconds = (performance.now() - start) / 1000;
  client.close();
  return { seconds, byOutcome, milliseconds };
}

process.once('message', (task) => {
  dialAll(task)
    .then((result) => ({ result }))
    .catch((error) => ({ error: error.message }))
    .then((message) => process.send(message, () => process.disconnect()));
});
