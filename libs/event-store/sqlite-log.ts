import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { linkHash } from './chain';
import {
  type AppendRequest,
  type AppendResult,
  type EventBatch,
  groupOf,
  NO_STREAM,
  type NewEvent,
  type Position,
  type RecordedEvent,
  START,
  StreamDamaged,
} from './event-store';
import type { LinksPage } from './sqlite-whole-streams';
import { ReaderStreamIndex, type StreamIndexOptions, type StreamTail, WriterStreamIndex } from './sqlite-stream-index';

/**
 * The embedded log: events.db. One connection writes (SqliteLogWriter), any number read (SqliteLogReader), all of them synchronous;
 * threads, queues and promises are built on top. docs/adr/0003-sqlite-log-layout.md says why the tables are as they are.
 */
const SCHEMA_VERSION = '1';

const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  -- previous: position of the stream's previous event, 0 for none; a stream is read by walking back, without a second index.
  -- stream: the whole name in each row; reading in order needs no join, and costs only sequential bytes.
  CREATE TABLE events (
    position INTEGER PRIMARY KEY, grp INTEGER NOT NULL, previous INTEGER NOT NULL, revision INTEGER NOT NULL, stream TEXT NOT NULL,
    id TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, metadata TEXT NOT NULL, hash TEXT NOT NULL
  );
  -- Ends with the rowid: within a group, in the order of the log.
  CREATE INDEX events_by_group ON events (grp);
  -- Where each stream ends: see sqlite-stream-index.ts.
  CREATE TABLE streams (key INTEGER PRIMARY KEY, head INTEGER NOT NULL);
  CREATE TABLE fresh (position INTEGER PRIMARY KEY, entries BLOB NOT NULL);
`;

const GROUPS_CACHED = 10_000;

const EVENT_COLUMNS = 'position, stream, revision, id, type, data, metadata, hash';
type EventRow = [
  position: number,
  stream: string,
  revision: number,
  id: string,
  type: string,
  data: string,
  metadata: string,
  hash: string,
];

/** Zero-padded, so that positions sort as strings; 16 digits hold every safe integer. */
function formatPosition(position: number): Position {
  return position === 0 ? START : String(position).padStart(16, '0');
}

/** Throws a RangeError for what is no position of an embedded log. */
export function parsePosition(position: Position): number {
  if (position === START) return 0;
  if (!/^\d{16}$/.test(position)) throw new RangeError(`Not a position of this log: ${JSON.stringify(position)}`);
  return Number(position);
}

function eventsFile(directory: string): string {
  return join(directory, 'events.db');
}

function createSchema(db: Database.Database): void {
  const tables = db.prepare("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").pluck().get();
  if (tables === 0) {
    db.exec(SCHEMA);
    db.prepare("INSERT INTO meta (key, value) VALUES ('schema', ?), ('log_id', ?)").run(SCHEMA_VERSION, randomUUID());
  }
  const version = readMeta(db, 'schema');
  if (version !== SCHEMA_VERSION) {
    throw new Error(`events.db has schema ${version}, this release reads ${SCHEMA_VERSION}: run the release that wrote it, or a newer one`);
  }
}

function readMeta(db: Database.Database, key: string): string {
  const value = db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(key);
  if (typeof value !== 'string') throw new Error(`events.db is damaged: ${key} is missing from its meta table`);
  return value;
}

function readHead(db: Database.Database): number {
  return (db.prepare('SELECT max(position) FROM events').pluck().get() as number | null) ?? 0;
}

/** Brings the write-ahead log back into the file first: connections that only read cannot, and one of them may be the last to close. */
export function closeWriting(db: Database.Database): void {
  try {
    db.pragma('wal_checkpoint(TRUNCATE)');
  } catch {
    // A full or failing disk: nothing is lost, the next start takes up what the WAL holds.
  } finally {
    db.close();
  }
}

/** The one writer of events.db. Creates the file when there is none. */
export class SqliteLogWriter {
  readonly logId: string;
  readonly #db: Database.Database;
  readonly #index: WriterStreamIndex;
  readonly #groups = new Map<string, number>();
  readonly #insertEvent: Database.Statement;
  readonly #findGroup: Database.Statement;
  readonly #insertGroup: Database.Statement;
  readonly #eventAt: Database.Statement;
  readonly #transaction: Database.Transaction<(requests: readonly AppendRequest[]) => AppendResult[]>;
  #head: number;

  constructor(directory: string, options: StreamIndexOptions = {}) {
    const db = new Database(eventsFile(directory));
    this.#db = db;
    // Takes effect on a new file only: fewer and fuller pages for rows of about a kilobyte.
    db.pragma('page_size = 8192');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('wal_autocheckpoint = 4000');
    db.pragma('busy_timeout = 5000');
    // The system keeps the pages of a file, too: eight times as much here changed nothing but the process's memory.
    db.pragma('cache_size = -8000');
    db.transaction(() => createSchema(db)).immediate();
    this.logId = readMeta(db, 'log_id');
    this.#insertEvent = db.prepare(`INSERT INTO events (${EVENT_COLUMNS}, grp, previous) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#findGroup = db.prepare('SELECT id FROM groups WHERE name = ?').pluck();
    this.#insertGroup = db.prepare('INSERT INTO groups (name) VALUES (?)');
    this.#eventAt = db.prepare('SELECT id, previous, revision, hash FROM events WHERE position = ?').raw();
    this.#index = new WriterStreamIndex(db, options);
    this.#head = readHead(db);
    this.#transaction = db.transaction((requests: readonly AppendRequest[]) => {
      const results = requests.map((request) => this.#judge(request));
      this.#index.save(this.#head);
      return results;
    });
  }

  /**
   * Judges the requests in their order and appends what may be appended, in one durable transaction; a conflict touches no other request.
   * Throws what SQLite throws, and then nothing of it was appended.
   */
  append(requests: readonly AppendRequest[]): readonly AppendResult[] {
    const before = this.#head;
    try {
      return this.#transaction.immediate(requests);
    } catch (error) {
      this.#head = before;
      this.#groups.clear();
      this.#index.reload();
      throw error;
    }
  }

  close(): void {
    closeWriting(this.#db);
  }

  #judge({ stream, expected, events }: AppendRequest): AppendResult {
    const { key, tail } = this.#index.find(stream);
    const current = tail?.revision ?? NO_STREAM;
    if (expected.revision !== current) {
      const earlier = tail === null ? null : this.#earlierAppend(tail, expected.revision, events);
      return earlier ?? { ok: false, error: 'RevisionConflict' };
    }
    const group = this.#groupId(groupOf(stream));
    let previous = tail?.position ?? 0;
    let revision = current;
    let hash = tail?.hash ?? '';
    let position = this.#head;
    for (const event of events) {
      position += 1;
      revision += 1;
      // The stored hash is continued, never the caller's: the chain is the log's own word.
      hash = linkHash(hash, stream, revision, event);
      this.#insertEvent.run(position, stream, revision, event.id, event.type, event.data, event.metadata, hash, group, previous);
      previous = position;
    }
    this.#head = position;
    this.#index.set(key, { stream, position, revision, hash });
    return { ok: true, head: { revision, hash }, position: formatPosition(position) };
  }

  /** The first result again, when these very events already stand right after the expected revision. */
  #earlierAppend(tail: StreamTail, expected: number, events: readonly NewEvent[]): AppendResult | null {
    const last = expected + events.length;
    let result: AppendResult | null = null;
    for (let position = tail.position; position !== 0;) {
      const [id, previous, revision, hash] = this.#eventAt.get(position) as [string, number, number, string];
      if (revision <= expected) break;
      if (revision <= last && events[revision - expected - 1]?.id !== id) return null;
      if (revision === last) result = { ok: true, head: { revision, hash }, position: formatPosition(position), repeated: true };
      position = previous;
    }
    return result;
  }

  #groupId(name: string): number {
    const cached = this.#groups.get(name);
    if (cached !== undefined) return cached;
    const id = (this.#findGroup.get(name) as number | undefined) ?? Number(this.#insertGroup.run(name).lastInsertRowid);
    if (this.#groups.size >= GROUPS_CACHED) this.#groups.clear();
    this.#groups.set(name, id);
    return id;
  }
}

/**
 * Copies pages from the write-ahead log to their place in events.db, as far as they are there when it begins; the writer goes on meanwhile. Done by the writer itself, four
 * thousand pages at a time within one commit, it made everybody wait for 30 to 60 ms. What it has not come to when the log is full is still the writer's.
 */
export class SqliteCheckpointer {
  readonly #db: Database.Database;

  constructor(directory: string) {
    this.#db = new Database(eventsFile(directory), { fileMustExist: true });
  }

  run(): void {
    try {
      this.#db.pragma('wal_checkpoint(PASSIVE)');
    } catch {
      // A full or failing disk, or the writer's own checkpoint under way: the writer meets the first, and the second is as good as this one.
    }
  }

  close(): void {
    this.#db.close();
  }
}

/** One page of the log in its order: what readGroup, readAll and subscribe are made of. */
export interface PageRequest {
  /** undefined: all groups. */
  readonly group: string | undefined;
  readonly after: Position;
  /** Absent: as far as the log goes at the time of the call. */
  readonly upTo?: Position;
  readonly limit: number;
}

/** Reads events.db over a connection of its own; each call is one consistent moment and leaves no cursor open. */
export class SqliteLogReader {
  readonly logId: string;
  readonly #db: Database.Database;
  readonly #index: ReaderStreamIndex;
  readonly #eventAt: Database.Statement;
  readonly #page: Database.Statement;
  readonly #groupPage: Database.Statement;
  readonly #links: readonly [positions: Database.Statement, previous: Database.Statement];
  readonly #groupLinks: readonly [positions: Database.Statement, previous: Database.Statement];
  readonly #eventsAt: Database.Statement;
  readonly #findGroup: Database.Statement;
  readonly #maxPosition: Database.Statement;
  readonly #findTail: Database.Transaction<(stream: string) => StreamTail | null>;
  readonly #readPage: Database.Transaction<(request: PageRequest) => EventBatch>;
  readonly #readLinks: Database.Transaction<(group: string | undefined, range: readonly number[]) => LinksPage>;
  readonly #areLast: Database.Transaction<(events: readonly Pick<RecordedEvent, 'stream' | 'position'>[]) => readonly boolean[]>;

  constructor(directory: string, options: StreamIndexOptions = {}) {
    const db = new Database(eventsFile(directory), { readonly: true, fileMustExist: true });
    this.#db = db;
    db.pragma('busy_timeout = 5000');
    this.logId = readMeta(db, 'log_id');
    this.#index = new ReaderStreamIndex(db, options);
    this.#eventAt = db.prepare(`SELECT ${EVENT_COLUMNS}, previous FROM events WHERE position = ?`).raw();
    this.#page = db.prepare(`SELECT ${EVENT_COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`).raw();
    this.#groupPage = db
      .prepare(`SELECT ${EVENT_COLUMNS} FROM events WHERE grp = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?`)
      .raw();
    // Two lists of numbers cost half of what a list of pairs does.
    const links = (what: string, of = ''): Database.Statement =>
      db.prepare(`SELECT ${what} FROM events WHERE ${of} position > ? AND position <= ? ORDER BY position LIMIT ?`).pluck();
    this.#links = [links('position'), links('previous')];
    this.#groupLinks = [links('position', 'grp = ? AND'), links('previous', 'grp = ? AND')];
    // A statement an event costs three times as much. CROSS: in the order of the list.
    this.#eventsAt = db
      .prepare(
        `SELECT ${EVENT_COLUMNS.replace(/\w+/g, 'events.$&')} FROM json_each(?) AS asked CROSS JOIN events ON events.position = asked.value`,
      )
      .raw();
    this.#findGroup = db.prepare('SELECT id FROM groups WHERE name = ?').pluck();
    this.#maxPosition = db.prepare('SELECT max(position) FROM events').pluck();
    this.#findTail = db.transaction((stream: string) => this.#index.find(stream));
    this.#readPage = db.transaction((request: PageRequest) => this.#pageOf(request));
    this.#readLinks = db.transaction((group: string | undefined, range: readonly number[]) => {
      const id = group === undefined ? undefined : this.#findGroup.get(group);
      if (group !== undefined && id === undefined) return { positions: [], previous: [] };
      const [positions, previous] = group === undefined ? this.#links : this.#groupLinks;
      const of = group === undefined ? range : [id, ...range];
      return { positions: positions.all(...of) as number[], previous: previous.all(...of) as number[] };
    });
    this.#areLast = db.transaction((events: readonly Pick<RecordedEvent, 'stream' | 'position'>[]) => {
      const endsAt = this.#index.ends();
      return events.map(({ stream, position }) => endsAt(stream, parsePosition(position)));
    });
  }

  head(): Position {
    return formatPosition(this.#headPosition());
  }

  /** Position of the stream's last event, 0 when there is none: where walkBack begins. Throws StreamDamaged. */
  tailOf(stream: string): number {
    return this.#findTail.deferred(stream)?.position ?? 0;
  }

  /** Whether the index has these events, read from the log, as the last of their streams. */
  areLast(events: readonly Pick<RecordedEvent, 'stream' | 'position'>[]): readonly boolean[] {
    return this.#areLast.deferred(events);
  }

  /** See LinkedLog, sqlite-whole-streams.ts. */
  links(group: string | undefined, after: number, upTo: number, limit: number): LinksPage {
    return this.#readLinks.deferred(group, [after, upTo, limit]);
  }

  /** In the order asked for. */
  eventsAt(positions: readonly number[]): readonly RecordedEvent[] {
    return (this.#eventsAt.all(JSON.stringify(positions)) as EventRow[]).map(toEvent);
  }

  /** Up to `limit` events of a stream, newest first, from the one at `position` back to revision `from`; `next` is 0 when they are all. Throws StreamDamaged. */
  walkBack(
    stream: string,
    position: number,
    from: number,
    limit: number,
  ): { readonly events: readonly RecordedEvent[]; readonly next: number } {
    const events: RecordedEvent[] = [];
    let next = position;
    while (next !== 0 && events.length < limit) {
      const row = this.#eventAt.get(next) as [...EventRow, previous: number] | undefined;
      if (row?.[1] !== stream || row[8] >= next) throw new StreamDamaged(stream);
      if (row[2] < from) return { events, next: 0 };
      events.push(toEvent(row));
      next = row[2] === from ? 0 : row[8];
    }
    return { events, next };
  }

  page(request: PageRequest): EventBatch {
    return this.#readPage.deferred(request);
  }

  close(): void {
    this.#db.close();
  }

  #headPosition(): number {
    return (this.#maxPosition.get() as number | null) ?? 0;
  }

  #pageOf({ group, after, upTo, limit }: PageRequest): EventBatch {
    const head = this.#headPosition();
    const last = upTo === undefined ? head : Math.min(head, parsePosition(upTo));
    const first = parsePosition(after);
    const rows = (group === undefined ? this.#page.all(first, last, limit) : this.#rowsOfGroup(group, first, last, limit)) as EventRow[];
    const lastRow = rows.at(-1);
    const position = lastRow !== undefined && rows.length === limit ? lastRow[0] : Math.max(first, last);
    return { events: rows.map(toEvent), position: formatPosition(position), caughtUp: position >= head };
  }

  #rowsOfGroup(group: string, first: number, last: number, limit: number): unknown[] {
    const id = this.#findGroup.get(group);
    return id === undefined ? [] : this.#groupPage.all(id, first, last, limit);
  }
}

function toEvent(row: readonly [...EventRow, ...unknown[]]): RecordedEvent {
  const [position, stream, revision, id, type, data, metadata, hash] = row;
  return { stream, revision, position: formatPosition(position), id, type, data, metadata, hash };
}
