import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { hasSqliteCode } from './sqlite-errors';

export interface DirectoryLock {
  readonly directory: string;
  /** Once is enough; again does nothing. */
  release(): void;
}

/** Another process (or this one, already) uses the directory. */
export class DirectoryLocked extends Error {
  readonly code = 'DirectoryLocked';

  constructor(readonly directory: string) {
    super(`${directory} is in use by another process: stop that one first, or choose another DATA_DIR`);
  }
}

/**
 * Takes a data directory for this process alone, and makes it when there is none. Throws DirectoryLocked when it is taken.
 *
 * The lock is an exclusive transaction on a database of its own, held for life: the kernel lets go of it however the process ends, so a
 * crash leaves nothing to clean up, which a file with a process id in it would.
 */
export function lockDirectory(directory: string): DirectoryLock {
  mkdirSync(directory, { recursive: true });
  const db = new Database(join(directory, 'lock.db'), { timeout: 0 });
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (hasSqliteCode(error, 'SQLITE_BUSY')) throw new DirectoryLocked(directory);
    throw error;
  }
  return { directory, release: () => void db.close() };
}
