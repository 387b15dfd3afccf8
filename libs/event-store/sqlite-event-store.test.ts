import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import * as lib from './index';
import { NO_STREAM } from './event-store';
import { openSqliteEventStore } from './sqlite-event-store';
import { embeddedStoreContract } from './sqlite-event-store.contract';
import { SqliteCheckpointer, SqliteLogReader, SqliteLogWriter } from './sqlite-log';

embeddedStoreContract('sqlite, inline', lib, false);

describe('A disk that is full', () => {
  test('makes a group unavailable as a whole, and the next one is tried again', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'event-store-full-'));
    const store = await openSqliteEventStore({ directory, threads: false });
    const full = jest.spyOn(SqliteLogWriter.prototype, 'append').mockImplementationOnce(() => {
      throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
    });
    const requests = ['outdial-1', 'outdial-2'].map((stream) => ({
      stream,
      expected: { revision: NO_STREAM, hash: '' },
      events: [{ id: randomUUID(), type: 'Tried', data: '{}', metadata: '{}' }],
    }));
    const unavailable = { ok: false, error: 'StoreUnavailable' };
    expect(await store.append(requests, 'interactive')).toEqual([unavailable, unavailable]);
    expect(full).toHaveBeenCalledTimes(1);
    expect((await store.append(requests, 'interactive')).every(({ ok }) => ok)).toBe(true);
    await store.close();
    rmSync(directory, { recursive: true });
  });
});

describe('A checkpoint beside the writer', () => {
  const appendTo = (writer: SqliteLogWriter, stream: string): void => {
    const events = [{ id: randomUUID(), type: 'Tried', data: '{}', metadata: '{}' }];
    expect(writer.append([{ stream, expected: { revision: NO_STREAM, hash: '' }, events }])).toMatchObject([{ ok: true }]);
  };

  /** What the file itself holds, without the log that is written ahead of it. */
  const inFile = (directory: string): readonly string[] => {
    const copy = join(directory, 'copy');
    mkdirSync(copy, { recursive: true });
    copyFileSync(join(directory, 'events.db'), join(copy, 'events.db'));
    const reader = new SqliteLogReader(copy);
    const streams = reader.page({ group: undefined, after: '', limit: 10 }).events.map(({ stream }) => stream);
    reader.close();
    return streams;
  };

  test('puts what was appended into its place, also while the writer goes on, and a reader looks', () => {
    const directory = mkdtempSync(join(tmpdir(), 'event-store-checkpoint-'));
    const writer = new SqliteLogWriter(directory);
    const reader = new SqliteLogReader(directory);
    const checkpointer = new SqliteCheckpointer(directory);
    checkpointer.run();
    appendTo(writer, 'outdial-1');
    expect(inFile(directory)).toEqual([]);
    checkpointer.run();
    expect(inFile(directory)).toEqual(['outdial-1']);
    appendTo(writer, 'outdial-2');
    expect(reader.page({ group: undefined, after: '', limit: 10 }).events.map(({ stream }) => stream)).toEqual(['outdial-1', 'outdial-2']);
    checkpointer.run();
    expect(inFile(directory)).toEqual(['outdial-1', 'outdial-2']);
    checkpointer.close();
    reader.close();
    writer.close();
    rmSync(directory, { recursive: true });
  });
});
