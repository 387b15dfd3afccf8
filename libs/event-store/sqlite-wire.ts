import type { AppendRequest, AppendResult, EventBatch, NewEvent, RecordedEvent } from './event-store';
import type { WriterAnswer, WriterTask } from './sqlite-writer';

/**
 * How tasks and events travel between threads: as flat arrays of strings and numbers. A structured clone of the objects themselves writes
 * every property's name with every object, which cost more than the rest of an append.
 */
export type Flat = readonly (string | number)[];

/** Reads a flat array in the order it was written; a wrong order is a defect of this file, not of its input. */
class Cursor {
  #next = 0;

  constructor(readonly flat: Flat) {}

  get done(): boolean {
    return this.#next >= this.flat.length;
  }

  text(): string {
    return this.flat[this.#next++] as string;
  }

  number(): number {
    return this.flat[this.#next++] as number;
  }
}

type AppendTask = Extract<WriterTask, { kind: 'append' }>;

export function encodeAppends(tasks: readonly AppendTask[]): Flat {
  const flat: (string | number)[] = [];
  for (const { id, lane, requests } of tasks) {
    flat.push(id, lane, requests.length);
    for (const { stream, expected, events } of requests) {
      flat.push(stream, expected.revision, expected.hash, events.length);
      for (const event of events) flat.push(event.id, event.type, event.data, event.metadata);
    }
  }
  return flat;
}

export function decodeAppends(flat: Flat): readonly AppendTask[] {
  const tasks: AppendTask[] = [];
  for (const cursor = new Cursor(flat); !cursor.done;) {
    const id = cursor.number();
    const lane = cursor.text() === 'import' ? 'import' : 'interactive';
    const requests: AppendRequest[] = [];
    for (let left = cursor.number(); left > 0; left -= 1) {
      const stream = cursor.text();
      const expected = { revision: cursor.number(), hash: cursor.text() };
      const events: NewEvent[] = [];
      for (let more = cursor.number(); more > 0; more -= 1) {
        events.push({ id: cursor.text(), type: cursor.text(), data: cursor.text(), metadata: cursor.text() });
      }
      requests.push({ stream, expected, events });
    }
    tasks.push({ kind: 'append', id, lane, requests });
  }
  return tasks;
}

type AppendAnswer = Extract<WriterAnswer, { kind: 'appended' }>;

/** Stands where a position would, for a result that is none. */
const CONFLICT = '!conflict';
const UNAVAILABLE = '!unavailable';
/** Precedes the position of an append that was there already. */
const REPEATED = '=';

export function encodeResults(answers: readonly AppendAnswer[]): Flat {
  const flat: (string | number)[] = [];
  for (const { id, results } of answers) {
    flat.push(id, results.length);
    for (const result of results) {
      if (result.ok) flat.push(result.repeated ? REPEATED + result.position : result.position, result.head.revision, result.head.hash);
      else flat.push(result.error === 'RevisionConflict' ? CONFLICT : UNAVAILABLE);
    }
  }
  return flat;
}

export function decodeResults(flat: Flat): readonly AppendAnswer[] {
  const answers: AppendAnswer[] = [];
  for (const cursor = new Cursor(flat); !cursor.done;) {
    const id = cursor.number();
    const results: AppendResult[] = [];
    for (let left = cursor.number(); left > 0; left -= 1) {
      const position = cursor.text();
      if (position === CONFLICT) results.push({ ok: false, error: 'RevisionConflict' });
      else if (position === UNAVAILABLE) results.push({ ok: false, error: 'StoreUnavailable' });
      else {
        const head = { revision: cursor.number(), hash: cursor.text() };
        const repeated = position.startsWith(REPEATED);
        results.push(repeated ? { ok: true, head, position: position.slice(REPEATED.length), repeated } : { ok: true, head, position });
      }
    }
    answers.push({ kind: 'appended', id, results });
  }
  return answers;
}

export function encodeBatch({ events, position, caughtUp }: EventBatch): Flat {
  const flat: (string | number)[] = [position, caughtUp ? 1 : 0];
  for (const event of events) {
    flat.push(event.stream, event.revision, event.position, event.id, event.type, event.data, event.metadata, event.hash);
  }
  return flat;
}

export function decodeBatch(flat: Flat): EventBatch {
  const cursor = new Cursor(flat);
  const position = cursor.text();
  const caughtUp = cursor.number() === 1;
  const events: RecordedEvent[] = [];
  while (!cursor.done) {
    events.push({
      stream: cursor.text(),
      revision: cursor.number(),
      position: cursor.text(),
      id: cursor.text(),
      type: cursor.text(),
      data: cursor.text(),
      metadata: cursor.text(),
      hash: cursor.text(),
    });
  }
  return { events, position, caughtUp };
}
