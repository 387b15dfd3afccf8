/** Read models built by several threads are those of one, whatever was done to the log, and whatever becomes of the threads. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import threads from 'node:worker_threads';
import type { Worker, WorkerOptions } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { decideTarget, decodeEvent, DEFAULT_POLICY, encodeEvent, evolveTarget, streamOf } from '#dialing';
import type { Target, TargetCommand } from '#dialing';
import { EMPTY_STREAM, openLogReader, openSqliteEventStore } from '#event-store';
import type { LogReader, LogSource, SqliteEventStore } from '#event-store';
import { openSqliteGenerations, READ_MODELS, startProjector } from '#read-models';
import type { Helper, ProjectorProgress } from '#read-models';
import { pause } from '../support/api';

/** The built module: only that can start its threads. */
const { buildThreads } = jest.requireActual<{ buildThreads: (source: LogSource, threads: number) => readonly Helper[] }>(
  path.join(__dirname, '../../dist/apps/gateway/src/engine/build-threads'),
);

const CUSTOMER = '6b7c9a52-0000-4000-8000-000000000002';
const CONTEXT = { customerId: CUSTOMER, actor: CUSTOMER, correlationId: CUSTOMER, causationId: CUSTOMER };
/** Many times what is taken, or sent, at once by a thread. */
const TARGETS = 3000;
const OUTDIALS = 3;
const NOW = 1_795_656_878_589_335;
const uuid = (kind: number, n: number): string => `0000000${kind}-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const streamAt = (n: number): string => streamOf.target(uuid(1, n % OUTDIALS), uuid(3, n));
const IN_ORDER = 'could not build stream by stream: building in the order of the log';
const FOLDED_ANEW = 'an event is not the next one of its document: its stream is folded anew';

let directory: string;
let store: SqliteEventStore;
let dial: (round: number) => Promise<void>;
/** Threads that were started, and how many of them have ended. */
let started: Worker[];
let ended: number;
let onStarted: (worker: Worker) => void;

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'outdial-build-'));
  store = await openSqliteEventStore({ directory, threads: false });
  dial = await aList();
  await dial(1);
  await dial(2);
  started = [];
  ended = 0;
  onStarted = () => undefined;
  const { Worker: Real } = threads;
  jest.spyOn(threads, 'Worker').mockImplementation(function (file: string | URL, options?: WorkerOptions) {
    const worker = new Real(file, options);
    worker.once('exit', () => (ended += 1));
    started.push(worker);
    onStarted(worker);
    return worker;
  });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

/** Added, and then dialed round by round: what is of one target lies apart in the log. */
async function aList(): Promise<typeof dial> {
  const targets = Array.from({ length: TARGETS }, (_, n) => ({ n, state: null as Target | null, head: EMPTY_STREAM }));
  let serial = 0;
  const put = async (command: (n: number) => TargetCommand): Promise<void> => {
    const made = targets.map(({ n, state }) => decideTarget(command(n), state));
    const requests = targets.map(({ n, head }, at) => ({
      stream: streamAt(n),
      expected: head,
      events: (made[at] ?? []).map((event) => ({ id: uuid(2, (serial += 1)), ...encodeEvent(event, CONTEXT) })),
    }));
    const results = await store.append(requests, 'import');
    for (const [at, target] of targets.entries()) {
      const result = results[at];
      if (result?.ok !== true) throw new Error('not appended');
      target.head = result.head;
      for (const event of made[at] ?? []) target.state = evolveTarget(target.state, event);
    }
  };
  const address = { type: 'tel', target: '+15552001137', target_name: '', name: 'ümläut "quoted" 電話', detail: '' } as const;
  const target = (n: number) =>
    ({
      name: n % 5 === 0 ? 'Zoë' : 'John',
      detail: '',
      data: '',
      priority: n % 3,
      externalId: n % 2 === 0 ? null : `row ${n}`,
      destinations: [address, null, n % 7 === 0 ? address : null, null, null],
      limits: { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] },
    }) as const;
  await put((n) => ({
    type: 'AddTarget',
    now: NOW,
    outdialId: uuid(1, n % OUTDIALS),
    targetId: uuid(3, n),
    customerId: CUSTOMER,
    target: target(n),
    readd: false,
  }));
  return async (round) => {
    const now = NOW + round * 60_000_000;
    const attemptId = (n: number): string => uuid(4, round * TARGETS + n);
    const policy = { ...DEFAULT_POLICY, tryInterval: 0 };
    await put((n) => ({ type: 'RecordDialAttempt', now: now + n, attemptId: attemptId(n), dialer: 'd', leaseMillis: 90_000, policy }));
    await put((n) => ({
      type: 'RecordOutcome',
      now: now + 2 * n,
      attemptId: attemptId(n),
      outcome: 'busy',
      disposition: null,
      note: null,
      tmEnd: null,
    }));
  };
}

function tamper(...statements: readonly string[]): void {
  const db = new Database(path.join(directory, 'events.db'));
  for (const statement of statements) db.exec(statement);
  db.close();
}
const at = (n: number, revision: number): string => `stream = '${streamAt(n)}' AND revision = ${revision}`;

interface Built {
  readonly progress: ProjectorProgress;
  readonly warnings: readonly string[];
  /** Every row of every table, without the numbers of rows: documents come in no order. */
  readonly rows: readonly unknown[];
}

/** Takes its time over each batch, so that nearly all of them fall to others. */
function slowly(log: LogReader): LogReader {
  return {
    ...log,
    async *readStreams(...of) {
      for await (const batch of log.readStreams?.(...of) ?? []) {
        await pause(5);
        yield batch;
      }
    },
  };
}

/** Builds the read models anew, until `until` if that is given, and reads the file they are in. */
async function build(
  of: number,
  { slow = false, until }: { readonly slow?: boolean; readonly until?: Promise<void> } = {},
): Promise<Built> {
  const models = mkdtempSync(path.join(tmpdir(), 'outdial-built-'));
  const reader = await openLogReader({ kind: 'sqlite', directory });
  const log = slow ? slowly(reader) : reader;
  const warnings: string[] = [];
  let told: (progress: ProjectorProgress) => void = () => undefined;
  const over = new Promise<ProjectorProgress>((resolve) => (told = resolve));
  const projector = startProjector({
    log,
    generations: openSqliteGenerations({ directory: models, projections: READ_MODELS }),
    projections: READ_MODELS,
    decode: decodeEvent,
    helpers: buildThreads({ kind: 'sqlite', directory }, of),
    limits: { helpedEvents: 0, finishedDocuments: 500 },
    onProgress: (now) => {
      if (now.caughtUp || now.stopped !== undefined) told(now);
    },
    logger: { info: () => undefined, warn: (_, message) => void warnings.push(message), error: () => undefined },
  });
  const cut = until?.then((): ProjectorProgress => ({ position: '', generation: null, caughtUp: false }));
  const progress = await (cut === undefined ? over : Promise.race([over, cut]));
  await projector.stop();
  await log.close();
  const db = new Database(path.join(models, 'read-g1.db'), { readonly: true });
  const tables = db.prepare(`SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`).pluck().all() as string[];
  const rows = tables.map((table) =>
    (db.prepare(`SELECT * FROM "${table}"`).all() as { row?: number }[]).map(({ row: _, ...values }) => JSON.stringify(values)).sort(),
  );
  db.close();
  rmSync(models, { recursive: true });
  expect(ended).toBe(started.length);
  return { progress, warnings, rows };
}

/** What one thread builds of the log as it is, without helpers. */
async function expectBuiltAsByOne(threadCounts: readonly number[], warnings: readonly string[] = []): Promise<void> {
  const before = started.length;
  const one = await build(1);
  expect(started).toHaveLength(before);
  expect(one.warnings).toEqual(warnings);
  for (const of of threadCounts) {
    started = [];
    ended = 0;
    expect(await build(of)).toEqual(one);
    expect(started).toHaveLength(of - 1);
  }
}

test('of a log that holds', async () => {
  await expectBuiltAsByOne([2, 3]);
  const { rows, progress } = await build(2);
  expect(progress).toMatchObject({ caughtUp: true, position: await store.head(), quarantined: 0 });
  expect(rows.flat().length).toBeGreaterThan(TARGETS);
});

test('of one with events that cannot be decoded, each target in an outdial of its own', async () => {
  tamper(...[0, 1, 2].map((n) => `UPDATE events SET data = 'x' WHERE ${at(600 + n, 2)}`));
  const { progress } = await build(2);
  // Three targets, and the progress of their outdials.
  expect(progress.quarantined).toBe(6);
  const targetsOf = ({ rows }: Built): readonly unknown[] =>
    rows.map((of) => (of as string[]).filter((row) => !row.includes('"statuses"')));
  expect(targetsOf(await build(3))).toEqual(targetsOf(await build(1)));
});

test.each([
  ['a stream of two beginnings', `UPDATE events SET previous = 0 WHERE ${at(7, 3)}`, [FOLDED_ANEW, FOLDED_ANEW, IN_ORDER]],
  ['a stream without its end', `DELETE FROM events WHERE ${at(311, 4)}`, [IN_ORDER]],
])('of one with %s', async (_, damage, warnings) => {
  tamper(damage);
  await expectBuiltAsByOne([2, 3], warnings);
});

test('of one that goes on meanwhile', async () => {
  onStarted = (worker) => worker.once('message', () => void (more ??= dial(3)));
  let more: Promise<void> | undefined;
  const { progress } = await build(3, { slow: true });
  expect(progress.caughtUp).toBe(true);
  expect(more).toBeDefined();
  await more;
  await expectBuiltAsByOne([2]);
});

test('an event of a newer release that another thread meets stops them all', async () => {
  tamper(`UPDATE events SET type = 'TargetTeleported' WHERE ${at(TARGETS - 1, 4)}`);
  const { progress, warnings } = await build(3, { slow: true });
  expect(progress.stopped).toContain('The event TargetTeleported at 00000000000');
  // Nothing was built a second time to find that out.
  expect(warnings).toEqual([]);
});

test.each([
  ['at once', (worker: Worker) => void worker.terminate()],
  ['when it has folded some', (worker: Worker) => worker.once('message', () => void worker.terminate())],
  ['by an error of its own', (worker: Worker) => worker.once('message', () => worker.emit('error', new Error('out of memory')))],
])('a thread that dies %s is told of; the others end, and the log is built in its own order', async (_, kill) => {
  const one = await build(1);
  onStarted = (worker) => {
    onStarted = () => undefined;
    kill(worker);
  };
  expect(await build(3, { slow: true })).toEqual({ ...one, warnings: [IN_ORDER] });
  expect(started).toHaveLength(2);
});

test('they end with a projector that is stopped', async () => {
  const begun = new Promise<void>((resolve) => (onStarted = () => resolve()));
  const { warnings } = await build(3, { slow: true, until: begun });
  expect(started).toHaveLength(2);
  expect(warnings).toEqual([]);
});
