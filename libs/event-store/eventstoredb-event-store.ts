import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import { Appender, type AppendLimits } from './eventstoredb-appender';
import { answers, Connection, unavailable } from './eventstoredb-connection';
import { CopyUnfinished, copyMarksOf, LOG_STREAM } from './log-copy-marks';
import { END, readAllRequest, readStreamRequest, recordedEvent, subscribeRequest } from './eventstoredb-wire';
import {
  type AppendLane,
  type AppendRequest,
  type AppendResult,
  EMPTY_STREAM,
  type EventBatch,
  type EventStore,
  groupOf,
  type Position,
  type ReadRange,
  type RecordedEvent,
  START,
  StoreUnavailable,
  StreamDamaged,
  type StreamHead,
} from './event-store';

export interface EventStoreDbOptions {
  /** esdb://, esdb+discover://, kurrentdb://, kurrentdb+discover://, with credentials and TLS as the URL says. */
  readonly url: string;
  /** The categories of our streams: nothing else in the database is ours to read. */
  readonly categories: readonly string[];
  readonly limits?: AppendLimits;
  /** Open also a log into which a copy is not complete: for whoever completes it. Default false. */
  readonly unfinished?: boolean;
}

const PAGE = 2000;
const READ_MS = 5000;
const SCAN_MS = 30_000;
const IMPORTS_IN_FLIGHT = 128;
/** Events held for a consumer that is slower than the server; beyond, the connection's flow control holds the server back. */
const AHEAD = 4096;
const RECONNECT_MS = { first: 100, most: 2000 };

/**
 * Opens the log. Rejects with StoreUnavailable when the server cannot be reached or the user may not read $all, and with RangeError when the URL is wrong;
 * with CopyUnfinished when only a part of another log has been copied into it. The log's identity is made when it is first opened.
 */
export async function openEventStoreDb(options: EventStoreDbOptions): Promise<EventStore> {
  const store = new EventStoreDb(options);
  try {
    await store.open();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

class EventStoreDb implements EventStore {
  logId = '';
  readonly exclusive = false;
  private readonly appends: Connection;
  private readonly subscriptions: Connection;
  private readonly scans: Connection;
  private readonly appender: Appender;
  private readonly imports = pLimit(IMPORTS_IN_FLIGHT);
  private readonly prefixes: readonly string[];
  private readonly closing = new AbortController();
  private readonly pending = new Set<Promise<unknown>>();
  /** The latest position this process has seen: an append answered at or before it was made earlier. One answered after it need not be new, for others append, too. */
  private seen: Position = START;
  /** The last event of streams, as this process has read or appended it: a chain continues what is stored, whatever hash a caller expects. */
  private readonly heads = new LRUCache<string, StreamHead>({ max: 50_000 });

  constructor(private readonly options: EventStoreDbOptions) {
    this.appends = new Connection(options.url, 'append');
    this.subscriptions = new Connection(options.url, 'subscribe');
    this.scans = new Connection(options.url, 'scan');
    this.appender = new Appender(this.appends, options.limits);
    this.prefixes = options.categories.map((category) => `${category}-`);
  }

  async open(): Promise<void> {
    this.seen = await this.head();
    const proposed = randomUUID();
    const [first, ...more] = await this.readStream(LOG_STREAM);
    if (first) {
      const unfinished = (copyMarksOf(more).at(-1)?.next ?? null) !== null;
      if (unfinished && this.options.unfinished !== true) throw new CopyUnfinished();
      this.logId = first.id;
    } else {
      const event = { id: proposed, type: 'LogCreated', data: '{}', metadata: '{}' };
      const made = await this.appender.append({ stream: LOG_STREAM, expected: EMPTY_STREAM, events: [event] });
      if (made.kind === 'unavailable') throw new StoreUnavailable('EventStoreDB does not take appends.');
      this.logId = made.kind === 'appended' ? proposed : ((await this.readStream(LOG_STREAM))[0]?.id ?? '');
    }
  }

  async append(requests: readonly AppendRequest[], lane: AppendLane): Promise<readonly AppendResult[]> {
    if (requests.some(({ events }) => events.length === 0)) throw new RangeError('an append without events');
    if (this.closing.signal.aborted) return requests.map(() => ({ ok: false, error: 'StoreUnavailable' }));
    const one = (request: AppendRequest): Promise<AppendResult> => this.appendOne(request);
    const all = Promise.all(requests.map((request) => (lane === 'import' ? this.imports(one, request) : one(request))));
    const settled = all.catch(() => undefined);
    this.pending.add(settled);
    void settled.finally(() => this.pending.delete(settled));
    return all;
  }

  private async appendOne(request: AppendRequest): Promise<AppendResult> {
    const before = this.seen;
    const known = this.heads.get(request.stream);
    const expected = known?.revision === request.expected.revision ? known : request.expected;
    const made = await this.appender.append({ ...request, expected });
    if (made.kind === 'conflict') return { ok: false, error: 'RevisionConflict' };
    if (made.kind === 'unavailable') return { ok: false, error: 'StoreUnavailable' };
    const { revision, hash, position } = made;
    const head = { revision, hash };
    this.seen = later(this.seen, position);
    if (position > before && request.verbatim === true) {
      this.heads.set(request.stream, head);
      return { ok: true, head, position };
    }
    // The answer may be an earlier append's of the same ids. Its text is what counts, and may be another one than was sent now: the chain goes on from it.
    try {
      const [stored] = await this.streamFrom(request.stream, revision);
      if (!stored) return { ok: false, error: 'StoreUnavailable' };
      return position > before && stored.hash === hash
        ? { ok: true, head, position }
        : { ok: true, head: { revision, hash: stored.hash }, position, repeated: true };
    } catch {
      return { ok: false, error: 'StoreUnavailable' };
    }
  }

  async readStream(stream: string, from = 0): Promise<readonly RecordedEvent[]> {
    this.refuseWhenClosed();
    return this.streamFrom(stream, from);
  }

  /** Also while closing: an append that was begun is finished. */
  private async streamFrom(stream: string, from: number): Promise<readonly RecordedEvent[]> {
    const events: RecordedEvent[] = [];
    for await (const answer of answers(await this.appends.read(readStreamRequest(stream, from), READ_MS))) {
      const event = recordedEvent(answer);
      if (!event) continue;
      if (event.revision !== from + events.length) throw new StreamDamaged(stream);
      events.push(event);
    }
    const last = events.at(-1);
    if (last) this.heads.set(stream, { revision: last.revision, hash: last.hash });
    return events;
  }

  async *readGroup(group: string, range: ReadRange): AsyncGenerator<EventBatch> {
    const prefixes = this.options.categories.map((category) => `${category}-${group}`);
    yield* this.pages(prefixes, range, (event) => groupOf(event.stream) === group);
  }

  async *readAll(range: ReadRange): AsyncGenerator<EventBatch> {
    yield* this.pages(this.prefixes, range, () => true);
  }

  /** Pages of a filtered read: the end is taken first, and nothing stays open between two pages. */
  private async *pages(prefixes: readonly string[], range: ReadRange, ours: (event: RecordedEvent) => boolean): AsyncGenerator<EventBatch> {
    const upTo = range.upTo ?? (await this.head());
    const size = range.batchSize ?? PAGE;
    let after = range.after;
    for (;;) {
      // The read includes its start; one more says whether anything comes later.
      const found = await this.page(after, prefixes, size + 2);
      const page = found.filter(({ position }) => position > after);
      const batch = page.slice(0, size);
      const events = batch.filter((event) => event.position <= upTo && ours(event));
      const ended = page.length <= size;
      const last = batch.at(-1)?.position ?? after;
      const reached = ended || last >= upTo;
      if (events.length > 0 || !reached) yield { events, position: later(after, reached ? upTo : last), caughtUp: ended && last <= upTo };
      if (reached) return;
      after = last;
    }
  }

  private async page(from: Position, prefixes: readonly string[], count: number): Promise<RecordedEvent[]> {
    this.refuseWhenClosed();
    const events: RecordedEvent[] = [];
    for await (const answer of answers(await this.scans.read(readAllRequest(from, prefixes, count), SCAN_MS))) {
      const event = recordedEvent(answer);
      if (event) events.push(event);
    }
    return events;
  }

  async *subscribe(after: Position, signal: AbortSignal): AsyncGenerator<EventBatch> {
    const ended = AbortSignal.any([signal, this.closing.signal]);
    let position = after;
    let pause = RECONNECT_MS.first;
    while (!ended.aborted) {
      try {
        for await (const batch of this.follow(position, ended)) {
          pause = RECONNECT_MS.first;
          position = batch.position;
          this.seen = later(this.seen, position);
          yield batch;
        }
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
      }
      await sleep(pause, undefined, { signal: ended }).catch(() => undefined);
      pause = Math.min(pause * 2, RECONNECT_MS.most);
    }
  }

  /** One subscription, until it breaks (StoreUnavailable) or is ended (returns). */
  private async *follow(after: Position, ended: AbortSignal): AsyncGenerator<EventBatch> {
    const target = await this.head();
    const stream = await this.subscriptions.read(subscribeRequest(after, this.prefixes), Infinity, false);
    let queue: RecordedEvent[] = [];
    let failure: unknown;
    let wake = (): void => undefined;
    const cancel = (): void => {
      stream.cancel();
      wake();
    };
    stream.on('data', (answer) => {
      const event = recordedEvent(answer as Parameters<typeof recordedEvent>[0]);
      if (event && event.position > after) queue.push(event);
      if (queue.length >= AHEAD) stream.pause();
      wake();
    });
    const fail = (error?: unknown): void => {
      failure ??= error ?? new StoreUnavailable('The subscription ended.');
      wake();
    };
    stream.on('error', fail);
    stream.on('end', () => fail());
    ended.addEventListener('abort', cancel);
    try {
      let position = after;
      let caughtUp = target <= after;
      if (caughtUp) yield { events: [], position, caughtUp };
      for (;;) {
        if (ended.aborted) return;
        if (queue.length === 0) {
          if (failure !== undefined) throw unavailable(failure);
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        const events = queue;
        queue = [];
        stream.resume();
        position = events.at(-1)?.position ?? position;
        caughtUp ||= position >= target;
        yield { events, position, caughtUp };
      }
    } finally {
      ended.removeEventListener('abort', cancel);
      stream.cancel();
    }
  }

  async head(): Promise<Position> {
    this.refuseWhenClosed();
    let last: RecordedEvent | undefined;
    for await (const answer of answers(await this.appends.read(readAllRequest(END, this.prefixes, 1), READ_MS)))
      last ??= recordedEvent(answer);
    return last?.position ?? START;
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    await Promise.all(this.pending);
    await this.appender.close();
    await Promise.all([this.appends, this.subscriptions, this.scans].map((connection) => connection.close()));
  }

  private refuseWhenClosed(): void {
    if (this.closing.signal.aborted) throw new StoreUnavailable('The event store is closed.');
  }
}

const later = (one: Position, other: Position): Position => (one > other ? one : other);
