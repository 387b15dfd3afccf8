import { mkdirSync } from 'node:fs';
import {
  type AppendLane,
  type AppendRequest,
  type AppendResult,
  type EventBatch,
  type EventStore,
  type Position,
  type ReadRange,
  type RecordedEvent,
  type StreamsBatch,
  StoreUnavailable,
  StreamDamaged,
} from './event-store';
import { type DirectoryLock, lockDirectory } from './directory-lock';
import { type PageRequest, parsePosition, SqliteLogReader } from './sqlite-log';
import { openReaderThread, type PageSource } from './sqlite-page-source';
import { SqliteStateReader, type StateWrite } from './sqlite-state-store';
import type { Share } from './share';
import { sqliteStreams } from './sqlite-whole-streams';
import type { WriterAnswer } from './sqlite-writer';
import { openInlineWriter, openWriterThread, type WriterChannel, type WriterListener } from './sqlite-writer-channel';
import type { StateStore } from './state-store';

export interface SqliteEventStoreOptions {
  /** Made when there is none. Belongs to one process at a time. */
  readonly directory: string;
  /** false: everything in the calling thread, as tests need it that run from sources. Default true. */
  readonly threads?: boolean;
  /** A lock on the directory that the caller holds already, and keeps. Without one the store takes its own until it is closed. */
  readonly lock?: DirectoryLock;
  /** After each group with at least one append in it: wake the readers of other threads. */
  readonly onAppended?: () => void;
  /** The writer died or the file is damaged: nothing can be written any more, and the process should end. Called once. */
  readonly onFatal?: (error: Error) => void;
}

export interface SqliteEventStore extends EventStore {
  readonly exclusive: true;
  /** Belongs to the event store: they share the writer, and closing either's `close` is the event store's. */
  readonly state: StateStore;
}

/** A view of a directory's log for another thread of the process that writes it. Read-only, and inline in the calling thread. */
export interface SqliteLogView extends Pick<
  EventStore,
  'logId' | 'readStream' | 'readStreams' | 'readGroup' | 'readAll' | 'subscribe' | 'head' | 'close'
> {
  /** There may be new events. */
  wake(): void;
}

/** Pages of this many events are read in the calling thread: less than a millisecond or two. */
const INLINE_PAGE = 256;
/** Pages of a whole read: large enough that a page's own cost does not count, small enough to be held a few times over. */
const PAGE = 2000;
/** Events of one stream that are read before other work is let through. */
const STREAM_SLICE = 500;

/** Appends after which what they wrote is copied to its place: a quarter of what makes the writer do it. */
const APPENDS_A_CHECKPOINT = 1000;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Opens the embedded store: events.db and state.db in the directory. Rejects with DirectoryLocked when another process has it. */
export async function openSqliteEventStore(options: SqliteEventStoreOptions): Promise<SqliteEventStore> {
  const { directory, threads = true } = options;
  mkdirSync(directory, { recursive: true });
  const lock = options.lock === undefined ? lockDirectory(directory) : null;
  try {
    const writing = new Writing(options);
    const channel = threads ? await openWriterThread(directory, writing) : openInlineWriter(directory, writing);
    return store(options, writing, channel, lock);
  } catch (error) {
    lock?.release();
    throw error;
  }
}

/** Opens a second view of a log that this process has open for writing already. Rejects when there is no such log. */
export function openSqliteLogReader(directory: string): SqliteLogView {
  const wakeup = new Wakeup();
  const reader = new SqliteLogReader(directory);
  const reads = new Reads(reader, wakeup, null);
  return {
    logId: reader.logId,
    readStream: (stream, from) => reads.readStream(stream, from),
    readStreams: (group, upTo, share) => reads.readStreams(group ?? undefined, upTo, share),
    readGroup: (group, range) => reads.range(group, range),
    readAll: (range) => reads.range(undefined, range),
    subscribe: (after, signal) => reads.subscribe(after, signal),
    head: () => reads.head(),
    wake: () => wakeup.wake(),
    close: () => reads.close(),
  };
}

function store(options: SqliteEventStoreOptions, writing: Writing, channel: WriterChannel, lock: DirectoryLock | null): SqliteEventStore {
  const { directory, threads = true } = options;
  const far = threads ? openReaderThread(directory) : null;
  const reads = new Reads(new SqliteLogReader(directory), writing.wakeup, far);
  writing.onManyAppended = () => far?.checkpoint();
  const stateReader = new SqliteStateReader(directory);
  writing.start(channel);
  let closing: Promise<void> | null = null;

  const closeAll = async (): Promise<void> => {
    try {
      await writing.close();
    } finally {
      await reads.close();
      stateReader.close();
      lock?.release();
    }
  };
  const close = (): Promise<void> => (closing ??= closeAll());

  return {
    logId: channel.logId,
    exclusive: true,
    append: (requests, lane) => writing.append(requests, lane),
    readStream: (stream, from) => reads.readStream(stream, from),
    readGroup: (group, range) => reads.range(group, range),
    readAll: (range) => reads.range(undefined, range),
    subscribe: (after, signal) => reads.subscribe(after, signal),
    head: () => reads.head(),
    close,
    state: {
      get: async (key) => guarded(() => stateReader.get(key)),
      list: async (prefix) => guarded(() => stateReader.list(prefix)),
      put: (key, value, expected, expiresAt) => writing.writeState({ kind: 'put', key, value, expected, expiresAt: expiresAt ?? null }),
      delete: async (key) => void (await writing.writeState({ kind: 'delete', key })),
      purge: async (now) => void (await writing.writeState({ kind: 'purge', now })),
      close,
    },
  };
}

/** Tells those who wait that there may be something new. */
class Wakeup {
  #count = 0;
  #waiting: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  wake(): void {
    this.#count += 1;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Resolves with the next wake, at once when there was one since `seen` or when the signal has aborted. */
  wait(seen: number, signal: AbortSignal): Promise<void> {
    if (this.#count !== seen || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const resume = (): void => {
        signal.removeEventListener('abort', resume);
        resolve();
      };
      signal.addEventListener('abort', resume, { once: true });
      this.#waiting.push(resume);
    });
  }
}

interface PendingAppend {
  readonly requests: number;
  readonly resolve: (results: readonly AppendResult[]) => void;
}

interface PendingWrite {
  readonly resolve: (written: boolean) => void;
  readonly reject: (error: Error) => void;
}

/** The calling side of the writer: promises for tasks. */
class Writing implements WriterListener {
  readonly wakeup = new Wakeup();
  readonly #options: SqliteEventStoreOptions;
  readonly #appends = new Map<number, PendingAppend>();
  readonly #writes = new Map<number, PendingWrite>();
  /** Called each time that so many appends have been made. */
  onManyAppended: () => void = () => undefined;
  #channel: WriterChannel | null = null;
  #lastId = 0;
  #appended = 0;

  constructor(options: SqliteEventStoreOptions) {
    this.#options = options;
  }

  start(channel: WriterChannel): void {
    this.#channel = channel;
  }

  append(requests: readonly AppendRequest[], lane: AppendLane): Promise<readonly AppendResult[]> {
    const empty = requests.find((request) => request.events.length === 0);
    if (empty !== undefined)
      return Promise.reject(new RangeError(`Nothing to append to ${empty.stream}: a request has at least one event`));
    const channel = this.#channel;
    if (channel === null) return Promise.resolve(unavailable(requests.length));
    if (requests.length === 0) return Promise.resolve([]);
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#appends.set(id, { requests: requests.length, resolve });
      channel.submit({ kind: 'append', id, lane, requests });
    });
  }

  writeState(write: StateWrite): Promise<boolean> {
    const channel = this.#channel;
    if (channel === null) return Promise.reject(new StoreUnavailable('The state store is closed'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#writes.set(id, { resolve, reject });
      channel.submit({ kind: 'state', id, write });
    });
  }

  answered(answers: readonly WriterAnswer[]): void {
    const appended = answers.reduce((count, answer) => count + (answer.kind === 'appended' ? appendsOf(answer.results) : 0), 0);
    if (appended > 0) {
      this.wakeup.wake();
      this.#options.onAppended?.();
    }
    for (const answer of answers) this.#settle(answer);
    this.#appended += appended;
    if (this.#appended < APPENDS_A_CHECKPOINT) return;
    this.#appended = 0;
    this.onManyAppended();
  }

  died(error: Error): void {
    this.#channel = null;
    for (const { requests, resolve } of this.#appends.values()) resolve(unavailable(requests));
    for (const { reject } of this.#writes.values()) reject(new StoreUnavailable(error.message, { cause: error }));
    this.#appends.clear();
    this.#writes.clear();
    this.#options.onFatal?.(error);
  }

  async close(): Promise<void> {
    const channel = this.#channel;
    this.#channel = null;
    await channel?.close();
  }

  #settle(answer: WriterAnswer): void {
    switch (answer.kind) {
      case 'appended':
        this.#appends.get(answer.id)?.resolve(answer.results);
        break;
      case 'written':
        this.#writes.get(answer.id)?.resolve(answer.written);
        break;
      case 'unavailable':
        this.#writes.get(answer.id)?.reject(new StoreUnavailable(answer.message));
        break;
    }
    this.#appends.delete(answer.id);
    this.#writes.delete(answer.id);
  }
}

const appendsOf = (results: readonly AppendResult[]): number => results.reduce((count, { ok }) => (ok ? count + 1 : count), 0);

function unavailable(requests: number): readonly AppendResult[] {
  return Array.from({ length: requests }, () => ({ ok: false, error: 'StoreUnavailable' }) as const);
}

/** Reads of one thread: small ones on its own connection, large ones wherever `far` reads them (null: here too). */
class Reads {
  readonly #near: SqliteLogReader;
  readonly #wakeup: Wakeup;
  readonly #far: PageSource | null;
  readonly #closed = new AbortController();

  constructor(near: SqliteLogReader, wakeup: Wakeup, far: PageSource | null) {
    this.#near = near;
    this.#wakeup = wakeup;
    this.#far = far;
  }

  async head(): Promise<Position> {
    return guarded(() => this.#near.head());
  }

  async readStream(stream: string, from = 0): Promise<readonly RecordedEvent[]> {
    const newestFirst: RecordedEvent[] = [];
    let next = guarded(() => this.#near.tailOf(stream));
    while (next !== 0) {
      if (newestFirst.length > 0) await nextTurn();
      const slice = guarded(() => this.#near.walkBack(stream, next, from, STREAM_SLICE));
      newestFirst.push(...slice.events);
      next = slice.next;
    }
    return newestFirst.reverse();
  }

  /** In the calling thread: for one that does nothing else. */
  async *readStreams(group: string | undefined, upTo: Position, share?: Share): AsyncGenerator<StreamsBatch> {
    const batches = sqliteStreams(this.#near, group, parsePosition(upTo), { share });
    for (;;) {
      const next = guarded(() => batches.next());
      if (next.done === true) return;
      if (next.value !== null) yield next.value;
      await nextTurn();
    }
  }

  range(group: string | undefined, { after, upTo, batchSize = PAGE }: ReadRange): AsyncIterable<EventBatch> {
    // Taken now, not with the first batch: what is appended while the caller prepares does not belong to it.
    const last = upTo === undefined ? this.head() : Promise.resolve(upTo);
    last.catch(() => undefined);
    return this.#batches(group, after, last, batchSize);
  }

  async *subscribe(after: Position, signal: AbortSignal): AsyncGenerator<EventBatch> {
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    let position = after;
    let behind = false;
    let told = false;
    const over = (): boolean => stop.aborted;
    while (!over()) {
      const seen = this.#wakeup.count;
      const batch = await this.#nextBatch(position, behind, over);
      if (batch === null || over()) return;
      position = batch.position;
      behind = !batch.caughtUp;
      if (batch.events.length > 0 || (batch.caughtUp && !told)) yield batch;
      told ||= batch.caughtUp;
      if (batch.caughtUp) await this.#wakeup.wait(seen, stop);
    }
  }

  /** Near the end of the log a page is a few look-ups; far from it, work for the other thread. null: lost, because all is over. */
  async #nextBatch(after: Position, behind: boolean, over: () => boolean): Promise<EventBatch | null> {
    if (!behind) return guarded(() => this.#near.page({ group: undefined, after, limit: INLINE_PAGE }));
    try {
      return await this.#page({ group: undefined, after, limit: PAGE });
    } catch (error) {
      if (over()) return null;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#far?.close();
    this.#near.close();
  }

  async *#batches(group: string | undefined, after: Position, end: Promise<Position>, limit: number): AsyncGenerator<EventBatch> {
    const upTo = await end;
    // Refused here, where its stack leads to the caller, and not on another thread.
    for (const position of [after, upTo]) parsePosition(position);
    const fetch = (from: Position): Promise<EventBatch> => {
      const page = this.#page({ group, after: from, upTo, limit });
      // Read ahead while the batch before is worked on; whoever stops early never asks for the outcome.
      page.catch(() => undefined);
      return page;
    };
    let page = fetch(after);
    for (let from = after; ;) {
      const batch = await page;
      const more = batch.events.length === limit && batch.position < upTo;
      if (more) page = fetch(batch.position);
      if (batch.position > from) yield batch;
      if (!more) return;
      from = batch.position;
    }
  }

  async #page(request: PageRequest): Promise<EventBatch> {
    if (this.#far === null) {
      await nextTurn();
      return guarded(() => this.#near.page(request));
    }
    try {
      return await this.#far.page(request);
    } catch (error) {
      throw asUnavailable(error);
    }
  }
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asUnavailable(error);
  }
}

/** A position that is none is the caller's mistake, a damaged stream nobody's that waiting helps; everything else is the store's trouble. */
function asUnavailable(error: unknown): Error {
  if (error instanceof StoreUnavailable || error instanceof StreamDamaged || error instanceof RangeError) return error;
  return new StoreUnavailable(error instanceof Error ? error.message : String(error), { cause: error });
}
