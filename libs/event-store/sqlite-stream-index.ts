import { hash } from 'node:crypto';
import type Database from 'better-sqlite3';
import { StreamDamaged } from './event-store';

/**
 * Where each stream ends: name → position of its newest event.
 *
 * Stream names are random (they carry keyed hashes), so in a B-tree of them each new stream writes a page of its own: that was most of
 * the cost of a large import. The index is therefore kept in two parts, as log-structured stores do it. `fresh` is what changed lately,
 * one row a transaction; each connection holds it as a map. `streams` is sorted by key; full maps are merged into it in the order of their
 * keys, a little in each transaction, so that a page is written once for many streams and no append waits for a whole merge.
 * Both parts are written in the transaction of the events themselves: there is nothing to repair after a crash.
 */

/** The newest event of a stream. */
export interface StreamTail {
  readonly stream: string;
  readonly position: number;
  readonly revision: number;
  readonly hash: string;
}

type KeyOf = (stream: string) => number;

const KEYS = 2 ** 52;

/** A stream whose key is taken by another name uses the next free key. */
const nextKey = (key: number): number => (key + 1) % KEYS;

/** 52 bits of the name's SHA-256. Streams are found in the file by it: it never changes. */
function streamKey(stream: string): number {
  return Number.parseInt(hash('sha256', stream).slice(0, 13), 16);
}

/** Events of `fresh` up to this position are in `streams`. */
const SETTLED = 'settled';

class Tables {
  readonly #headOfKey: Database.Statement;
  readonly #tailAt: Database.Statement;
  readonly #streamAt: Database.Statement;
  readonly #freshAfter: Database.Statement;
  readonly #settled: Database.Statement;

  constructor(db: Database.Database) {
    this.#headOfKey = db.prepare('SELECT head FROM streams WHERE key = ?').pluck();
    this.#tailAt = db.prepare('SELECT stream, revision, hash FROM events WHERE position = ?').raw();
    this.#streamAt = db.prepare('SELECT stream FROM events WHERE position = ?').pluck();
    this.#freshAfter = db.prepare('SELECT entries FROM fresh WHERE position > ? ORDER BY position').pluck();
    this.#settled = db.prepare('SELECT value FROM meta WHERE key = ?').pluck();
  }

  headOfKey(key: number): number | undefined {
    return this.#headOfKey.get(key) as number | undefined;
  }

  /** `asked` is the stream that is looked for: the one to name when no event stands where it should end. */
  tailAt(position: number, asked: string): StreamTail {
    const row = this.#tailAt.get(position) as [stream: string, revision: number, hash: string] | undefined;
    if (row === undefined) throw new StreamDamaged(asked);
    return { stream: row[0], position, revision: row[1], hash: row[2] };
  }

  streamAt(position: number): string | undefined {
    return this.#streamAt.get(position) as string | undefined;
  }

  /** Adds what changed after a position; answers the last position it now holds. */
  loadFresh(after: number, into: Map<number, StreamTail | number>): number {
    let last = after;
    for (const entries of this.#freshAfter.all(after) as Buffer[]) {
      // Copied: a Float64Array must begin at a multiple of eight.
      const flat = new Float64Array(new Uint8Array(entries).buffer);
      for (let at = 0; at + 1 < flat.length; at += 2) {
        last = flat[at + 1] ?? last;
        into.set(flat[at] ?? 0, last);
      }
    }
    return last;
  }

  settled(): number {
    return Number(this.#settled.get(SETTLED) ?? 0);
  }
}

/** Keys of one full map, on their way into `streams`. */
interface Merge {
  readonly tails: ReadonlyMap<number, StreamTail | number>;
  readonly keys: Float64Array;
  readonly upTo: number;
  next: number;
}

export interface StreamIndexOptions {
  /** Streams in the map of fresh ones before it is merged; memory (up to 300 bytes each, twice) and start-up time grow with it. */
  readonly freshLimit?: number;
  /** Replaces streamKey, so that tests can make names collide. */
  readonly keyOf?: KeyOf;
}

/** The writer's view; `set` and `save` are called within its transaction, `reload` after one was rolled back. */
export class WriterStreamIndex {
  readonly #tables: Tables;
  readonly #limit: number;
  readonly #keyOf: KeyOf;
  readonly #insertFresh: Database.Statement;
  readonly #deleteFresh: Database.Statement;
  readonly #putHead: Database.Statement;
  readonly #putSettled: Database.Statement;
  /** A number is the position of an event that is read when it is needed. */
  #fresh = new Map<number, StreamTail | number>();
  /** Key and position of each stream that this transaction changed, one after the other. */
  #changed: number[] = [];
  #merge: Merge | null = null;

  constructor(db: Database.Database, { freshLimit = 32_768, keyOf = streamKey }: StreamIndexOptions) {
    this.#tables = new Tables(db);
    this.#limit = freshLimit;
    this.#keyOf = keyOf;
    this.#insertFresh = db.prepare('INSERT INTO fresh (position, entries) VALUES (?, ?)');
    this.#deleteFresh = db.prepare('DELETE FROM fresh WHERE position <= ?');
    this.#putHead = db.prepare('INSERT OR REPLACE INTO streams (key, head) VALUES (?, ?)');
    this.#putSettled = db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    this.reload();
  }

  /** The stream's tail and key; without a tail the key is the one that a new stream of this name takes. */
  find(stream: string): { readonly key: number; readonly tail: StreamTail | null } {
    for (let key = this.#keyOf(stream); ; key = nextKey(key)) {
      const known = this.#fresh.get(key) ?? this.#merge?.tails.get(key) ?? this.#tables.headOfKey(key);
      if (known === undefined) return { key, tail: null };
      const tail = typeof known === 'number' ? this.#tables.tailAt(known, stream) : known;
      if (tail.stream === stream) return { key, tail };
    }
  }

  set(key: number, tail: StreamTail): void {
    this.#changed.push(key, tail.position);
    // An import makes streams that nobody touches for a while: their tails would only fill the map and be carried about by the collector.
    this.#fresh.set(key, tail.revision === 0 ? tail.position : tail);
  }

  /**
   * Ends a transaction that brought the log to `position`: stores what it changed, and merges a share of a full map. The share is four keys
   * for each change, so that a merge ends long before the next map is full.
   */
  save(position: number): void {
    const changes = this.#changed.length / 2;
    if (changes === 0) return;
    this.#insertFresh.run(position, Buffer.from(Float64Array.from(this.#changed).buffer));
    this.#changed = [];
    if (this.#merge === null && this.#fresh.size >= this.#limit) {
      this.#merge = { tails: this.#fresh, keys: Float64Array.from(this.#fresh.keys()).sort(), upTo: position, next: 0 };
      this.#fresh = new Map();
    }
    if (this.#merge !== null) this.#mergeKeys(this.#merge, 4 * changes);
  }

  /** Forgets what was not committed. */
  reload(): void {
    this.#merge = null;
    this.#changed = [];
    this.#fresh = new Map();
    this.#tables.loadFresh(0, this.#fresh);
  }

  #mergeKeys(merge: Merge, count: number): void {
    const end = Math.min(merge.keys.length, merge.next + count);
    for (; merge.next < end; merge.next += 1) {
      const key = merge.keys[merge.next] ?? 0;
      const tail = merge.tails.get(key);
      if (tail !== undefined) this.#putHead.run(key, typeof tail === 'number' ? tail : tail.position);
    }
    if (merge.next < merge.keys.length) return;
    this.#deleteFresh.run(merge.upTo);
    this.#putSettled.run(SETTLED, String(merge.upTo));
    this.#merge = null;
  }
}

/** A reader's view. Called within a read transaction, so that both parts of the index are of one moment. */
export class ReaderStreamIndex {
  readonly #tables: Tables;
  readonly #keyOf: KeyOf;
  #fresh = new Map<number, StreamTail | number>();
  #seen = 0;
  #settled = 0;

  constructor(db: Database.Database, { keyOf = streamKey }: StreamIndexOptions) {
    this.#tables = new Tables(db);
    this.#keyOf = keyOf;
  }

  find(stream: string): StreamTail | null {
    this.#catchUp();
    for (let key = this.#keyOf(stream); ; key = nextKey(key)) {
      const head = this.#fresh.get(key) ?? this.#tables.headOfKey(key);
      if (head === undefined) return null;
      const tail = typeof head === 'number' ? this.#tables.tailAt(head, stream) : head;
      if (tail.stream === stream) return tail;
    }
  }

  /**
   * Whether a stream ends at the position of an event that is known to be its own: many are asked about in one transaction. A yes
   * costs no look-up of an event.
   */
  ends(): (stream: string, position: number) => boolean {
    this.#catchUp();
    return (stream, position) => {
      for (let key = this.#keyOf(stream); ; key = nextKey(key)) {
        const known = this.#fresh.get(key) ?? this.#tables.headOfKey(key);
        if (known === undefined) return false;
        const head = typeof known === 'number' ? known : known.position;
        if (head === position) return true;
        // Another stream of the same key? Else it is this one, which has gone on, or was cut.
        const owner = this.#tables.streamAt(head);
        if (owner === undefined || owner === stream) return false;
      }
    };
  }

  #catchUp(): void {
    const settled = this.#tables.settled();
    if (settled !== this.#settled) {
      // What was merged is found in `streams` from now on; what was merged before it was seen here may have made the map wrong.
      this.#fresh = new Map();
      this.#seen = settled;
      this.#settled = settled;
    }
    this.#seen = this.#tables.loadFresh(this.#seen, this.#fresh);
  }
}
