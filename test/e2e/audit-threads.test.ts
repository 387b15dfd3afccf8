/** The report of several threads is that of one, byte for byte, whatever was done to the record. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { decideTarget, DEFAULT_POLICY, encodeEvent, evolveTarget, streamOf } from '#dialing';
import type { Target, TargetCommand } from '#dialing';
import { EMPTY_STREAM, openSqliteEventStore, StoreUnavailable } from '#event-store';
import type { SqliteEventStore } from '#event-store';
import type { Audits } from '../../apps/gateway/src/audit/audits';
import type { AuditTask } from '../../apps/gateway/src/audit/audit-text';

/** The built module: only that can start its threads. */
const { auditThreads } = jest.requireActual<{
  auditThreads: (
    where: { source: { kind: 'sqlite'; directory: string }; models: { kind: 'sqlite'; directory: string } },
    threads?: number,
  ) => Audits;
}>(path.join(__dirname, '../../dist/apps/gateway/src/audit/audits'));

const OUTDIAL = '6b7c9a52-0000-4000-8000-000000000001';
const CUSTOMER = '6b7c9a52-0000-4000-8000-000000000002';
const CONTEXT = { customerId: CUSTOMER, actor: CUSTOMER, correlationId: CUSTOMER, causationId: CUSTOMER };
/** Many times what is read at once, or taken at once by a thread. */
const TARGETS = 400;
const START_OF_TIME = 1_795_656_878_589_335;
const uuid = (kind: number, n: number): string => `0000000${kind}-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const streamAt = (n: number): string => streamOf.target(OUTDIAL, uuid(3, n));

let directory: string;
let upTo: string;
const where = (): Parameters<typeof auditThreads>[0] => ({ source: { kind: 'sqlite', directory }, models: { kind: 'sqlite', directory } });

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'outdial-audit-'));
  const store = await openSqliteEventStore({ directory, threads: false });
  await dialAList(store);
  upTo = await store.head();
  await store.close();
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Each target is added, then dialed up to three times, round by round: what is of one target lies apart in the log. */
async function dialAList(store: SqliteEventStore): Promise<void> {
  const targets = Array.from({ length: TARGETS }, (_, n) => ({ n, state: null as Target | null, head: EMPTY_STREAM }));
  let serial = 0;
  const put = async (command: (n: number) => TargetCommand, of: typeof targets): Promise<void> => {
    const made = of.map(({ n, state }) => decideTarget(command(n), state));
    const requests = of.map(({ n, head }, at) => ({
      stream: streamAt(n),
      expected: head,
      events: (made[at] ?? []).map((event) => ({ id: uuid(2, (serial += 1)), ...encodeEvent(event, CONTEXT) })),
    }));
    const results = await store.append(requests, 'import');
    for (const [at, target] of of.entries()) {
      const result = results[at];
      if (result?.ok !== true) throw new Error('not appended');
      target.head = result.head;
      for (const event of made[at] ?? []) target.state = evolveTarget(target.state, event);
    }
  };
  const address = { type: 'tel', target: '+15552001137', target_name: '', name: 'ümläut "quoted"', detail: '' } as const;
  const target = {
    name: 'Zoë',
    detail: '',
    data: '',
    priority: 0,
    externalId: null,
    destinations: [address, null, null, null, null],
    limits: { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] },
  } as const;
  const now = START_OF_TIME;
  await put(
    (n) => ({ type: 'AddTarget', now, outdialId: OUTDIAL, targetId: uuid(3, n), customerId: CUSTOMER, target, readd: false }),
    targets,
  );
  for (let round = 1; round <= 3; round += 1) {
    const open = targets.filter(({ n }) => n % 4 >= round);
    const attemptId = (n: number): string => uuid(4, round * TARGETS + n);
    const at = now + round * 60_000_000;
    const policy = { ...DEFAULT_POLICY, tryInterval: 0 };
    await put((n) => ({ type: 'RecordDialAttempt', now: at, attemptId: attemptId(n), dialer: 'd', leaseMillis: 90_000, policy }), open);
    await put(
      (n) => ({ type: 'RecordOutcome', now: at, attemptId: attemptId(n), outcome: 'busy', disposition: null, note: null, tmEnd: null }),
      open,
    );
  }
}

function tamper(...statements: readonly string[]): void {
  const db = new Database(path.join(directory, 'events.db'));
  for (const statement of statements) db.exec(statement);
  db.close();
}

async function report(threads: number, of: Partial<AuditTask>): Promise<string> {
  const audits = auditThreads(where(), threads);
  const task = { kind: 'attempts', outdialId: OUTDIAL, from: 0, to: Number.MAX_SAFE_INTEGER, upTo, format: 'ndjson', ...of } as AuditTask;
  const parts: Uint8Array[] = [];
  for await (const part of audits.text(task)) parts.push(part);
  return Buffer.concat(parts).toString();
}

const at = (n: number, revision: number): string => `stream = '${streamAt(n)}' AND revision = ${revision}`;

describe.each(['ndjson', 'json', 'csv'] as const)('as %s', (format) => {
  test('a record that holds', async () => {
    const one = await report(1, { format });
    expect(one.match(new RegExp(uuid(4, 0).slice(0, 8), 'g'))?.length).toBeGreaterThan(TARGETS);
    for (const threads of [2, 3]) expect(await report(threads, { format })).toBe(one);
  });

  test('a part of it, and nothing of it', async () => {
    const minute = { format, from: START_OF_TIME + 120_000_000, to: START_OF_TIME + 180_000_000 };
    expect(await report(2, minute)).toBe(await report(1, minute));
    const nothing = { format, from: 0, to: 1 };
    expect(await report(2, nothing)).toBe(await report(1, nothing));
    expect(await report(2, { format, outdialId: CUSTOMER })).toBe(await report(1, { format, outdialId: CUSTOMER }));
  });

  test('one with flaws: changed, cut, unreadable, and more than are told', async () => {
    tamper(
      `UPDATE events SET data = replace(data, 'busy', 'answered') WHERE ${at(7, 2)}`,
      `UPDATE events SET data = 'x' WHERE ${at(203, 1)}`,
      `DELETE FROM events WHERE ${at(90, 0)}`,
      `DELETE FROM events WHERE ${at(311, 6)}`,
      `DELETE FROM events WHERE ${at(315, 3)}`,
    );
    const few = await report(1, { format });
    if (format !== 'csv') {
      const text = few.slice(few.lastIndexOf('"chain":') + 8).trimEnd();
      const chain = JSON.parse(text.slice(0, -1)) as {
        ok: boolean;
        flawed: number;
        flaws: readonly { stream: string; revision: number }[];
      };
      expect(chain).toMatchObject({ ok: false, flawed: 5 });
      // What no stream leads to comes last.
      expect(chain.flaws.map(({ stream, revision }) => [stream, revision])).toEqual([
        [streamAt(7), 2],
        [streamAt(203), 1],
        [streamAt(311), 6],
        [streamAt(315), 3],
        [streamAt(90), 0],
      ]);
    }
    for (const threads of [2, 3]) expect(await report(threads, { format })).toBe(few);
    tamper(`UPDATE events SET data = data || ' ' WHERE revision = 1`);
    expect(await report(2, { format })).toBe(await report(1, { format }));
  });
});

test('whoever stops reading ends the threads, and the next report has its turn', async () => {
  const audits = auditThreads(where(), 2);
  const task: AuditTask = { kind: 'attempts', outdialId: OUTDIAL, from: 0, to: Number.MAX_SAFE_INTEGER, upTo, format: 'ndjson' };
  const all = await report(1, {});
  for (let n = 0; n < 5; n += 1) {
    let read = 0;
    for await (const part of audits.text(task)) {
      read += part.length;
      break;
    }
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(Buffer.byteLength(all));
  }
});

test('what goes wrong in a thread is told', async () => {
  tamper('DROP TABLE streams');
  const told = report(2, {});
  await expect(told).rejects.toThrow(StoreUnavailable);
  await expect(told).rejects.toThrow('no such table: streams');
});
