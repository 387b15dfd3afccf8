import fc from 'fast-check';
import { continuesChain, linkHash, verifyChain } from './chain';
import { EMPTY_STREAM, type NewEvent, type RecordedEvent } from './event-store';

const anEvent: fc.Arbitrary<NewEvent> = fc.record({ id: fc.uuid(), type: fc.string(), data: fc.json(), metadata: fc.json() });

function record(stream: string, events: readonly NewEvent[], firstPosition = 1): RecordedEvent[] {
  let hash = '';
  return events.map((event, revision) => {
    hash = linkHash(hash, stream, revision, event);
    return { ...event, stream, revision, hash, position: String(firstPosition + revision).padStart(16, '0') };
  });
}

const event: NewEvent = { id: '7f6d9f3e-7a0e-4a7c-8f3e-0c8c5d2b1a00', type: 'TargetAdded', data: '{"name":"Zoë"}', metadata: '{"tm":1}' };

describe('The hash of an event', () => {
  test('is a storage format: what was written years ago must still verify', () => {
    expect(linkHash('', 'outdial-1', 0, event)).toBe('fc7273f58f857fdfc34016da14773665456e8d70eb5987cda2a0c6669833fb0e');
    expect(linkHash('a'.repeat(64), 'outdial-1', 1, event)).toBe('65ba0dcbea365fd675ca27e5f6c416accf08f82377eddc6b41a286477db1dfa0');
  });

  test('depends on everything that was written, and on where one part ends and the next begins', () => {
    const hashes = [
      linkHash('', 'outdial-1', 0, event),
      linkHash('', 'outdial-1', 1, event),
      linkHash('', 'outdial-', 10, event),
      linkHash('a', 'outdial-1', 0, event),
      linkHash('', 'outdial-2', 0, event),
      linkHash('', 'outdial-1', 0, { ...event, id: event.id.replace('7', '8') }),
      linkHash('', 'outdial-1', 0, { ...event, type: 'TargetAdde', data: `d${event.data}` }),
      linkHash('', 'outdial-1', 0, { ...event, data: event.data + ' ' }),
      linkHash('', 'outdial-1', 0, { ...event, data: event.data + event.metadata, metadata: '' }),
      linkHash('', 'outdial-1', 0, { ...event, metadata: '{"tm":2}' }),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('A chain', () => {
  test('as it was written fits, whatever the events are and however many streams are mixed', () => {
    fc.assert(
      fc.property(fc.array(anEvent), fc.array(anEvent), (one, two) => {
        const events = [...record('outdial-1', one), ...record('outdial-2', two)];
        expect(verifyChain(events)).toBeNull();
        expect(verifyChain(events.toSorted((left, right) => left.revision - right.revision))).toBeNull();
      }),
    );
  });

  test('shows the first event that was altered, whatever was altered in it', () => {
    const alterations: ((event: RecordedEvent) => Partial<RecordedEvent>)[] = [
      ({ data }) => ({ data: `${data} ` }),
      ({ metadata }) => ({ metadata: `${metadata} ` }),
      ({ type }) => ({ type: `${type}s` }),
      ({ id }) => ({ id: `${id}0` }),
      ({ hash }) => ({ hash: hash.split('').reverse().join('') }),
      ({ revision }) => ({ revision: revision + 1 }),
    ];
    fc.assert(
      fc.property(fc.array(anEvent, { minLength: 1 }), fc.nat(), fc.constantFrom(...alterations), (given, at, alter) => {
        const events = record('outdial-1', given);
        const altered = events.map((one, index) => (index === at % events.length ? { ...one, ...alter(one) } : one));
        const first = altered[at % events.length];
        fc.pre(first !== undefined && JSON.stringify(first) !== JSON.stringify(events[at % events.length]));
        expect(verifyChain(altered)).toBe(first);
      }),
    );
  });

  test('shows a missing event by the one after it, and a missing first event too', () => {
    const events = record('outdial-1', [event, event, event]);
    expect(verifyChain(events.toSpliced(1, 1))).toBe(events[2]);
    expect(verifyChain(events.slice(1))).toBe(events[1]);
  });

  test('is not concerned with positions: a log may be moved to another store', () => {
    expect(verifyChain(record('outdial-1', [event, event]).map((one) => ({ ...one, position: '9' })))).toBeNull();
  });

  test('can be followed from any head on', () => {
    const [first, second, third] = record('outdial-1', [event, event, event]);
    if (first === undefined || second === undefined || third === undefined) throw new Error('three events were recorded');
    expect(verifyChain([second, third], first)).toBeNull();
    expect(verifyChain([third], first)).toBe(third);
    expect([continuesChain(first, EMPTY_STREAM), continuesChain(second, first), continuesChain(third, first)]).toEqual([true, true, false]);
  });
});
