import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { EMPTY_STREAM, type StreamHead } from './event-store';
import { openSqliteEventStore, openSqliteLogReader, type SqliteEventStore } from './sqlite-event-store';
import { type Flaw, wholeStreams, type WholeStream } from './whole-streams';

const GROUP = '6b7c9a52-0000-4000-8000-000000000001';
const STREAMS = [`outdial-${GROUP}`, ...['a', 'b', 'c'].map((target) => `outdialtarget-${GROUP}.${target}`)];

let directory: string;
let store: SqliteEventStore;
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'outdial-streams-'));
  store = await openSqliteEventStore({ directory, threads: false });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

let lastId = 0;
const heads = new Map<string, StreamHead>();
/** Appends one event to each of these streams, in this order. */
async function append(...streams: readonly string[]): Promise<void> {
  for (const stream of streams) {
    lastId += 1;
    const id = `00000000-0000-4000-8000-${String(lastId).padStart(12, '0')}`;
    const events = [{ id, type: 'Happened', data: `{"n":${lastId}}`, metadata: '{}' }];
    const [result] = await store.append([{ stream, expected: heads.get(stream) ?? EMPTY_STREAM, events }], 'interactive');
    if (result?.ok !== true) throw new Error('not appended');
    heads.set(stream, result.head);
  }
}
beforeEach(() => {
  heads.clear();
});

/** How streams come together: as the store brings them, or each read by itself. */
const WAYS = [['brought by the store'], ['each read by itself']] as const;
type Way = (typeof WAYS)[number][0];

async function read(
  group: string | null = GROUP,
  way: Way = 'brought by the store',
): Promise<{ streams: readonly WholeStream[]; scanned: number }> {
  const log = openSqliteLogReader(directory);
  const streams: WholeStream[] = [];
  let scanned = 0;
  const { readStreams, ...separate } = log;
  const used = way === 'each read by itself' ? separate : { ...separate, readStreams };
  for await (const batch of wholeStreams(used, group, await log.head())) {
    streams.push(...batch.streams);
    scanned += batch.scanned;
  }
  await log.close();
  return { streams, scanned };
}
const flaws = async (way: Way = 'brought by the store'): Promise<readonly Flaw[]> =>
  (await read(GROUP, way)).streams.flatMap(({ flaw }) => flaw ?? []);

/** Somebody with the file and without scruples. */
async function tamper(...statements: readonly string[]): Promise<void> {
  await store.close();
  const db = new Database(path.join(directory, 'events.db'));
  for (const statement of statements) db.exec(statement);
  db.close();
  store = await openSqliteEventStore({ directory, threads: false });
}
const [OUTDIAL = '', A = '', B = ''] = STREAMS;

describe.each(WAYS)('whole streams, %s,', (way) => {
  test('come one after the other, in the order they began, with every event', async () => {
    await append(OUTDIAL, A, B, A, OUTDIAL, B, A);
    const { streams, scanned } = await read(GROUP, way);
    expect(streams.map(({ stream }) => stream)).toEqual([OUTDIAL, A, B]);
    expect(streams.map(({ events }) => events.map(({ revision }) => revision))).toEqual([
      [0, 1],
      [0, 1, 2],
      [0, 1],
    ]);
    expect(scanned).toBe(7);
    expect(streams.map(({ flaw }) => flaw)).toEqual([null, null, null]);
  });

  test('of a group leave out other groups, and of the log none', async () => {
    await append(A, 'outdial-other', 'outplan-x', B);
    expect((await read(GROUP, way)).streams.map(({ stream }) => stream)).toEqual([A, B]);
    expect((await read(null, way)).streams).toHaveLength(4);
    expect((await read('nobody', way)).streams).toEqual([]);
  });

  test('end where the caller says, whatever came later', async () => {
    await append(A, B);
    const upTo = await store.head();
    await append(A, `outdialtarget-${GROUP}.late`);
    const seen: string[] = [];
    for await (const { streams } of wholeStreams(store, GROUP, upTo)) {
      for (const { stream, events } of streams) seen.push(`${stream} ${events.length}`);
    }
    expect(seen).toEqual([`${A} 1`, `${B} 1`]);
  });

  test('hold whatever order their events came in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...STREAMS), { maxLength: 40 }), async (order) => {
        await store.close();
        rmSync(directory, { recursive: true, force: true });
        store = await openSqliteEventStore({ directory, threads: false });
        heads.clear();
        await append(...order);
        const { streams, scanned } = await read(GROUP, way);
        expect(scanned).toBe(order.length);
        expect(streams.map(({ stream }) => stream)).toEqual([...new Set(order)]);
        for (const { stream, events, flaw } of streams) {
          expect(events).toHaveLength(order.filter((one) => one === stream).length);
          expect(flaw).toBeNull();
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe.each(WAYS)('what was done to the file is found, and the first event that does not fit is named: %s', (way) => {
  beforeEach(async () => {
    await append(OUTDIAL, A, B, A, A, B, A);
  });
  const at = (stream: string, revision: number): string => `stream = '${stream}' AND revision = ${revision}`;

  test.each(['data', 'metadata', 'type', 'id', 'hash'])('an altered %s', async (column) => {
    await tamper(`UPDATE events SET ${column} = ${column} || ' ' WHERE ${at(A, 1)}`);
    expect(await flaws(way)).toMatchObject([{ stream: A, revision: 1, reason: expect.stringContaining('hash') as string }]);
  });

  test('an event that was taken out of the middle', async () => {
    await tamper(`DELETE FROM events WHERE ${at(A, 1)}`);
    expect(await flaws(way)).toMatchObject([
      { stream: A, revision: 1, eventId: null, reason: expect.stringContaining('missing') as string },
    ]);
  });

  test('the first event of a stream', async () => {
    await tamper(`DELETE FROM events WHERE ${at(A, 0)}`);
    expect(await flaws(way)).toMatchObject([{ stream: A, revision: 0, eventId: null }]);
  });

  test('the last event of a stream, which the store still remembers', async () => {
    await tamper(`DELETE FROM events WHERE ${at(A, 3)}`);
    expect(await flaws(way)).toMatchObject([{ stream: A, revision: 3, eventId: null }]);
  });

  test('two events that were exchanged', async () => {
    await tamper(
      `UPDATE events SET revision = -1 WHERE ${at(A, 1)}`,
      `UPDATE events SET revision = 1 WHERE ${at(A, 2)}`,
      `UPDATE events SET revision = 2 WHERE ${at(A, -1)}`,
    );
    expect(await flaws(way)).toMatchObject([{ stream: A, revision: 1 }]);
  });

  test('an event that was moved to another stream', async () => {
    await tamper(`UPDATE events SET stream = '${B}' WHERE ${at(A, 2)}`);
    expect((await flaws(way)).map(({ stream }) => stream)).toContain(A);
  });

  test('an event that leads back to itself', async () => {
    await tamper(`UPDATE events SET previous = position WHERE ${at(B, 1)}`);
    // What is left is all there and in order: only the way to it was broken, and the count tells.
    const { streams } = await read(GROUP, way);
    expect(streams.find(({ stream, events }) => stream === B && events.length === 2)).toBeDefined();
  });

  test('and nothing else is', async () => {
    await tamper(`UPDATE events SET data = 'x' WHERE ${at(B, 0)}`);
    const { streams } = await read(GROUP, way);
    expect(streams.filter(({ flaw }) => flaw !== null).map(({ stream }) => stream)).toEqual([B]);
    expect(streams.map(({ events }) => events.length)).toEqual([1, 4, 2]);
  });
});
