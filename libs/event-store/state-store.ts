/**
 * The port to what is neither event nor projection: idempotency records and intents, webhook cursors, owner records, heartbeats. Never
 * touched by a rebuild, part of every back-up. Adapters: sqlite (state.db), mongodb. Rejects with StoreUnavailable.
 */
export interface StateRecord {
  readonly key: string;
  /** JSON text. */
  readonly value: string;
  /** Raised by each write of this key, from 1. */
  readonly version: number;
}

export interface StateStore {
  get(key: string): Promise<StateRecord | null>;
  /**
   * Writes when the record's version still is `expected` (0: it must not exist); durable when it resolves. `expiresAt` in milliseconds
   * since 1970, absent: never; until it is purged an expired record is still there. Answers whether it was written.
   */
  put(key: string, value: string, expected: number, expiresAt?: number): Promise<boolean>;
  delete(key: string): Promise<void>;
  /** Records whose key starts with `prefix`, by key. */
  list(prefix: string): Promise<readonly StateRecord[]>;
  /** Removes what expired before `now` (milliseconds since 1970). */
  purge(now: number): Promise<void>;
  close(): Promise<void>;
}
