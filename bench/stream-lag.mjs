import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withService } from './service.mjs';
import { percentile } from './statistics.mjs';
import { targetOf } from './work.mjs';

const EVENTS_PER_SECOND = 2000;
const SECONDS = 10;
/** Requests a second; each adds the same share of the events. */
const REQUESTS = 50;

/** From an event's own time to its arrival at a listener, at 2,000 events a second: with one listener, and with many, in a process of their own. */
export async function streamLag({ listeners }) {
  const figures = [];
  for (const count of [...new Set([1, listeners])]) {
    const lags = await withService((client) => measure(client, count));
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ]) {
      figures.push({
        figure: 'stream-lag',
        via: `sse × ${count}`,
        value: percentile(lags, share),
        unit: `ms ${name}`,
        targets: EVENTS_PER_SECOND * SECONDS,
      });
    }
  }
  return figures;
}

async function measure(client, count) {
  const { id } = await client.post('/v1.0/outdials', { name: 'bench' });
  const child = fork(path.join(import.meta.dirname, 'listeners.mjs'), { execArgv: [] });
  const total = EVENTS_PER_SECOND * SECONDS;
  child.send({ url: client.url, token: client.token, outdialId: id, listeners: count, messages: total });
  const [ready] = await once(child, 'message');
  if (ready !== 'ready') throw new Error(`the listeners: ${JSON.stringify(ready)}`);
  const answered = once(child, 'message');
  const rows = EVENTS_PER_SECOND / REQUESTS;
  const start = performance.now();
  for (let sent = 0; sent < total; sent += rows) {
    const targets = Array.from({ length: rows }, (_, at) => targetOf(sent + at));
    await client.post(`/v1.0/outdials/${id}/targets`, { targets });
    await sleep(Math.max(0, start + (1000 * (sent + rows)) / EVENTS_PER_SECOND - performance.now()));
  }
  const took = (performance.now() - start) / 1000;
  if (took > SECONDS * 1.1) process.stderr.write(`stream-lag: the events came at ${Math.round(total / took)}/s only\n`);
  const [answer] = await answered;
  if (answer.error) throw new Error(answer.error);
  return answer.lags;
}
