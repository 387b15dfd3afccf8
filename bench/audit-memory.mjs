import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mustEqual } from './dial-cycle.mjs';
import { makeList, startService } from './service.mjs';
import { percentile } from './statistics.mjs';
import { attemptsOf, expectedTotals, OUTPLAN, targetOf } from './work.mjs';

const load = createRequire(import.meta.url);
/** Targets whose states are held while their events are made. */
const CHUNK = 20_000;
/** Appends of one transaction. */
const BATCH = 2000;
/** A service takes up the events that it has not seen before it says that it is ready. */
const PATIENCE_MS = 20 * 60_000;
const CLAIMS = 300;
/** Milliseconds between two claims: they must not be what fills the memory. */
const PACE = 50;
/** Of the list that is dialed meanwhile: enough for a report of many minutes. */
const DIALED = 50_000;

/** The whole report of a list of `events` events, which were put into the log without a service: what it costs the memory, and who claims meanwhile. */
export async function auditMemory({ events }) {
  let service = await startService();
  const { dataDir } = service;
  const { id: outdialId } = await service.client.post('/v1.0/outdials', { name: 'audited' });
  const { id: customerId } = (await service.client.get('/v1.0/customers')).result[0];
  await service.stop({ keep: true });
  const made = makeHistory(path.join(dataDir, 'store'), { outdialId, customerId, events });
  service = await startService(dataDir, {}, PATIENCE_MS);
  try {
    const list = await makeList(service.client, DIALED);
    const alone = await claims(service.client, list, (made) => made >= CLAIMS);
    const memory = watchMemory(service.pid);
    const before = await memory.now();
    let over = false;
    const start = performance.now();
    const report = readReport(service.client, outdialId).finally(() => (over = true));
    const meanwhile = await claims(service.client, list, () => over);
    mustEqual('rows of the report', made.attempts, await report);
    const seconds = (performance.now() - start) / 1000;
    const highest = await memory.highest();
    // What the report's thread leaves behind is taken away when somebody asks for memory again: the claims do.
    await claims(service.client, list, (made) => made >= CLAIMS);
    const figure = { figure: 'audit-memory', targets: made.targets };
    return [
      { ...figure, via: 'http', value: made.events / seconds, unit: 'events/s' },
      { ...figure, via: 'before', value: before, unit: 'MB RSS' },
      { ...figure, via: 'highest', value: highest, unit: 'MB RSS' },
      { ...figure, via: 'after', value: await memory.now(), unit: 'MB RSS' },
      { ...figure, via: 'alone', value: percentile(alone, 0.99), unit: 'ms p99 of a claim' },
      { ...figure, via: 'meanwhile', value: percentile(meanwhile, 0.99), unit: 'ms p99 of a claim' },
    ];
  } finally {
    await service.stop();
  }
}

/** Writes targets that were dialed to their end as the service would have, with its own rules, in the order in which lists of 20,000 are dialed. */
function makeHistory(directory, { outdialId, customerId, events }) {
  const { decideTarget, DEFAULT_POLICY, encodeEvent, evolveTarget, streamOf } = load('../dist/libs/dialing/index.js');
  const { SqliteLogWriter } = load('../dist/libs/event-store/sqlite-log.js');
  const policy = { ...DEFAULT_POLICY, tryInterval: OUTPLAN.try_interval };
  const context = { customerId, actor: customerId, correlationId: uuid(1, 0), causationId: uuid(1, 1) };
  const writer = new SqliteLogWriter(directory);
  const start = Date.now() * 1000 - 3_600_000_000;
  let [written, targets, attempts, serial] = [0, 0, 0, 0];
  let batch = [];

  const flush = () => {
    if (writer.append(batch).some(({ ok }) => !ok)) throw new Error('an event was not appended');
    batch = [];
  };
  const put = (target, command) => {
    const made = decideTarget({ ...command, now: start + serial }, target.state);
    batch.push({
      stream: target.stream,
      expected: { revision: target.revision, hash: '' },
      events: made.map((event) => ({ id: uuid(2, serial++), ...encodeEvent(event, context) })),
    });
    for (const event of made) target.state = evolveTarget(target.state, event);
    target.revision += made.length;
    written += made.length;
    if (batch.length >= BATCH) flush();
  };

  while (written < events) {
    const first = targets;
    targets += Math.min(CHUNK, Math.max(1, Math.ceil((events - written) / 6.5)));
    let open = Array.from({ length: targets - first }, (_, n) => {
      const targetId = uuid(3, first + n);
      const target = { n: first + n, stream: streamOf.target(outdialId, targetId), revision: -1, state: null };
      put(target, { type: 'AddTarget', outdialId, targetId, customerId, target: newTarget(first + n), readd: false });
      return { target, outcomes: attemptsOf(first + n) };
    });
    while (open.length > 0) {
      const dialed = open.flatMap((one) => {
        const { value: outcome } = one.outcomes.next();
        return outcome === undefined ? [] : [{ ...one, outcome, attemptId: uuid(4, attempts++) }];
      });
      for (const { target, attemptId } of dialed)
        put(target, { type: 'RecordDialAttempt', attemptId, dialer: 'bench', leaseMillis: 90_000, policy });
      for (const { target, attemptId, outcome } of dialed)
        put(target, { type: 'RecordOutcome', attemptId, outcome, disposition: null, note: null, tmEnd: null });
      open = dialed;
    }
  }
  flush();
  writer.close();
  mustEqual('attempts', expectedTotals(targets).attempts, attempts);
  return { events: written, targets, attempts };
}

const uuid = (kind, n) => `00000000-0000-800${kind}-8000-${n.toString(16).padStart(12, '0')}`;

function newTarget(n) {
  const { external_id, destination_0, destination_1 } = targetOf(n);
  const address = (one) => ({ ...one, target_name: '', name: '', detail: '' });
  return {
    name: '',
    detail: '',
    data: '',
    priority: 0,
    externalId: external_id,
    destinations: [address(destination_0), address(destination_1), null, null, null],
    limits: { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] },
  };
}

/** Milliseconds of claims of 100, nobody of whom answers, until it is enough. */
async function claims(client, outdialId, enough) {
  const milliseconds = [];
  while (!enough(milliseconds.length)) {
    const start = performance.now();
    const { result } = await client.post(`/v1.0/outdials/${outdialId}/leases`, { limit: 100 });
    milliseconds.push(performance.now() - start);
    const outcomes = result.map(({ attempt_id, target_id }) => ({ attempt_id, target_id, outcome: 'no_answer' }));
    await client.post(`/v1.0/outdials/${outdialId}/outcomes`, { outcomes });
    await sleep(Math.max(0, start + PACE - performance.now()));
  }
  return milliseconds;
}

/** Resident memory in MB, as Linux counts it. */
function watchMemory(pid) {
  const now = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
  let highest = 0;
  const watching = setInterval(async () => (highest = Math.max(highest, await now().catch(() => 0))), 100);
  return {
    now,
    async highest() {
      clearInterval(watching);
      return Math.max(highest, await now());
    },
  };
}

async function readReport({ url, token }, outdialId) {
  const request = http.get(`${url}/v1.0/outdials/${outdialId}/audit`, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' },
  });
  const [response] = await once(request, 'response');
  mustEqual('status of the report', 200, response.statusCode);
  let rows = 0;
  for await (const chunk of response) for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) rows++;
  return rows;
}
