/** The read models are built anew while targets are dialed. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { bodyOf, differences, eventually, newOutdial, phone, tel } from '../support/api';
import type { Client, Fate, Outdial } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

/** As many as it takes for a build to call for help; where the log is on a stand-in there is none to be had, and the read models there take their time. */
const TARGETS = process.env.STAND_INS ? 6000 : 22_000;
const OUTCOMES = ['answered', 'busy', 'no_answer'] as const;

test('of a list that is dialed meanwhile nothing is lost, doubled or forgotten', async () => {
  const outdial = await newOutdial(api, {}, { try_interval: 0, max_try_count_0: 2 });
  for (let n = 0; n < TARGETS; n += 2000) {
    const rows = Array.from({ length: 2000 }, (_, k) => ({ external_id: String(n + k), destination: tel(phone(n + k)) }));
    expect((await outdial.addAll(rows)).summary.created).toBe(2000);
  }
  const leased = new Set<string>();
  let rebuilding = true;
  const dialers = ['d1', 'd2', 'd3'].map((dialer) => dialWhile(() => rebuilding, outdial, dialer, leased));
  await rebuild().finally(() => (rebuilding = false));
  const reported = (await Promise.all(dialers)).reduce((total, count) => total + count);
  expect(reported).toBeGreaterThan(100);
  expect(leased.size).toBe(reported);
  await eventually(async () =>
    expect((await outdial.progress()).attempts).toMatchObject({ total: reported, by_outcome: { under_way: 0 } }),
  );
  expect(await differences(outdial, 500)).toEqual([]);

  const builds = service.output.split('\n').filter((line) => line.includes('building the read models stream by stream'));
  // Where the log is in files; that of a server is read by one thread, and by another process.
  if (service.stores.variables.EVENTSTORE_URL === undefined && availableParallelism() > 1)
    expect(builds.at(-1)).toContain(`"threads":${Math.min(4, availableParallelism())}`);
  expect(service.output).not.toContain('could not build stream by stream');
}, 120_000);

/** Answers how many attempts were reported; all that were leased are. */
async function dialWhile(going: () => boolean, outdial: Outdial, dialer: string, leased: Set<string>): Promise<number> {
  let reported = 0;
  while (going()) {
    const { result } = await outdial.claim({ limit: 50, dialer, lease_seconds: 600 });
    for (const { attempt_id } of result) leased.add(attempt_id);
    const outcomes = result.map(({ attempt_id, target_id }) => ({
      attempt_id,
      target_id,
      outcome: OUTCOMES[Number(attempt_id.at(-1)) % 3] ?? 'busy',
    }));
    if (outcomes.length === 0) continue;
    const fates = bodyOf(await api.post<{ result: readonly Fate[] }>(`${outdial.path}/outcomes`, { outcomes })).result;
    reported += fates.filter(({ result: fate }) => fate === 'recorded').length;
  }
  return reported;
}

async function rebuild(): Promise<void> {
  const admin = path.join(__dirname, '../../dist/apps/worker/src/admin.js');
  const env = { PATH: process.env.PATH, ...service.stores.variables, DATA_DIR: service.dataDir };
  await promisify(execFile)(process.execPath, [admin, 'projections', 'rebuild', '--promote'], { env });
}
