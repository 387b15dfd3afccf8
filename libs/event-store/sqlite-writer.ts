import type { AppendLane, AppendRequest, AppendResult } from './event-store';
import { hasSqliteCode } from './sqlite-errors';
import { SqliteLogWriter } from './sqlite-log';
import { SqliteStateWriter, type StateWrite } from './sqlite-state-store';

/** What arrives at the writer. Each is answered once, under its id. */
export type WriterTask =
  | { readonly kind: 'append'; readonly id: number; readonly lane: AppendLane; readonly requests: readonly AppendRequest[] }
  | { readonly kind: 'state'; readonly id: number; readonly write: StateWrite };

export type WriterAnswer =
  | { readonly kind: 'appended'; readonly id: number; readonly results: readonly AppendResult[] }
  | { readonly kind: 'written'; readonly id: number; readonly written: boolean }
  | { readonly kind: 'unavailable'; readonly id: number; readonly message: string };

/** An append under way; a large import takes several transactions. */
interface Job {
  readonly id: number;
  readonly requests: readonly AppendRequest[];
  readonly results: AppendResult[];
}

/** Events of one transaction: more would only make those wait who came first. */
const INTERACTIVE_EVENTS = 4000;
const IMPORT_EVENTS = 500;
/** Import goes on beside interactive appends, but adds little to their wait. */
const IMPORT_EVENTS_BESIDE_INTERACTIVE = 100;

/** The file is not what was written: nothing that is read from it can be trusted any more. */
const FATAL = ['SQLITE_CORRUPT', 'SQLITE_NOTADB'];
/** The disk said no; another group may fare better. */
const OF_THE_DISK = ['SQLITE_FULL', 'SQLITE_IOERR', 'SQLITE_BUSY', 'SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_NOMEM'];

/**
 * The only writer of a directory's events.db and state.db: takes tasks, and makes one transaction of what is there each time it is
 * stepped. Synchronous; it runs on a thread of its own, or inline in tests, and that makes no difference to what it does.
 */
export class SqliteWriter {
  readonly #log: SqliteLogWriter;
  readonly #state: SqliteStateWriter;
  readonly #answer: (answer: WriterAnswer) => void;
  readonly #interactive: Job[] = [];
  readonly #import: Job[] = [];
  #writes: { readonly id: number; readonly write: StateWrite }[] = [];

  constructor(directory: string, answer: (answer: WriterAnswer) => void) {
    this.#log = new SqliteLogWriter(directory);
    this.#state = new SqliteStateWriter(directory);
    this.#answer = answer;
  }

  get logId(): string {
    return this.#log.logId;
  }

  get idle(): boolean {
    return this.#interactive.length === 0 && this.#import.length === 0 && this.#writes.length === 0;
  }

  accept(task: WriterTask): void {
    switch (task.kind) {
      case 'append': {
        const queue = task.lane === 'interactive' ? this.#interactive : this.#import;
        queue.push({ id: task.id, requests: task.requests, results: [] });
        break;
      }
      case 'state':
        this.#writes.push({ id: task.id, write: task.write });
        break;
    }
  }

  /** One group. Throws only when the file is damaged: what is then unanswered stays so. */
  step(): void {
    this.#writeState();
    const group: Share[] = [];
    takeShares(this.#interactive, INTERACTIVE_EVENTS, group);
    takeShares(this.#import, group.length === 0 ? IMPORT_EVENTS : IMPORT_EVENTS_BESIDE_INTERACTIVE, group);
    if (group.length > 0) this.#append(group);
  }

  /** After a last step; what is still queued stays unanswered. */
  close(): void {
    try {
      this.#log.close();
    } finally {
      this.#state.close();
    }
  }

  #append(group: readonly Share[]): void {
    const results = this.#appendGroup(group.flatMap((share) => share.requests));
    let next = 0;
    for (const { job, requests } of group) {
      for (let index = 0; index < requests.length; index += 1) job.results.push(results[next + index] ?? UNAVAILABLE);
      next += requests.length;
      if (job.results.length === job.requests.length) this.#answer({ kind: 'appended', id: job.id, results: job.results });
    }
  }

  #appendGroup(requests: readonly AppendRequest[]): readonly AppendResult[] {
    try {
      return this.#log.append(requests);
    } catch (error) {
      if (hasSqliteCode(error, ...FATAL)) throw error;
      // One request that cannot be stored (a value SQLite refuses) must not take its neighbours with it.
      if (requests.length > 1 && !hasSqliteCode(error, ...OF_THE_DISK)) return requests.flatMap((request) => this.#appendGroup([request]));
      return requests.map(() => UNAVAILABLE);
    }
  }

  #writeState(): void {
    const writes = this.#writes;
    if (writes.length === 0) return;
    this.#writes = [];
    try {
      const written = this.#state.write(writes.map(({ write }) => write));
      writes.forEach(({ id }, index) => this.#answer({ kind: 'written', id, written: written[index] ?? false }));
    } catch (error) {
      if (hasSqliteCode(error, ...FATAL)) throw error;
      for (const { id } of writes) this.#answer({ kind: 'unavailable', id, message: String(error) });
    }
  }
}

const UNAVAILABLE: AppendResult = { ok: false, error: 'StoreUnavailable' };

/** The part of a job that goes into the next transaction. */
interface Share {
  readonly job: Job;
  readonly requests: readonly AppendRequest[];
}

/** Takes jobs from the front until the events suffice, splitting the last one; what is finished leaves the queue. */
function takeShares(queue: Job[], events: number, group: Share[]): void {
  let room = events;
  let finished = 0;
  for (const job of queue) {
    if (room <= 0) break;
    const start = job.results.length;
    let end = start;
    for (; end < job.requests.length && room > 0; end += 1) room -= job.requests[end]?.events.length ?? 0;
    group.push({ job, requests: start === 0 && end === job.requests.length ? job.requests : job.requests.slice(start, end) });
    if (end === job.requests.length) finished += 1;
  }
  queue.splice(0, finished);
}
