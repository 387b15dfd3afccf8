/** The record: that it is found out when somebody has changed it, on the service's own files, by whoever asks in whichever way. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { bodyOf, micros, newOutdial, nextPhone, tel } from '../support/api';
import type { Client, Outdial, WireLease, WireOutdial, WireTarget } from '../support/api';
import { prepareService } from '../support/service';
import type { Service } from '../support/service';

let service: Service;
let api: Client;
beforeEach(async () => {
  service = await prepareService();
  await service.start();
  api = await service.customer();
});
afterEach(async () => {
  await service.dispose();
});

const AT_ONCE = { try_interval: 0 };
const OUTCOMES = ['answered', 'busy', 'no_answer', 'failed'] as const;
/** What the dialers kept themselves of each attempt. */
interface Kept {
  readonly target: string;
  readonly number: string;
  readonly outcome: string;
}

async function dial(outdial: Outdial): Promise<ReadonlyMap<string, Kept>> {
  const kept = new Map<string, Kept>();
  for (let n = 0; ; n += 1) {
    const { result } = bodyOf(
      await api.post<{ result: readonly WireLease[] }>(`${outdial.path}/leases`, { limit: 20, dialer: `d${n % 3}` }),
    );
    if (result.length === 0) return kept;
    const outcomes = result.map((lease, at) => {
      const outcome = OUTCOMES[(n + at * 7) % OUTCOMES.length] ?? 'busy';
      kept.set(lease.attempt_id, { target: lease.target_id, number: lease.destination.target, outcome });
      return { attempt_id: lease.attempt_id, target_id: lease.target_id, outcome };
    });
    bodyOf(await api.post(`${outdial.path}/outcomes`, { outcomes }));
  }
}

async function aDialedList(): Promise<{ outdial: Outdial; kept: ReadonlyMap<string, Kept> }> {
  const outdial = await newOutdial(api, { name: '<script>alert(1)</script> & co' }, { ...AT_ONCE, max_try_count_0: 2, max_try_count_1: 1 });
  await outdial.addAll(
    Array.from({ length: 30 }, (_, n) => ({
      external_id: `crm-${n}`,
      name: n === 0 ? '=cmd|"<b>' : `name ${n}`,
      destination_0: tel(nextPhone()),
      destination_1: tel(nextPhone()),
    })),
  );
  return { outdial, kept: await dial(outdial) };
}

interface Chain {
  readonly ok: boolean;
  readonly events: number;
  readonly flaws: readonly { readonly stream: string; readonly revision: number }[];
}
interface Verification {
  readonly consistent: boolean;
  readonly targets: number;
  readonly events: number;
  readonly differences: readonly { readonly id: string; readonly field: string }[];
  readonly chain: Chain;
}
const verify = async (outdial: Outdial): Promise<Verification> => bodyOf(await api.get<Verification>(`${outdial.path}/audit/verify`));

/** `npm run admin -- audit …` on the service's files. */
async function admin(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  const entry = path.join(__dirname, '../../dist/apps/worker/src/admin.js');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [entry, 'audit', ...args], {
      env: { PATH: process.env.PATH, DATA_DIR: service.dataDir },
      maxBuffer: 64 * 1024 * 1024,
    });
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
}

async function tamper(...statements: readonly string[]): Promise<void> {
  await service.stop();
  const db = new Database(path.join(service.dataDir, 'store', 'events.db'));
  for (const statement of statements) db.exec(statement);
  db.close();
  await service.start();
}

/** Takes a stream's last event away, and out of the index of streams, too. */
function cutCleanly(stream: string): void {
  const db = new Database(path.join(service.dataDir, 'store', 'events.db'));
  const [last, previous] = db
    .prepare('SELECT position, previous FROM events WHERE stream = ? ORDER BY revision DESC LIMIT 1')
    .raw()
    .get(stream) as [number, number];
  db.prepare('DELETE FROM events WHERE position = ?').run(last);
  db.prepare('UPDATE streams SET head = ? WHERE head = ?').run(previous, last);
  for (const { position, entries } of db.prepare('SELECT position, entries FROM fresh').all() as { position: number; entries: Buffer }[]) {
    const flat = Float64Array.from(new Float64Array(new Uint8Array(entries).buffer), (value) => (value === last ? previous : value));
    db.prepare('UPDATE fresh SET entries = ? WHERE position = ?').run(Buffer.from(flat.buffer), position);
  }
  db.close();
}

test('the report is what the dialers kept themselves, attempt by attempt', async () => {
  const { outdial, kept } = await aDialedList();
  const { result, chain } = bodyOf(
    await api.get<{ result: readonly (WireLease & { chain_ok: boolean })[]; chain: Chain }>(`${outdial.path}/audit`),
  );
  const reported = new Map(
    result.map((row) => [row.attempt_id, { target: row.target_id, number: row.destination.target, outcome: String(row.outcome) }]),
  );
  expect(kept.size).toBeGreaterThan(30);
  expect(reported).toEqual(kept);
  expect(result.every(({ chain_ok }) => chain_ok)).toBe(true);
  expect(chain).toMatchObject({ ok: true, flaws: [] });
  expect(await verify(outdial)).toMatchObject({ consistent: true, targets: 30, differences: [] });
});

test('the printed page has every attempt, its totals and plots, and nothing of a name can run in it', async () => {
  const { outdial, kept } = await aDialedList();
  const page = await api.get(`${outdial.path}/audit/report`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toMatch(/^text\/html/);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page.text).not.toContain('<script');
  expect(page.text).toContain('&#60;script&#62;alert(1)&#60;/script&#62; &#38; co');
  expect(page.text).not.toMatch(/(src|href)=/);
  expect(page.text.split('<tbody>')[1]?.match(/<tr>/g)).toHaveLength(kept.size);
  expect(page.text.match(/<svg/g)).toHaveLength(2);
  expect(page.text).toContain('The record holds.');
  for (const { number } of kept.values()) expect(page.text).toContain(number);
  expect(page.text.trimEnd().endsWith('</html>')).toBe(true);
});

describe('what somebody does to the files is found', () => {
  const some = async (): Promise<{ outdial: Outdial; stream: string; target: string }> => {
    const { outdial, kept } = await aDialedList();
    const target = [...kept.values()][3]?.target ?? '';
    return { outdial, target, stream: `outdialtarget-${outdial.id}.${target}` };
  };

  test('an event that says something else', async () => {
    const { outdial, stream, target } = await some();
    await tamper(`UPDATE events SET data = replace(data, '"outdial_id"', '"outdial_id" ') WHERE stream = '${stream}' AND revision = 1`);
    const { consistent, chain } = await verify(outdial);
    expect([consistent, chain.ok]).toEqual([false, false]);
    expect(chain.flaws).toMatchObject([{ stream, revision: 1 }]);
    const lines = (await api.get(`${outdial.path}/audit`, { headers: { accept: 'application/x-ndjson' } })).text.trimEnd().split('\n');
    const rows = lines.map((line) => JSON.parse(line) as { target_id?: string; chain_ok?: boolean; chain?: Chain });
    expect(rows.at(-1)?.chain).toMatchObject({ ok: false, flaws: [{ stream, revision: 1 }] });
    for (const row of rows.slice(0, -1)) expect([row.target_id, row.chain_ok]).toEqual([row.target_id, row.target_id !== target]);
    expect((await api.get(`${outdial.path}/audit/report`)).text).toContain('The record was changed');
    const offline = await admin('verify', '--outdial', outdial.id);
    expect(offline).toMatchObject({ code: 3, stdout: expect.stringContaining(`${stream} event 1`) as string });
  });

  test('an event that is gone', async () => {
    const { outdial, stream } = await some();
    await tamper(`DELETE FROM events WHERE stream = '${stream}' AND revision = 1`);
    expect((await verify(outdial)).chain.flaws).toMatchObject([{ stream, revision: 1 }]);
    expect((await admin('verify')).stdout).toContain(`${stream} event 1: it is missing`);
  });

  test('two events that were exchanged', async () => {
    const { outdial, stream } = await some();
    const swap = (column: string): string =>
      `UPDATE events AS e SET ${column} = (SELECT o.${column} FROM copy o WHERE o.revision = 3 - e.revision) WHERE stream = '${stream}' AND revision IN (1, 2)`;
    await tamper(
      `CREATE TEMP TABLE copy AS SELECT * FROM events WHERE stream = '${stream}'`,
      ...['data', 'metadata', 'type', 'id'].map(swap),
    );
    expect((await verify(outdial)).chain.flaws).toMatchObject([{ stream, revision: 1 }]);
  });

  test('a stream that was cut so cleanly that the store knows no better: by the read model, and by heads that were kept elsewhere', async () => {
    const { outdial, stream, target } = await some();
    const heads = path.join(service.dataDir, 'heads.ndjson');
    await writeFile(heads, (await admin('heads')).stdout);
    expect(await admin('verify', '--at', heads)).toMatchObject({ code: 0, stdout: expect.stringContaining('the record holds') as string });
    await service.stop();
    cutCleanly(stream);
    await service.start();
    const { consistent, differences, chain } = await verify(outdial);
    expect(consistent).toBe(false);
    expect([...differences.map(({ id }) => id), ...chain.flaws.map((flaw) => flaw.stream)].join()).toContain(target);
    expect(await admin('verify', '--at', heads)).toMatchObject({ code: 3, stdout: expect.stringContaining(`${stream} event`) as string });
  });

  test('a read model that says otherwise, though the events hold', async () => {
    const { outdial, target } = await some();
    await service.stop();
    const store = path.join(service.dataDir, 'store');
    const { readdirSync } = await import('node:fs');
    const file =
      readdirSync(store, { recursive: true })
        .map(String)
        .find((name) => name.includes('read') && name.endsWith('.db')) ?? '';
    const db = new Database(path.join(store, file));
    db.exec(`UPDATE targets SET body = replace(body, 'name ', 'NAME ') WHERE id = '${target}'`);
    db.close();
    await service.start();
    const { consistent, differences, chain } = await verify(outdial);
    expect(chain.ok).toBe(true);
    expect(consistent).toBe(false);
    expect(differences).toMatchObject([{ id: target, field: 'name' }]);
  });
});

test('the state at any time is that of the events up to it', async () => {
  const outdial = await newOutdial(api, { name: 'n0' }, AT_ONCE);
  const target = await outdial.add({ name: 'n0' });
  const targetPath = `${outdial.path}/targets/${target.id}`;
  const outdials: WireOutdial[] = [await outdial.get()];
  const targets: WireTarget[] = [target];
  for (let n = 1; n <= 6; n += 1) {
    outdials.push(bodyOf(await api.put<WireOutdial>(outdial.path, { name: `n${n}` })));
    targets.push(bodyOf(await api.put<WireTarget>(targetPath, { name: `n${n}` })));
    await outdial.report(await outdial.lease(), 'busy');
    const { result } = bodyOf(await api.get<{ result: readonly WireTarget[] }>(`${outdial.path}/targets`));
    if (result[0]) targets.push(result[0]);
    if (result[0]?.status === 'done') break;
  }
  const [first, last] = [micros(target.tm_create), micros(targets.at(-1)?.tm_update ?? '')];
  const asText = (time: number): string =>
    `${new Date(Math.floor(time / 1000)).toISOString().slice(0, 19).replace('T', ' ')}.${String(time % 1_000_000).padStart(6, '0')}`;
  const pastOf = async (): Promise<readonly WireTarget[]> => {
    const { result } = bodyOf(await api.get<{ result: readonly { tm: string }[] }>(`${targetPath}/events`));
    return Promise.all(result.map(async ({ tm }) => bodyOf(await api.get<WireTarget>(targetPath, { query: { at: tm } }))));
  };
  const before = await pastOf();
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: first, max: last }), async (time) => {
      const state = bodyOf(await api.get<WireTarget>(targetPath, { query: { at: asText(time) } }));
      // The newest known state that is not younger than that time.
      expect(before.filter(({ tm_update }) => micros(tm_update) <= time).at(-1)).toEqual(state);
    }),
    { numRuns: 40 },
  );
  for (const known of targets) expect(before).toContainEqual(known);
  for (const known of outdials)
    expect(
      bodyOf(await api.get(outdial.path, { query: { at: known.tm_update.startsWith('9999') ? known.tm_create : known.tm_update } })),
    ).toEqual(known);
  // A rebuild changes no answer.
  await promisify(execFile)(
    process.execPath,
    [path.join(__dirname, '../../dist/apps/worker/src/admin.js'), 'projections', 'rebuild', '--promote'],
    {
      env: { PATH: process.env.PATH, DATA_DIR: service.dataDir },
    },
  );
  expect(await pastOf()).toEqual(before);
});
