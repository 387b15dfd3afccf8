import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import * as lib from './index';
import { NO_STREAM } from './event-store';
import { openSqliteEventStore } from './sqlite-event-store';
import { embeddedStoreContract } from './sqlite-event-store.contract';
import { SqliteLogWriter } from './sqlite-log';

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
