import { runIn } from './child.mjs';
import { makeList, progressWhen, withService } from './service.mjs';
import { percentile, ratios } from './statistics.mjs';
import { checkDialed, mustEqual, OUTCOMES } from './work.mjs';

export { mustEqual };

/** Claims and reports of 100, many dialers: attempts a second, each claim and each outcome durable when it is answered. */
export async function dialCycle({ targets, dialers, floor, peers }) {
  const how = { targets, dialers, batch: 100 };
  const figure = (via, { seconds, attempts }) => {
    const value = attempts / seconds;
    // Two events an attempt.
    const ratio = ratios(value, { floor: floor.insert / 2, ...peers });
    return { figure: 'dial-cycle', via, value, unit: 'attempts/s', ratio, targets };
  };
  return [figure('in process', await cycleInProcess(how)), figure('http', await cycle(how))];
}

/** The same without HTTP, the import of the list before it included. */
export async function cycleInProcess(how) {
  const { imported, dialed } = await runIn('in-process.mjs', { ...how, dials: true });
  const { counted, seconds, cpu, byOutcome } = dialed;
  checkCounts(how.targets, byOutcome, counted);
  return { imported, seconds, cpu, attempts: counted.total };
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
export function cycle({ targets, dialers, batch }) {
  return withService((client) => dialedList(client, { targets, dialers, batch }));
}

/** Makes a list, dials it to its end, at several gateways where there are others, and holds it against the work itself. */
export async function dialedList(client, { targets, dialers, batch, urls = [client.url] }) {
  const outdialId = await makeList(client, targets);
  const { token } = client;
  const { seconds, byOutcome, milliseconds } = await runIn('dialers.mjs', { urls, token, outdialId, targets, dialers, batch });
  const { attempts, done } = await progressWhen(client, outdialId, (progress) => progress.targets.done === targets);
  checkCounts(targets, byOutcome, { total: attempts.total, byOutcome: attempts.by_outcome, ...done });
  return { outdialId, seconds, attempts: attempts.total, milliseconds };
}

/** Throws unless the dialers' count and the service's are both those of the work. */
function checkCounts(targets, dialed, counted) {
  const expected = checkDialed(targets, dialed);
  mustEqual('attempts', expected.attempts, counted.total);
  mustEqual('answered targets', expected.answered, counted.answered);
  mustEqual('exhausted targets', expected.exhausted, counted.exhausted);
  for (const outcome of OUTCOMES) mustEqual(`${outcome}, as counted`, expected.byOutcome[outcome], counted.byOutcome[outcome]);
}
