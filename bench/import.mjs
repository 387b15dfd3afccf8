import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { runIn } from './child.mjs';
import { makeList, makeOutdial, progressWhen, startService } from './service.mjs';
import { percentile, ratios } from './statistics.mjs';
import { removeFolder, temporaryFolder } from './temporary.mjs';
import { memory, peakMemory } from './usage.mjs';
import { mustEqual, targetOf } from './work.mjs';

/** Of the rows: targets of the outdial that is dialed while another is imported, each as often as its limits let it. They last, however slow the machine is. */
const DIALED_SHARE = 0.05;
const DIALED_AT_LEAST = 10_000;
/** Pause between two claims of that dialer. */
const CLAIM_EVERY_MS = 20;

/** Targets a second, each stored when it is told: in process, and as a file of JSON lines over HTTP. Then what a large file must not do. */
export async function importFigures({ targets, large, floor, peers }) {
  const figure = (via, n, seconds, more) => {
    const value = n / seconds;
    return {
      figure: 'import',
      via,
      value,
      unit: 'targets/s',
      ratio: ratios(value, { floor: floor.insert, ...peers }),
      ...more,
      targets: n,
    };
  };
  const { imported, rss } = await runIn('in-process.mjs', { targets });
  mustEqual('created targets', targets, imported.created);
  mustEqual('targets', targets, imported.total);
  const sent = await withFile(targets, sendAll);
  return [
    figure('in process', targets, imported.seconds, { rss_mb: megabytes(rss) }),
    figure('http', targets, sent.seconds, held(sent)),
    ...(await withFile(large, async (file) => {
      const beside = await sendBesideClaims(file);
      const again = await sendAgainAfterKill(file);
      const claims = { claim_p99_ms: percentile(beside.claims, 0.99), claims: beside.claims.length };
      return [
        figure('http, beside claims', large, beside.seconds, { ...held(beside), ...claims }),
        figure('http, again after a kill', large, again.seconds, held(again)),
      ];
    })),
  ];
}

/** The most memory that it had, and what it had at a quarter of the rows: flat when they are alike. */
const held = ({ rss, early }) => ({ rss_mb: megabytes(rss), rss_mb_at_a_quarter: megabytes(early) });

const megabytes = (bytes) => (bytes === null ? null : bytes / 1e6);

/** Runs `measure` with a file of the rows 0 … targets - 1. */
async function withFile(targets, measure) {
  const directory = temporaryFolder('rows');
  const file = { targets, path: path.join(directory, 'rows.ndjson') };
  try {
    await pipeline(lines(targets), createWriteStream(file.path));
    return await measure(file);
  } finally {
    removeFolder(directory);
  }
}

function* lines(targets) {
  for (let i = 0; i < targets; i += 1000) {
    const rows = Array.from({ length: Math.min(1000, targets - i) }, (_, offset) => `${JSON.stringify(targetOf(i + offset))}\n`);
    yield rows.join('');
  }
}

async function sendAll(file) {
  const service = await startService();
  try {
    return await sendInto(service, await makeOutdial(service.client), file);
  } finally {
    await service.stop();
  }
}

async function sendBesideClaims(file) {
  const service = await startService();
  try {
    const dialed = await makeList(service.client, Math.max(DIALED_AT_LEAST, Math.ceil(DIALED_SHARE * file.targets)));
    const outdialId = await makeOutdial(service.client);
    const claiming = startClaims(service.client, dialed);
    const sent = await sendInto(service, outdialId, file).finally(claiming.stop);
    return { ...sent, claims: await claiming.milliseconds };
  } finally {
    await service.stop();
  }
}

/** The service is killed when half of the rows have been told, and the whole file is sent to the one that comes after it: nothing may be there twice or missing. */
async function sendAgainAfterKill(file) {
  const killed = await startService();
  const outdialId = await makeOutdial(killed.client);
  const { told, answer } = send(killed.client, outdialId, file);
  await told(file.targets / 2);
  await killed.kill();
  await answer.then(
    () => Promise.reject(new Error('the import was over before the service was killed')),
    () => undefined,
  );
  const service = await startService(killed.dataDir);
  try {
    return await sendInto(service, outdialId, file);
  } finally {
    await service.stop();
  }
}

/** Sends the file and checks what is there afterwards. A row that is there already is a duplicate. */
async function sendInto(service, outdialId, file) {
  const start = performance.now();
  const { told, answer } = send(service.client, outdialId, file);
  await told(file.targets / 4);
  const early = memory(service.pid);
  const { created, duplicates, invalid } = await answer;
  const seconds = (performance.now() - start) / 1000;
  mustEqual('invalid rows', 0, invalid);
  mustEqual('created targets and duplicates', file.targets, created + duplicates);
  const progress = await progressWhen(service.client, outdialId, ({ callable }) => callable >= file.targets);
  mustEqual('targets', file.targets, progress.targets.total);
  return { seconds, created, rss: peakMemory(service.pid), early };
}

/**
 * Sends a file as it lies on the disk. The answer has a line for each row, which is counted as it comes, and the summary in the last one.
 * @returns {{ told: (rows: number) => Promise<void>, answer: Promise<{ created: number, duplicates: number, invalid: number }> }}
 */
function send({ url, token }, outdialId, file) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' };
  const request = http.request(`${url}/v1.0/outdials/${outdialId}/targets`, { method: 'POST', headers });
  let rows = 0;
  let over = false;
  async function read() {
    const [response] = await once(request, 'response');
    let last = '';
    for await (const chunk of response.setEncoding('latin1')) {
      for (let at = chunk.indexOf('\n'); at >= 0; at = chunk.indexOf('\n', at + 1)) rows++;
      last = (last + chunk).slice(-2000);
    }
    const line = last.trimEnd().split('\n').at(-1);
    if (response.statusCode !== 200 || !line.startsWith('{"summary"'))
      throw new Error(`the import ended with ${response.statusCode} ${line}`);
    return JSON.parse(line).summary;
  }
  const answer = Promise.all([read(), pipeline(createReadStream(file.path), request)]).then(([summary]) => summary);
  answer.catch(() => undefined).finally(() => (over = true));
  return {
    answer,
    async told(count) {
      while (rows < count && !over) await sleep(1);
    },
  };
}

/** A dialer of the outdial: claims 1 … 100 targets, reports that nobody answered, rests. */
function startClaims(client, outdialId) {
  let stopped = false;
  async function claimAll() {
    const milliseconds = [];
    for (let n = 0; !stopped; n++) {
      const start = performance.now();
      const { result } = await client.post(`/v1.0/outdials/${outdialId}/leases`, { limit: 1 + ((n * 37) % 100) });
      milliseconds.push(performance.now() - start);
      mustEqual('leases of a claim', 1 + ((n * 37) % 100), result.length);
      const outcomes = result.map(({ attempt_id, target_id }) => ({ attempt_id, target_id, outcome: 'no_answer' }));
      await client.post(`/v1.0/outdials/${outdialId}/outcomes`, { outcomes });
      await sleep(CLAIM_EVERY_MS);
    }
    return milliseconds;
  }
  const milliseconds = claimAll();
  milliseconds.catch(() => undefined);
  return { milliseconds, stop: () => (stopped = true) };
}
