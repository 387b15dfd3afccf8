import { join } from 'node:path';
import Database from 'better-sqlite3';
import { closeWriting } from './sqlite-log';
import type { StateRecord } from './state-store';

/** A write to state.db, as it travels to the one connection that makes it. */
export type StateWrite =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly expected: number; readonly expiresAt: number | null }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'purge'; readonly now: number };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS state (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL, expires_at INTEGER
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS state_by_expiry ON state (expires_at) WHERE expires_at IS NOT NULL;
`;

function stateFile(directory: string): string {
  return join(directory, 'state.db');
}

/** The one writer of state.db. Creates the file when there is none. */
export class SqliteStateWriter {
  readonly #db: Database.Database;
  readonly #insert: Database.Statement;
  readonly #update: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #purge: Database.Statement;
  readonly #transaction: Database.Transaction<(writes: readonly StateWrite[]) => boolean[]>;

  constructor(directory: string) {
    const db = new Database(stateFile(directory));
    this.#db = db;
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('busy_timeout = 5000');
    db.exec(SCHEMA);
    this.#insert = db.prepare('INSERT INTO state (value, version, expires_at, key) VALUES (?, 1, ?, ?) ON CONFLICT DO NOTHING');
    this.#update = db.prepare('UPDATE state SET value = ?, version = version + 1, expires_at = ? WHERE key = ? AND version = ?');
    this.#delete = db.prepare('DELETE FROM state WHERE key = ?');
    this.#purge = db.prepare('DELETE FROM state WHERE expires_at < ?');
    this.#transaction = db.transaction((writes: readonly StateWrite[]) => writes.map((write) => this.#write(write)));
  }

  /** In their order, in one durable transaction; for each whether it was written. Throws what SQLite throws, and then nothing was. */
  write(writes: readonly StateWrite[]): readonly boolean[] {
    return this.#transaction.immediate(writes);
  }

  close(): void {
    closeWriting(this.#db);
  }

  #write(write: StateWrite): boolean {
    switch (write.kind) {
      case 'put': {
        const { key, value, expected, expiresAt } = write;
        const { changes } = expected === 0 ? this.#insert.run(value, expiresAt, key) : this.#update.run(value, expiresAt, key, expected);
        return changes === 1;
      }
      case 'delete':
        return this.#delete.run(write.key).changes === 1;
      case 'purge':
        return this.#purge.run(write.now).changes > 0;
    }
  }
}

/** Reads state.db over a connection of its own. */
export class SqliteStateReader {
  readonly #db: Database.Database;
  readonly #get: Database.Statement;
  readonly #from: Database.Statement;

  constructor(directory: string) {
    this.#db = new Database(stateFile(directory), { readonly: true, fileMustExist: true });
    this.#db.pragma('busy_timeout = 5000');
    this.#get = this.#db.prepare('SELECT key, value, version FROM state WHERE key = ?');
    this.#from = this.#db.prepare('SELECT key, value, version FROM state WHERE key >= ? ORDER BY key');
  }

  get(key: string): StateRecord | null {
    return (this.#get.get(key) as StateRecord | undefined) ?? null;
  }

  list(prefix: string): readonly StateRecord[] {
    const records: StateRecord[] = [];
    for (const record of this.#from.iterate(prefix) as IterableIterator<StateRecord>) {
      if (!record.key.startsWith(prefix)) break;
      records.push(record);
    }
    return records;
  }

  close(): void {
    this.#db.close();
  }
}
