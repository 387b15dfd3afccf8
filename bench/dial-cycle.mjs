import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { makeList, progressWhen, withService } from './service.mjs';
import { percentile } from './statistics.mjs';
import { expectedTotals, OUTCOMES } from './work.mjs';

/** Claims of 100, many dialers: attempts a second, each claim and each outcome durable when it is answered. */
export async function dialCycle({ targets, dialers, floor }) {
  const { seconds, attempts } = await cycle({ targets, dialers, batch: 100 });
  const value = attempts / seconds;
  return [{ figure: 'dial-cycle', via: 'http', value, unit: 'attempts/s', ratio: { floor: (2 * value) / floor.insert }, targets }];
}

/** One claim and one report a request, as a dialer of one line works: 32 of them. */
export async function singleCycle({ targets }) {
  const n = Math.min(targets, 5000);
  const { seconds, attempts, milliseconds } = await cycle({ targets: n, dialers: 32, batch: 1 });
  const latency = { claim: spread(milliseconds.claim), report: spread(milliseconds.report) };
  return [{ figure: 'single-cycle', via: 'http', value: attempts / seconds, unit: 'cycles/s', latency, targets: n }];
}

const spread = (values) => ({ p50: percentile(values, 0.5), p99: percentile(values, 0.99) });

/** Dials a list to its end with dialers in a process of their own. Rejects when the totals are not those of the work itself. */
function cycle({ targets, dialers, batch }) {
  return withService((client) => dialedList(client, { targets, dialers, batch }));
}

/** Makes a list, dials it to its end and holds it against the work itself. */
export async function dialedList(client, { targets, dialers, batch }) {
  const outdialId = await makeList(client, targets);
  const { url, token } = client;
  const { seconds, byOutcome, milliseconds } = await dial({ url, token, outdialId, targets, dialers, batch });
  const expected = expectedTotals(targets);
  const progress = await progressWhen(client, outdialId, ({ targets: { done } }) => done === targets);
  const { attempts, done } = progress;
  mustEqual('attempts', expected.attempts, attempts.total);
  mustEqual('answered targets', expected.answered, done.answered);
  mustEqual('exhausted targets', expected.exhausted, done.exhausted);
  for (const outcome of OUTCOMES) {
    mustEqual(`${outcome}, as dialed`, expected.byOutcome[outcome], byOutcome[outcome]);
    mustEqual(`${outcome}, as counted`, expected.byOutcome[outcome], attempts.by_outcome[outcome]);
  }
  return { outdialId, seconds, attempts: attempts.total, milliseconds };
}

async function dial(task) {
  const child = fork(path.join(import.meta.dirname, 'dialers.mjs'), { execArgv: [] });
  const ended = once(child, 'exit').then(([code]) => ({ error: `the dialers ended with ${code}` }));
  child.send(task);
  const [message] = await Promise.race([once(child, 'message'), ended.then((message) => [message])]);
  await ended;
  if (message.error) throw new Error(message.error);
  return message.result;
}

export function mustEqual(what, expected, actual) {
  if (actual !== expected) throw new Error(`${what}: ${actual}, where the work itself gives ${expected}`);
}
