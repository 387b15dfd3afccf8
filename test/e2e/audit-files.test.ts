/** The record: that it is found out when somebody has changed it, on the service's own files, by whoever asks in whichever way. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import type { Client, Outdial } from '../support/api';
import { aDialedList, type Chain, verify } from '../support/dialed-list';
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

/** `npm run admin -- audit …` on the service's files. */
async function admin(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  const entry = path.join(__dirname, '../../dist/apps/worker/src/admin.js');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [entry, 'audit', ...args], {
      env: { PATH: process.env.PATH, ...service.stores.variables, DATA_DIR: service.dataDir },
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

describe('what somebody does to the files is found', () => {
  const some = async (): Promise<{ outdial: Outdial; stream: string; target: string }> => {
    const { outdial, kept } = await aDialedList(api);
    const target = [...kept.values()][3]?.target ?? '';
    return { outdial, target, stream: `outdialtarget-${outdial.id}.${target}` };
  };

  test('an event that says something else', async () => {
    const { outdial, stream, target } = await some();
    await tamper(`UPDATE events SET data = replace(data, '"outdial_id"', '"outdial_id" ') WHERE stream = '${stream}' AND revision = 1`);
    const { consistent, chain } = await verify(api, outdial);
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
    expect((await verify(api, outdial)).chain.flaws).toMatchObject([{ stream, revision: 1 }]);
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
    expect((await verify(api, outdial)).chain.flaws).toMatchObject([{ stream, revision: 1 }]);
  });

  test('a stream that was cut so cleanly that the store knows no better: by the read model, and by heads that were kept elsewhere', async () => {
    const { outdial, stream, target } = await some();
    const heads = path.join(service.dataDir, 'heads.ndjson');
    await writeFile(heads, (await admin('heads')).stdout);
    expect(await admin('verify', '--at', heads)).toMatchObject({ code: 0, stdout: expect.stringContaining('the record holds') as string });
    await service.stop();
    cutCleanly(stream);
    await service.start();
    const { consistent, differences, chain } = await verify(api, outdial);
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
    // The first target of that list has a name of another kind.
    const { changes } = db
      .prepare(`UPDATE targets SET body = replace(replace(body, 'name ', 'NAME '), '=cmd', '=CMD') WHERE id = ?`)
      .run(target);
    expect(changes).toBe(1);
    db.close();
    await service.start();
    const { consistent, differences, chain } = await verify(api, outdial);
    expect(chain.ok).toBe(true);
    expect(consistent).toBe(false);
    expect(differences).toMatchObject([{ id: target, field: 'name' }]);
  });
});
