/**
 * `npm run demo`: a whole list, from the file to its last call, against a real service on this machine. It imports a list with duplicates and broken rows,
 * dials it with simulated dialers (of which one crashes with leases in its hands), shows the list's state as it goes, and ends by holding what the
 * service counted against what the dialers saw. Exits 1 when anything does not add up.
 */

import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ImportResult, NewTarget, Page, Progress, Target } from './api';
import { startDialers } from './dialers';
import { readList } from './list';
import { startService } from './service';
import { showProgress } from './show';
import { summarise } from './summary';

const LIST = path.join(__dirname, '../../../../apps/demo/list.csv');
/** Rows a request. */
const CHUNK = 1000;
const DIALERS = 12;

async function createOutdial(client: Client): Promise<string> {
  const outplan = await client.post<{ id: string }>('/v1.0/outplans', {
    name: 'demo: three quick tries',
    try_interval: 1500,
    max_try_count_0: 3,
    max_try_count_1: 2,
    max_try_count_2: 1,
    max_try_count_3: 1,
    retry: { busy: { interval: 500 }, machine: { next_destination: true } },
  });
  const outdial = await client.post<{ id: string }>('/v1.0/outdials', { name: 'demo', outplan_id: outplan.id });
  return outdial.id;
}

async function importList(client: Client, outdialId: string, rows: readonly NewTarget[]): Promise<ImportResult> {
  const answers: ImportResult[] = [];
  for (let first = 0; first < rows.length; first += CHUNK) {
    const targets = rows.slice(first, first + CHUNK);
    const answer = await client.post<ImportResult>(`/v1.0/outdials/${outdialId}/targets`, { targets });
    answers.push({ ...answer, errors: answer.errors.map((error) => ({ ...error, index: first + error.index })) });
  }
  const sum = (field: keyof ImportResult['summary']): number => answers.reduce((total, { summary }) => total + summary[field], 0);
  return {
    summary: { total: sum('total'), created: sum('created'), duplicates: sum('duplicates'), invalid: sum('invalid') },
    errors: answers.flatMap(({ errors }) => errors),
  };
}

async function dialAll(client: Client, outdialId: string): Promise<{ progress: Progress; counted: ReadonlyMap<string, number> }> {
  const read = (): Promise<Progress> => client.get<Progress>(`/v1.0/outdials/${outdialId}/progress`);
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
  let token = '';
  do {
    const page = await client.get<Page<Target>>(
      `/v1.0/outdials/${outdialId}/targets?page_size=100&page_token=${encodeURIComponent(token)}`,
    );
    targets.push(...page.result);
    token = page.next_page_token;
  } while (token !== '');
  return targets;
}

const note = (text: string): boolean => process.stdout.write(`${text}\n`);

/** Answers whether everything adds up. */
async function run(): Promise<boolean> {
  const rows = readList(LIST);
  note(`${rows.length.toLocaleString('en')} rows read from apps/demo/list.csv`);
  const service = await startService();
  try {
    const { client } = service;
    const outdialId = await createOutdial(client);
    const started = performance.now();
    const imported = await importList(client, outdialId, rows);
    note(`imported in ${((performance.now() - started) / 1000).toFixed(1)} s; ${DIALERS} dialers begin, one of them will crash\n`);
    const dialed = await dialAll(client, outdialId);
    const targets = await readAllTargets(client, outdialId);
    const { text, addsUp } = summarise({ rows: rows.length, imported, ...dialed, targets });
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
