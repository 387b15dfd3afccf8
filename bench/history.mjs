import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import Database from 'better-sqlite3';
import { dialedList, mustEqual } from './dial-cycle.mjs';
import { makeList, startService } from './service.mjs';
import { expectedTotals } from './work.mjs';

const ADMIN = path.join(import.meta.dirname, '../dist/apps/worker/src/admin.js');

/** What is done with the events of a dialed list: reported on, folded anew, started from. */
export async function history({ targets, dialers }) {
  const service = await startService();
  const { dataDir } = service;
  try {
    const { outdialId } = await dialedList(service.client, { targets, dialers, batch: 100 });
    const events = await count(dataDir, outdialId);
    const scanned = scan(dataDir, outdialId);
    const audited = await audit(service.client, outdialId, expectedTotals(targets).attempts);
    const rebuilt = await rebuild(dataDir);
    await makeList(service.client, 1000);
    await service.stop({ keep: true });
    const cold = await coldStart(dataDir);
    return [
      { figure: 'audit', via: 'http', value: events / audited, unit: 'events/s', ratio: { scan: scanned / audited }, targets },
      { figure: 'rebuild', via: 'admin', value: events / rebuilt, unit: 'events/s', targets },
      { figure: 'cold-start', via: 'http', value: cold, unit: 's', targets },
    ];
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function open(dataDir) {
  return new Database(path.join(dataDir, 'store', 'events.db'), { readonly: true });
}

const OF_GROUP = 'FROM events WHERE grp = (SELECT id FROM groups WHERE name = ?)';

async function count(dataDir, outdialId) {
  const db = open(dataDir);
  const events = db.prepare(`SELECT count(*) ${OF_GROUP}`).pluck().get(outdialId);
  db.close();
  return events;
}

/** Seconds to read the outdial's events and parse them: no report can be faster. */
function scan(dataDir, outdialId) {
  const db = open(dataDir);
  const start = performance.now();
  let answered = 0;
  for (const { data, metadata } of db.prepare(`SELECT * ${OF_GROUP} ORDER BY position`).iterate(outdialId)) {
    if (JSON.parse(data).outcome === 'answered' && JSON.parse(metadata).v === 1) answered++;
  }
  const seconds = (performance.now() - start) / 1000;
  db.close();
  if (answered === 0) throw new Error('the list has no answered attempt');
  return seconds;
}

/** Seconds of a whole report; its rows are counted, and none may be of a record that does not hold. */
async function audit({ url, token }, outdialId, attempts) {
  const start = performance.now();
  const request = http.get(`${url}/v1.0/outdials/${outdialId}/audit`, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' },
  });
  const [response] = await once(request, 'response');
  let rows = 0;
  let broken = 0;
  let rest = '';
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    rows += lines.length;
    for (const line of lines) if (!line.endsWith('"chain_ok":true}')) broken++;
  }
  const seconds = (performance.now() - start) / 1000;
  mustEqual('rows of the report', attempts, rows);
  mustEqual('rows of a record that does not hold', 0, broken);
  return seconds;
}

/** Seconds until new read models, made from nothing beside the service, are live. */
async function rebuild(dataDir) {
  const start = performance.now();
  const child = spawn(process.execPath, [ADMIN, 'projections', 'rebuild', '--promote'], {
    env: { PATH: process.env.PATH, DATA_DIR: dataDir },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the rebuild ended with ${code}`);
  return (performance.now() - start) / 1000;
}

async function coldStart(dataDir) {
  const start = performance.now();
  const service = await startService(dataDir);
  const { result } = await service.client.get('/v1.0/outdials?page_size=1');
  const { result: leases } = await service.client.post(`/v1.0/outdials/${result[0].id}/leases`, { limit: 1 });
  const seconds = (performance.now() - start) / 1000;
  mustEqual('leases', 1, leases.length);
  await service.stop();
  return seconds;
}
