import { randomUUID } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type AppendRequest, type EventStore, NO_STREAM, START } from './event-store';
import { eventStoreContract } from './event-store.contract';
import type { lockDirectory } from './directory-lock';
import type { openSqliteEventStore, openSqliteLogReader, SqliteEventStore } from './sqlite-event-store';
import { stateStoreContract } from './state-store.contract';
import type { StateStore } from './state-store';

/** The library under test: its sources, or what is built of them. */
export interface EmbeddedStoreLibrary {
  readonly openSqliteEventStore: typeof openSqliteEventStore;
  readonly openSqliteLogReader: typeof openSqliteLogReader;
  readonly lockDirectory: typeof lockDirectory;
}

/** What the embedded store promises beyond its two ports, and the ports. The same whether it runs on threads or inline. */
export function embeddedStoreContract(name: string, lib: EmbeddedStoreLibrary, threads: boolean): void {
  const folders: string[] = [];
  const newFolder = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'event-store-'));
    folders.push(folder);
    return folder;
  };
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  const open = (directory: string): Promise<SqliteEventStore> => lib.openSqliteEventStore({ directory, threads });

  eventStoreContract(name, async () => {
    const directory = newFolder();
    const store = await open(directory);
    const reopen = async (): Promise<EventStore> => {
      await store.close();
      return open(directory);
    };
    return { store, reopen };
  });

  stateStoreContract(name, async () => {
    const directory = newFolder();
    const store = await open(directory);
    const reopen = async (): Promise<StateStore> => {
      await store.close();
      return (await open(directory)).state;
    };
    return { state: store.state, reopen };
  });

  describe(`The embedded event store (${name})`, () => {
    let directory: string;
    let store: SqliteEventStore;

    beforeEach(async () => {
      directory = newFolder();
      store = await open(directory);
    });
    afterEach(() => store.close());

    test('a new log is empty: its head is the start', async () => {
      expect(await store.head()).toBe(START);
    });

    test('two directories hold two different logs', async () => {
      const other = await open(newFolder());
      expect(other.logId).not.toBe(store.logId);
      await other.close();
    });

    test('is the only possible writer, and says so', () => {
      expect(store.exclusive).toBe(true);
    });

    test('two requests on one stream in one call are judged in their order', async () => {
      const results = await store.append(
        [request('outdial-1', NO_STREAM), request('outdial-1', 0), request('outdial-1', 0)],
        'interactive',
      );
      expect(results.map(({ ok }) => ok)).toEqual([true, true, false]);
    });

    test('a position of another kind of log is refused', async () => {
      const reading = store.readAll({ after: 'C:12/P:12' })[Symbol.asyncIterator]().next();
      await expect(reading).rejects.toThrow(RangeError);
    });

    test('a request that SQLite refuses is unavailable, and those around it are appended', async () => {
      const broken = { ...request('outdial-2', NO_STREAM), events: [{ ...event(), data: [] as unknown as string }] };
      const results = await store.append([request('outdial-1', NO_STREAM), broken, request('outdial-3', NO_STREAM)], 'interactive');
      expect(results.map((result) => (result.ok ? 'appended' : result.error))).toEqual(['appended', 'StoreUnavailable', 'appended']);
      expect(await store.readStream('outdial-2')).toEqual([]);
      expect((await store.append([request('outdial-2', NO_STREAM), request('outdial-3', 0)], 'interactive')).every(({ ok }) => ok)).toBe(
        true,
      );
    });

    test('tells that something was appended once it can be read, and not for a conflict', async () => {
      const heads: Promise<string>[] = [];
      const told: SqliteEventStore = await lib.openSqliteEventStore({
        directory: newFolder(),
        threads,
        onAppended: () => heads.push(told.head()),
      });
      const [result] = await told.append([request('outdial-1', NO_STREAM)], 'interactive');
      await told.append([request('outdial-1', NO_STREAM)], 'interactive');
      expect(await Promise.all(heads)).toEqual([result?.ok === true ? result.position : undefined]);
      await told.close();
    });

    test('leaves one file of events behind when it is closed: the write-ahead log is taken into it', async () => {
      await store.append([request('outdial-1', NO_STREAM)], 'interactive');
      await store.close();
      const left = readdirSync(directory).filter((file) => file.endsWith('-wal') && statSync(join(directory, file)).size > 0);
      expect(left).toEqual([]);
    });
  });

  describe(`A damaged file (${name})`, () => {
    test('ends the store: it says so once, and everything after is unavailable', async () => {
      const directory = newFolder();
      const before = await open(directory);
      const streams = Array.from({ length: 3000 }, (_, n) => request(`outdialtarget-1.${n}`, NO_STREAM));
      await before.append(streams, 'import');
      await before.close();
      damageEvents(join(directory, 'events.db'));

      const fatal = jest.fn();
      const store = await lib.openSqliteEventStore({ directory, threads, onFatal: fatal });
      const onAll = streams.map(({ stream }) => request(stream, 0));
      const results = await store.append(onAll, 'interactive');
      expect(new Set(results.map((result) => (result.ok ? 'appended' : result.error)))).toEqual(new Set(['StoreUnavailable']));
      expect(await store.append([request('outdial-2', NO_STREAM)], 'interactive')).toEqual([{ ok: false, error: 'StoreUnavailable' }]);
      await expect(store.state.put('key', '0', 0)).rejects.toMatchObject({ code: 'StoreUnavailable' });
      expect(fatal).toHaveBeenCalledTimes(1);
      await store.close();
    });
  });

  describe(`The lock on a data directory (${name})`, () => {
    test('lets one store in and refuses a second one with a clear error', async () => {
      const directory = newFolder();
      const store = await open(directory);
      await expect(open(directory)).rejects.toMatchObject({ code: 'DirectoryLocked', directory });
      await store.close();
      const next = await open(directory);
      await next.close();
    });

    test('is let go of when the store cannot be opened', async () => {
      const directory = newFolder();
      const store = await open(directory);
      await store.close();
      const db = new Database(join(directory, 'events.db'));
      db.prepare("UPDATE meta SET value = '99' WHERE key = 'schema'").run();
      db.close();
      await expect(open(directory)).rejects.toThrow(/schema 99/);
      lib.lockDirectory(directory).release();
    });

    test('makes the directory when there is none, and may be released twice', () => {
      const lock = lib.lockDirectory(join(newFolder(), 'new', 'data'));
      lock.release();
      lock.release();
      lib.lockDirectory(lock.directory).release();
    });

    test('may be held by the caller, who keeps it when the store is closed', async () => {
      const directory = newFolder();
      const lock = lib.lockDirectory(directory);
      const store = await lib.openSqliteEventStore({ directory, threads, lock });
      await store.close();
      expect(() => lib.lockDirectory(directory)).toThrow(/in use/);
      lock.release();
    });
  });

  describe(`A second reader of the log (${name})`, () => {
    test('follows what the store appends, once it is woken', async () => {
      const directory = newFolder();
      const store = await open(directory);
      const reader = lib.openSqliteLogReader(directory);
      const stop = new AbortController();
      const batches = reader.subscribe(START, stop.signal)[Symbol.asyncIterator]();
      expect((await batches.next()).value).toMatchObject({ events: [], caughtUp: true });
      const next = batches.next();
      await store.append([request('outdial-1', NO_STREAM)], 'interactive');
      reader.wake();
      expect((await next).value).toMatchObject({ events: [{ stream: 'outdial-1', revision: 0 }] });
      expect(await reader.readStream('outdial-1')).toEqual(await store.readStream('outdial-1'));
      expect([reader.logId, await reader.head()]).toEqual([store.logId, await store.head()]);
      stop.abort();
      await reader.close();
      await store.close();
    });

    test('can read a log that nobody has open, as an administrator does while the service is stopped', async () => {
      const directory = newFolder();
      const store = await open(directory);
      await store.append([request('outdial-1', NO_STREAM)], 'interactive');
      const events = await store.readStream('outdial-1');
      await store.close();
      const reader = lib.openSqliteLogReader(directory);
      expect(await reader.readStream('outdial-1')).toEqual(events);
      await reader.close();
      const next = await open(directory);
      expect((await next.append([request('outdial-1', 0)], 'interactive')).map(({ ok }) => ok)).toEqual([true]);
      await next.close();
    });

    test('is refused where there is no log', () => {
      expect(() => lib.openSqliteLogReader(newFolder())).toThrow();
    });
  });
}

function event(): AppendRequest['events'][number] {
  return { id: randomUUID(), type: 'Tried', data: JSON.stringify({ text: 'x'.repeat(200) }), metadata: '{}' };
}

function request(stream: string, revision: number): AppendRequest {
  return { stream, expected: { revision, hash: '' }, events: [event()] };
}

/** Overwrites the pages that hold the events, but for the newest: what a broken disk does where nobody looks at once. */
function damageEvents(file: string): void {
  const db = new Database(file, { readonly: true });
  const pageSize = Number(db.pragma('page_size', { simple: true }));
  const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path").pluck().all() as number[];
  db.close();
  const descriptor = openSync(file, 'r+');
  for (const page of pages.slice(0, -1)) writeSync(descriptor, Buffer.alloc(pageSize, 0xff), 0, pageSize, (page - 1) * pageSize);
  closeSync(descriptor);
}
