import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { verifyChain } from './chain';
import { type AppendRequest, type AppendResult, groupOf, type NewEvent, NO_STREAM, type RecordedEvent, START } from './event-store';
import { SqliteLogReader, SqliteLogWriter } from './sqlite-log';
import { sqliteStreams } from './sqlite-whole-streams';

/** What a log is, without a file: the list of its events. */
class ModelLog {
  readonly events: { readonly stream: string; readonly revision: number; readonly id: string }[] = [];

  revisionOf(stream: string): number {
    return this.of(stream).length - 1;
  }

  of(stream: string): ModelLog['events'] {
    return this.events.filter((event) => event.stream === stream);
  }

  append({ stream, expected, events }: AppendRequest): 'appended' | 'repeated' | 'RevisionConflict' {
    const there = this.of(stream).slice(expected.revision + 1);
    if (there.length === 0 && expected.revision <= this.revisionOf(stream)) {
      this.events.push(...events.map(({ id }, index) => ({ stream, revision: expected.revision + 1 + index, id })));
      return 'appended';
    }
    return there.length >= events.length && events.every(({ id }, index) => there[index]?.id === id) ? 'repeated' : 'RevisionConflict';
  }
}

const STREAMS = ['a', 'ab'].flatMap((group) => [
  `outdial-${group}`,
  ...Array.from({ length: 14 }, (_, n) => `outdialtarget-${group}.${n}`),
]);

type Step =
  | {
      readonly kind: 'append';
      readonly requests: readonly { readonly stream: number; readonly offset: number; readonly ids: readonly number[] }[];
    }
  | { readonly kind: 'restart' }
  | { readonly kind: 'fail'; readonly stream: number }
  | { readonly kind: 'look'; readonly stream: number };

/** Some often, so that commands meet; the others now and then, so that the index has something to merge. */
const aStream = fc.oneof({ weight: 1, arbitrary: fc.nat({ max: 2 }) }, { weight: 2, arbitrary: fc.nat({ max: STREAMS.length - 1 }) });
/** Few ids, so that commands repeat; the offset from the stream's revision is mostly 0, so that much is appended. */
const aRequest = fc.record({
  stream: aStream,
  offset: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -3, max: 2 }) }),
  ids: fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 3 }),
});
const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('append' as const), requests: fc.array(aRequest, { minLength: 1, maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), stream: aStream }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('look' as const), stream: aStream }) },
);

describe('The embedded log, held against a simple model', () => {
  test('whatever is appended, repeated, refused, rolled back and restarted, both hold the same events', () => {
    // Small maps, so that the index is always being merged; eight keys for thirty names, so that most names are in another's place.
    const options = { freshLimit: 10, keyOf: (stream: string) => (stream.length * 31 + stream.charCodeAt(stream.length - 1)) % 8 };
    fc.assert(
      fc.property(fc.array(aStep, { minLength: 20, maxLength: 80 }), fc.integer({ min: 1, max: 7 }), (steps, pageSize) => {
        const directory = mkdtempSync(join(tmpdir(), 'log-model-'));
        let writer = new SqliteLogWriter(directory, options);
        // Lives through it all and looks now and then: what it has seen of the index before must not mislead it.
        const reader = new SqliteLogReader(directory, options);
        const model = new ModelLog();
        try {
          for (const step of steps) {
            switch (step.kind) {
              case 'append': {
                const requests = toRequests(model, step.requests);
                const expected = requests.map((request) => model.append(request));
                expect(writer.append(requests).map(verdict)).toEqual(expected);
                break;
              }
              case 'restart':
                writer.close();
                writer = new SqliteLogWriter(directory, options);
                break;
              case 'fail': {
                const stream = STREAMS[step.stream] ?? '';
                const good = { stream, expected: { revision: model.revisionOf(stream), hash: '' }, events: [newEvent(0)] };
                const bad = {
                  stream: 'customer-c',
                  expected: { revision: NO_STREAM, hash: '' },
                  events: [{ ...newEvent(0), data: new Date(0) }],
                };
                expect(() => writer.append([good, bad as unknown as AppendRequest])).toThrow();
                break;
              }
              case 'look': {
                const stream = STREAMS[step.stream] ?? '';
                expect(simple(streamOf(reader, stream))).toEqual(model.of(stream));
                break;
              }
            }
          }
          const log = pages(reader, undefined, pageSize);
          expect(simple(log)).toEqual(model.events);
          // No gaps, also where an append was rolled back: a missing position is a missing event.
          expect(log.map(({ position }) => Number(position))).toEqual(log.map((_, index) => index + 1));
          for (const group of ['a', 'ab', 'c']) {
            expect(simple(pages(reader, group, pageSize))).toEqual(model.events.filter(({ stream }) => groupOf(stream) === group));
          }
          for (const group of ['a', 'ab', undefined]) {
            const events = model.events.filter(({ stream }) => group === undefined || groupOf(stream) === group);
            const order = [...new Set(events.map(({ stream }) => stream))];
            // Held all at once, or in as many goes as there are streams.
            for (const held of [undefined, pageSize, 1]) {
              const batches = [...sqliteStreams(reader, group, model.events.length, { held })].flatMap((batch) => batch ?? []);
              expect(batches.flatMap(({ streams }) => streams.map(({ stream }) => stream))).toEqual(order);
              expect(batches.flatMap(({ streams }) => streams.flatMap((one) => simple(one.events)))).toEqual(
                order.flatMap((stream) => model.of(stream)),
              );
              expect(batches.reduce((sum, { scanned }) => sum + scanned, 0)).toBe(events.length);
            }
          }
          for (const stream of STREAMS) {
            const events = streamOf(reader, stream);
            expect(simple(events)).toEqual(model.of(stream));
            expect(verifyChain(events)).toBeNull();
            expect(reader.areLast(events)).toEqual(events.map((_, at) => at === events.length - 1));
          }
        } finally {
          reader.close();
          writer.close();
          rmSync(directory, { recursive: true, force: true });
        }
      }),
      { numRuns: 25 },
    );
  });

  test('a reader that looked while the index was being merged finds what came in meanwhile, once the merge has ended', () => {
    const directory = mkdtempSync(join(tmpdir(), 'log-merge-'));
    const writer = new SqliteLogWriter(directory, { freshLimit: 10 });
    const reader = new SqliteLogReader(directory);
    const names = Array.from({ length: 16 }, (_, n) => `outdialtarget-a.${n}`);
    for (const stream of names) {
      writer.append([{ stream, expected: { revision: NO_STREAM, hash: '' }, events: [newEvent(0)] }]);
      expect(simple(streamOf(reader, stream))).toEqual([{ stream, revision: 0, id: 'id-0' }]);
    }
    expect(names.filter((stream) => reader.tailOf(stream) === 0)).toEqual([]);
    reader.close();
    writer.close();
    rmSync(directory, { recursive: true });
  });
});

/** Revisions are chosen before the call, by a caller who has read the streams; earlier requests of the same call may move them on. */
function toRequests(model: ModelLog, requests: Extract<Step, { kind: 'append' }>['requests']): AppendRequest[] {
  return requests.map(({ stream, offset, ids }) => {
    const name = STREAMS[stream] ?? '';
    return {
      stream: name,
      expected: { revision: Math.max(NO_STREAM, model.revisionOf(name) + offset), hash: '' },
      events: ids.map(newEvent),
    };
  });
}

function newEvent(id: number): NewEvent {
  return { id: `id-${id}`, type: 'Tried', data: `{"n":${id}}`, metadata: '{}' };
}

function verdict(result: AppendResult): ReturnType<ModelLog['append']> {
  if (!result.ok) {
    if (result.error === 'StoreUnavailable') throw new Error('The log itself never answers that');
    return result.error;
  }
  return result.repeated === true ? 'repeated' : 'appended';
}

function streamOf(reader: SqliteLogReader, stream: string): RecordedEvent[] {
  const events: RecordedEvent[] = [];
  for (let next = reader.tailOf(stream); next !== 0;) {
    const slice = reader.walkBack(stream, next, 0, 2);
    events.push(...slice.events);
    next = slice.next;
  }
  return events.reverse();
}

function pages(reader: SqliteLogReader, group: string | undefined, limit: number): RecordedEvent[] {
  const events: RecordedEvent[] = [];
  for (let after = START; ;) {
    const batch = reader.page({ group, after, limit });
    expect(batch.events.length).toBeLessThanOrEqual(limit);
    events.push(...batch.events);
    if (batch.caughtUp) return events;
    after = batch.position;
  }
}

const simple = (events: readonly RecordedEvent[]) => events.map(({ stream, revision, id }) => ({ stream, revision, id }));
