import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as EventStoreLibrary from '#event-store';
import type { RecordedEvent, SqliteEventStore } from '#event-store';

const library = join(__dirname, '../../dist/libs/event-store');
const { openSqliteEventStore, openSqliteLogReader, verifyChain } = jest.requireActual<typeof EventStoreLibrary>(library);

/**
 * Sixteen writers, each with its own streams, that append as fast as they can and say what was acknowledged, a line each. An event's id
 * says what it is, so that whoever comes later can send the same command again.
 */
const WRITERS = `
  const { openSqliteEventStore } = require(process.argv[1]);
  const say = (line) => process.stdout.write(JSON.stringify(line) + '\\n');
  openSqliteEventStore({ directory: process.argv[2] }).then((store) => {
    for (let writer = 0; writer < 16; writer += 1) void (async () => {
      const lane = writer % 2 === 0 ? 'interactive' : 'import';
      for (let n = 0; ; n += 1) {
        const streams = Array.from({ length: 1 + n % 40 }, (_, k) => 'outdialtarget-' + writer + '.' + (n * 7 + k) % 300);
        const headOf = async (stream) => (await store.readStream(stream)).at(-1) ?? { revision: -1, hash: '' };
        const heads = await Promise.all(streams.map(headOf));
        const requests = streams.map((stream, k) => ({ stream, expected: heads[k], events: [0, 1].slice(0, 1 + n % 2).map((_, i) => {
          const id = stream + '@' + (heads[k].revision + 1 + i);
          return { id, type: 'Tried', data: JSON.stringify({ id, text: 'x'.repeat(n % 500) }), metadata: '{}' };
        }) }));
        const results = await store.append(requests, lane);
        results.forEach((result, k) => result.ok && say({ stream: streams[k], ...result.head, position: result.position }));
        if (n % 5 === 0 && await store.state.put('writer-' + writer + '-' + heads[0].revision + '-' + n, String(n), 0)) {
          say({ key: 'writer-' + writer + '-' + heads[0].revision + '-' + n, value: String(n) });
        }
      }
    })();
  });
`;

interface Appended {
  readonly stream: string;
  readonly revision: number;
  readonly hash: string;
  readonly position: string;
}
interface Kept {
  readonly key: string;
  readonly value: string;
}

/** Lets the writers run until a moment that they cannot know, kills them, and answers what had been acknowledged. */
async function runAndKill(directory: string): Promise<{ readonly appended: readonly Appended[]; readonly kept: readonly Kept[] }> {
  const child = spawn(process.execPath, ['-e', WRITERS, library, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const appended: Appended[] = [];
  const kept: Kept[] = [];
  const lines = createInterface({ input: child.stdout });
  const started = once(lines, 'line');
  lines.on('line', (line) => {
    // The last line may have been cut off by the kill: then nobody was told.
    if (!line.endsWith('}')) return;
    const said = JSON.parse(line) as Appended | Kept;
    if ('stream' in said) appended.push(said);
    else kept.push(said);
  });
  const ended = Promise.all([once(child, 'exit'), once(lines, 'close')]);
  await started;
  await sleep(Math.random() * 300);
  child.kill('SIGKILL');
  await ended;
  return { appended, kept };
}

async function readEverything(store: Pick<SqliteEventStore, 'readAll'>): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const batch of store.readAll({ after: '' })) events.push(...batch.events);
  return events;
}

describe('A process that is killed while it appends', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'event-store-crash-'))));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('loses nothing that it has acknowledged, however often it happens, and leaves chains that verify', async () => {
    const promised = new Map<string, Appended>();
    for (let crash = 0; crash < 5; crash += 1) {
      const { appended, kept } = await runAndKill(directory);
      for (const one of appended) promised.set(`${one.stream}@${one.revision}`, one);

      // Whoever only reads finds the same as the service that is started again.
      const reader = openSqliteLogReader(directory);
      const left = await readEverything(reader);
      await reader.close();
      const store = await openSqliteEventStore({ directory });
      const events = await readEverything(store);
      expect(left).toEqual(events);
      expect(verifyChain(events)).toBeNull();
      // No gap in the log either, and nothing half-written: positions are counted.
      expect(events.map(({ position }) => Number(position))).toEqual(events.map((_, index) => index + 1));

      const found = new Map(events.map((event) => [`${event.stream}@${event.revision}`, event]));
      const lost = [...promised].filter(([key, { hash, position }]) => {
        const event = found.get(key);
        return event?.hash !== hash || event.position !== position;
      });
      expect(lost).toEqual([]);
      for (const { key, value } of kept) expect((await store.state.get(key))?.value).toBe(value);
      for (const { stream } of appended.slice(-20)) {
        expect(await store.readStream(stream)).toEqual(events.filter((event) => event.stream === stream));
      }
      await store.close();
    }
    expect(promised.size).toBeGreaterThan(0);
  });

  test('can be asked again for what it did not acknowledge: that is appended once, whether it had been or not', async () => {
    const { appended } = await runAndKill(directory);
    const store = await openSqliteEventStore({ directory });
    for (const { stream, revision, hash } of appended.slice(-20)) {
      const next = { id: `${stream}@${revision + 1}`, type: 'Tried', data: '{}', metadata: '{}' };
      const request = { stream, expected: { revision, hash }, events: [next] };
      const first = await store.append([request], 'interactive');
      const second = await store.append([request], 'interactive');
      expect(first).toMatchObject([{ ok: true, head: { revision: revision + 1 } }]);
      expect(second).toEqual([{ ...first[0], repeated: true }]);
    }
    const events = await readEverything(store);
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    await store.close();
  });
});
