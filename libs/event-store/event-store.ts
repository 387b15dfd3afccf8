/**
 * The port to the event store. Adapters: sqlite (embedded), eventstoredb. Every adapter passes event-store.contract.ts.
 * This lib knows no domain type: data and metadata are JSON text that callers encode and decode.
 */

import type { Share } from './share';

/** Where an event stands in the whole log: opaque, and sortable as a string. Positions of different logs do not compare (`logId`). */
export type Position = string;

/** Before the first event of a log. */
export const START: Position = '';

/** Revision of a stream that does not exist. An event's revision counts from 0 within its stream. */
export const NO_STREAM = -1;

export interface NewEvent {
  /** UUID, derived from (command id, stream, index): the same command appended again is recognised by it. */
  readonly id: string;
  readonly type: string;
  /** JSON text, stored as it is. */
  readonly data: string;
  /** JSON text, stored as it is. */
  readonly metadata: string;
}

export interface RecordedEvent extends NewEvent {
  /** `<category>-<group>` or `<category>-<group>.<rest>`; all streams of an outdial share its id as their group (see groupOf). */
  readonly stream: string;
  readonly revision: number;
  readonly position: Position;
  /** SHA-256, hex: over the previous event's hash and this event's stream, revision, id, type, data and metadata (see chain.ts). */
  readonly hash: string;
}

/** The last event of a stream, as its reader knows it. */
export interface StreamHead {
  /** NO_STREAM when it has none. */
  readonly revision: number;
  /** Hash of that event; '' when there is none. */
  readonly hash: string;
}
export const EMPTY_STREAM: StreamHead = { revision: NO_STREAM, hash: '' };

export interface AppendRequest {
  readonly stream: string;
  /** What the decision was made on. The append takes place only when this still is the stream's head. */
  readonly expected: StreamHead;
  /** At least one. */
  readonly events: readonly NewEvent[];
  /** Under these ids nobody can have appended another text: they are new, or come with this text each time. A store that cannot tell a repeat by its answer need not look then. Default false. */
  readonly verbatim?: boolean;
}

export type AppendResult =
  /**
   * `position` of the last event appended. Also the answer to a repeated append: same stream, same revision, same event ids;
   * `repeated` then, since what stands there is what the first one brought, which may differ in its text.
   */
  | { readonly ok: true; readonly head: StreamHead; readonly position: Position; readonly repeated?: true }
  /** `RevisionConflict`: another append came first. `StoreUnavailable`: whether it was appended is not known. */
  | { readonly ok: false; readonly error: 'RevisionConflict' | 'StoreUnavailable' };

/** Interactive appends overtake imports. */
export type AppendLane = 'interactive' | 'import';

export interface EventBatch {
  readonly events: readonly RecordedEvent[];
  /** Everything up to here has been delivered, including events that were filtered out; the point to resume from. */
  readonly position: Position;
  /** No later event existed when this batch was read. */
  readonly caughtUp: boolean;
}

/** A few streams that begin one after the other, whole. */
export interface StreamsBatch {
  /** Its number, from 0, which a few that follow one another have in common. Whoever shares a reading with others is not brought every one; each comes to one of them. */
  readonly at: number;
  /** No events: the store's own index has this stream otherwise. It has gone on since, or was changed. Read it by itself. */
  readonly streams: readonly { readonly stream: string; readonly events: readonly RecordedEvent[] }[];
  /** Events of the log that were passed on the way since the last batch. Over all batches: every event of the group, whether a stream leads to it or not. */
  readonly scanned: number;
}

export interface ReadRange {
  /** Events after this position; START for all. */
  readonly after: Position;
  /** Up to and including this one; the head at the time of the call when absent. */
  readonly upTo?: Position;
  /** Events a batch at most. */
  readonly batchSize?: number;
}

export interface EventStore {
  /** Identity of this log, made with it: positions, tokens and stream ids carry it. */
  readonly logId: string;
  /**
   * True when this process is the only possible writer (embedded): what it last appended to a stream is that stream's head, and need not be
   * read again before a decision.
   */
  readonly exclusive: boolean;
  /**
   * Appends to many streams in one call; each request stands alone, results in the order of the requests. Durable when it resolves.
   * Never rejects for a conflict; rejects with RangeError when a request has no events.
   */
  append(requests: readonly AppendRequest[], lane: AppendLane): Promise<readonly AppendResult[]>;
  /** Events of one stream with revision ≥ `from`, oldest first; empty when there is no such stream. Rejects with StoreUnavailable, StreamDamaged. */
  readStream(stream: string, from?: number): Promise<readonly RecordedEvent[]>;
  /** The streams of a group (null: of all), in the order they began; with a share, those that fall to the caller. Absent where reading each by itself is as good. */
  readStreams?(group: string | null, upTo: Position, share?: Share): AsyncIterable<StreamsBatch>;
  /** All events of the streams of one group, in the order of the log. */
  readGroup(group: string, range: ReadRange): AsyncIterable<EventBatch>;
  /** All events in the order of the log. */
  readAll(range: ReadRange): AsyncIterable<EventBatch>;
  /**
   * Everything after a position, then what comes, for ever, until the signal aborts or the store is closed (then it returns). A first batch
   * says where it has caught up, with no events when there were none. Pull-based: nothing is read ahead of the consumer but one batch.
   * Reconnects by itself and resumes after the last *delivered* position.
   */
  subscribe(after: Position, signal: AbortSignal): AsyncIterable<EventBatch>;
  /** Position of the last event; START when there is none. */
  head(): Promise<Position>;
  close(): Promise<void>;
}

/** The store cannot be reached, or did not answer in time. */
export class StoreUnavailable extends Error {
  readonly code = 'StoreUnavailable';
}

/** A stream whose events do not follow one another any more: somebody has changed the store's files. */
export class StreamDamaged extends Error {
  readonly code = 'StreamDamaged';

  constructor(readonly stream: string) {
    super(`The stream ${stream} lacks an event that a later one follows.`);
    this.name = 'StreamDamaged';
  }
}

/** The group of a stream: what stands between the first `-` and the first `.` after it. */
export function groupOf(stream: string): string {
  const start = stream.indexOf('-') + 1;
  const end = stream.indexOf('.', start);
  return end < 0 ? stream.slice(start) : stream.slice(start, end);
}
