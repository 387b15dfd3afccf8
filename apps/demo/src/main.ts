/**
 * `npm run demo`: a whole list, from the file to its last call, against a real service on this machine. It imports a list with duplicates and broken rows,
 * dials it with simulated dialers (of which one crashes with leases in its hands), shows the list's state as it goes, and ends by holding what the
 * service counted against what the dialers saw. Exits 1 when anything does not add up.
 */

import { createReadStream, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'csv-parse/sync';
import type { Client, ImportResult, ImportSummary, Progress, Target } from '#client';
import { startDialers } from './dialers';
import { startService } from './service';
import { showProgress } from './show';
import { summarise } from './summary';
import type { Imported } from './summary';

const LIST = path.join(__dirname, '../../../../apps/demo/list.csv');
const DIALERS = 12;

async function createOutdial(client: Client): Promise<string> {
  const outplan = await client.post<{ id: string }>('/outplans', {
    name: 'demo: three quick tries',
    try_interval: 1500,
    max_try_count_0: 3,
    max_try_count_1: 2,
    max_try_count_2: 1,
    max_try_count_3: 1,
    retry: { busy: { interval: 500 }, machine: { next_destination: true } },
  });
  const outdial = await client.createOutdial({ name: 'demo', outplan_id: outplan.id });
  return outdial.id;
}

async function importList(client: Client, outdialId: string): Promise<Imported> {
  const refused: ImportResult[] = [];
  let summary: ImportSummary | null = null;
  for await (const line of client.importTargets(outdialId, createReadStream(LIST), { format: 'csv', results: 'refused' })) {
    if ('summary' in line) summary = line.summary;
    else refused.push(line);
  }
  if (!summary) throw new Error('the import ended without a summary');
  return { summary, refused };
}

async function dialAll(client: Client, outdialId: string): Promise<{ progress: Progress; counted: ReadonlyMap<string, number> }> {
  const read = (): Promise<Progress> => client.progress(outdialId);
  const dialers = startDialers({ client, outdialId, dialers: DIALERS, batch: 50, callMillis: 120, leaseSeconds: 3 });
  let progress = await read();
  const show = showProgress(progress);
  let crashed = false;
  while (progress.targets.done < progress.targets.total) {
    if (!crashed && progress.targets.done > progress.targets.total / 4) {
      dialers.crashOne();
      crashed = true;
    }
    await Promise.race([sleep(200), dialers.working]);
    progress = await read();
    show.update(progress);
  }
  show.end();
  await dialers.stop();
  return { progress, counted: dialers.counted };
}

async function readAllTargets(client: Client, outdialId: string): Promise<readonly Target[]> {
  const targets: Target[] = [];
  for await (const target of client.targets(outdialId)) targets.push(target);
  return targets;
}

const note = (text: string): boolean => process.stdout.write(`${text}\n`);

/** Answers whether everything adds up. */
async function run(): Promise<boolean> {
  // The file's own count, to hold the service's against.
  const rows = parse(readFileSync(LIST), { columns: true, bom: true }).length;
  note(`apps/demo/list.csv has ${rows.toLocaleString('en')} rows`);
  const service = await startService();
  try {
    const { client } = service;
    const outdialId = await createOutdial(client);
    const started = performance.now();
    const imported = await importList(client, outdialId);
    note(`imported in ${((performance.now() - started) / 1000).toFixed(1)} s; ${DIALERS} dialers begin, one of them will crash\n`);
    const dialed = await dialAll(client, outdialId);
    const targets = await readAllTargets(client, outdialId);
    const { text, addsUp } = summarise({ rows, imported, ...dialed, targets });
    note(`\n${text}`);
    return addsUp;
  } finally {
    await service.stop();
  }
}

run().then(
  (addsUp) => (process.exitCode = addsUp ? 0 : 1),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
