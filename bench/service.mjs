import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { removeFolder, temporaryFolder } from './temporary.mjs';
import { OUTPLAN, targetOf } from './work.mjs';

const { nodeFlags, nodeEnvironment } = createRequire(import.meta.url)('../scripts/node-flags.js');

const GATEWAY = path.join(import.meta.dirname, '../dist/apps/gateway/src/main.js');
const PASSWORD = 'a bench needs no secret';
const PATIENCE_MS = 60_000;
/** The read models of a million targets take their time. */
const READ_MODELS_MS = 600_000;

/**
 * A JSON client that costs the machine as little as possible: it shares it with what it measures.
 * @param {string} url
 * @param {string} [token]
 * @param {number} [connections]
 */
export function clientAt(url, token, connections = 1) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const { hostname, port } = new URL(url);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };

  /** @returns {Promise<any>} the answer's body; rejects unless the status is 2xx */
  function send(method, target, body) {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const content = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const request = http.request(
        { agent, hostname, port, method, path: target, headers: { ...authorization, ...content } },
        (response) => {
          const chunks = [];
          response.on('data', (chunk) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const answer = Buffer.concat(chunks).toString();
            if (response.statusCode >= 200 && response.statusCode < 300) resolve(JSON.parse(answer));
            else reject(new Error(`${method} ${target}: ${response.statusCode} ${answer.slice(0, 1000)}`));
          });
        },
      );
      request.on('error', reject);
      request.end(text);
    });
  }
  return {
    url,
    token,
    get: (target) => send('GET', target),
    post: (target, body) => send('POST', target, body),
    close: () => agent.destroy(),
  };
}

/**
 * The built gateway as a process of its own, as `npm start` starts it, on an empty data directory or on one that another service has left; its first user logged in. `variables`: of its
 * environment, where it has stores elsewhere.
 */
export async function startService(kept, variables = {}, patience = PATIENCE_MS) {
  const dataDir = kept ?? temporaryFolder('bench');
  const child = spawn(process.execPath, [...nodeFlags, ...(process.env.BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean), GATEWAY], {
    env: {
      ...nodeEnvironment,
      PATH: process.env.PATH,
      DATA_DIR: dataDir,
      HOST: '127.0.0.1',
      PORT: '0',
      ADMIN_PASSWORD: PASSWORD,
      ...variables,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  // Before its folder is removed.
  process.prependOnceListener('exit', kill);
  let output = '';
  const listen = (chunk) => (output = (output + chunk).slice(-10_000));
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);

  const deadline = Date.now() + patience;
  let url;
  while ((url = /listening on (http:\S+)/.exec(output)?.[1]) === undefined) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the service did not start:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const anonymous = clientAt(url);
  const { token } = await anonymous.post('/auth/login', { username: 'admin', password: PASSWORD });
  anonymous.close();
  const client = clientAt(url, token, 4);
  return {
    client,
    dataDir,
    pid: child.pid,
    /** Without a chance to end in order. The data stays. */
    async kill() {
      client.close();
      kill();
      await exited;
      process.off('exit', kill);
    },
    /** `keep` the data for another service; else they go with this one. */
    async stop({ keep = false } = {}) {
      client.close();
      child.kill('SIGTERM');
      await exited;
      process.off('exit', kill);
      if (!keep) removeFolder(dataDir);
      if (child.exitCode !== 0) throw new Error(`the service ended with ${child.exitCode ?? child.signalCode}:\n${output}`);
    },
  };
}

/** Runs `measure` against a fresh service. */
export async function withService(measure) {
  const service = await startService();
  try {
    return await measure(service.client);
  } finally {
    await service.stop();
  }
}

/** An empty outdial under the outplan of a dial cycle. */
export async function makeOutdial(client) {
  const outplan = await client.post('/v1.0/outplans', OUTPLAN);
  const { id } = await client.post('/v1.0/outdials', { name: 'bench', outplan_id: outplan.id });
  return id;
}

/** An outdial with targets 0 … n - 1, under the outplan of a dial cycle; resolves when all of them can be claimed. */
export async function makeList(client, n) {
  const id = await makeOutdial(client);
  const chunk = 5000;
  for (let first = 0; first < n; first += chunk) {
    const targets = Array.from({ length: Math.min(chunk, n - first) }, (_, offset) => targetOf(first + offset));
    const { summary } = await client.post(`/v1.0/outdials/${id}/targets`, { targets });
    if (summary.created !== targets.length) throw new Error(`${summary.created} of ${targets.length} targets were created`);
  }
  await progressWhen(client, id, (progress) => progress.callable === n);
  return id;
}

/** The outdial's progress as soon as it is as it should be; rejects when that takes longer than ten minutes. */
export async function progressWhen(client, outdialId, holds) {
  const deadline = Date.now() + READ_MODELS_MS;
  for (;;) {
    const progress = await client.get(`/v1.0/outdials/${outdialId}/progress`);
    if (holds(progress)) return progress;
    if (Date.now() > deadline) throw new Error(`the read models do not get there: ${JSON.stringify(progress)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
