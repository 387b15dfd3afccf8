import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/**
 * State first, then events: each copy is of one moment, and between the two moments a service goes on. So the events are a little newer than the state, which costs a webhook's
 * deliveries of that while, sent again, and answers kept for a repeated request, which is then run again to the same effect. The other way round a webhook would skip what it was
 * not told, and a request would be answered that is not in the log.
 */
const ORDER = ['state.db', 'events.db'] as const;

/**
 * Copies an embedded store's files into a directory, while a service writes to them or not; durable when it returns. The writer is not held up; the write-ahead log grows meanwhile.
 * Throws when there is no store, and when there is one at the destination.
 */
export function backUpSqliteStore(directory: string, into: string): void {
  for (const file of ORDER) if (!existsSync(join(directory, file))) throw new Error(`there is no ${file} in ${directory}`);
  mkdirSync(into, { recursive: true });
  for (const file of ORDER) {
    const db = new Database(join(directory, file), { readonly: true });
    try {
      db.pragma('busy_timeout = 5000');
      // One read transaction, however long it takes: the backup API would begin again with each write of another process.
      db.prepare('VACUUM INTO ?').run(join(into, file));
    } finally {
      db.close();
    }
    syncPath(join(into, file));
  }
  syncPath(into);
}

function syncPath(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
