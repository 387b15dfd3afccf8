import type { AppendLane, AppendRequest, AppendResult, EventBatch, NewEvent, RecordedEvent } from './event-store';
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

/**
 * Appends on their way to the writer: all their texts as one, with their lengths among the numbers. Thousands of short strings cost a structured clone far more than
 * their bytes do. What is cut out of a text keeps all of it alive; so the streams' names, which the writer's index keeps, are a text of their own.
 */
export interface PackedAppends {
  readonly names: string;
  readonly texts: string;
  readonly numbers: Float64Array;
}

/** The length of what is no text, whatever its type says: it is the writer's to refuse, and must not shift the texts of others. */
const NO_TEXT = -1;
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const lengthOf = (value: unknown): number => (typeof value === 'string' ? value.length : NO_TEXT);
const LANES: readonly AppendLane[] = ['interactive', 'import'];

export function encodeAppends(tasks: readonly AppendTask[]): PackedAppends {
  const names: string[] = [];
  const texts: string[] = [];
  const numbers: number[] = [];
  for (const { id, lane, requests } of tasks) {
    numbers.push(id, LANES.indexOf(lane), requests.length);
    for (const { stream, expected, events } of requests) {
      names.push(stream);
      texts.push(expected.hash);
      numbers.push(stream.length, expected.revision, expected.hash.length, events.length);
      for (const { id: eventId, type, data, metadata } of events) {
        texts.push(textOf(eventId), textOf(type), textOf(data), textOf(metadata));
        numbers.push(lengthOf(eventId), lengthOf(type), lengthOf(data), lengthOf(metadata));
      }
    }
  }
  return { names: names.join(''), texts: texts.join(''), numbers: Float64Array.from(numbers) };
}

export function decodeAppends({ names, texts, numbers }: PackedAppends): readonly AppendTask[] {
  const tasks: AppendTask[] = [];
  let at = 0;
  let nameAt = 0;
  let textAt = 0;
  const number = (): number => numbers[at++] ?? 0;
  const name = (): string => names.slice(nameAt, (nameAt += number()));
  const text = (): string => {
    const length = number();
    return length === NO_TEXT ? (null as unknown as string) : texts.slice(textAt, (textAt += length));
  };
  while (at < numbers.length) {
    const id = number();
    const lane = LANES[number()] ?? 'interactive';
    const requests: AppendRequest[] = [];
    for (let left = number(); left > 0; left -= 1) {
      const stream = name();
      const expected = { revision: number(), hash: text() };
      const events: NewEvent[] = [];
      for (let more = number(); more > 0; more -= 1) events.push({ id: text(), type: text(), data: text(), metadata: text() });
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
