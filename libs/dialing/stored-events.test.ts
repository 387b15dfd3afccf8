import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeContext,
  decodeEvent,
  encodeEvent,
  EVENT_TYPES,
  MalformedEvent,
  streamOf,
  UnknownEventType,
  type EncodedEvent,
  type Upcasters,
} from './stored-events';

const FIXTURES = join(__dirname, '../../test/fixtures/events');

interface Fixture {
  readonly type: string;
  readonly data: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
}
const fixture = (file: string): Fixture => JSON.parse(readFileSync(join(FIXTURES, file), 'utf8')) as Fixture;
const asStored = ({ type, data, metadata }: Fixture): EncodedEvent => ({
  type,
  data: JSON.stringify(data),
  metadata: JSON.stringify(metadata),
});
const paused = fixture('OutdialPaused.v1.json');

const thrownBy = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

/** The version that a type is written in today. */
const currentVersion = (type: string): number => {
  const stored = asStored(fixture(`${type}.v1.json`));
  return (JSON.parse(encodeEvent(decodeEvent(stored), decodeContext(stored)).metadata) as { v: number }).v;
};

describe('Every event ever written', () => {
  const files = readdirSync(FIXTURES);

  it.each(files)('can still be read (%s)', (file) => {
    const { type, data, metadata } = fixture(file);
    expect(file).toBe(`${type}.v${String(metadata.v)}.json`);
    expect(decodeEvent(asStored({ type, data, metadata }))).toMatchObject({ type, tm: metadata.tm });
  });

  it('has a fixture of each of its versions', () => {
    const wanted = EVENT_TYPES.flatMap((type) => Array.from({ length: currentVersion(type) }, (_, n) => `${type}.v${n + 1}.json`));
    expect([...files].sort()).toEqual([...wanted].sort());
  });

  it.each(files.filter((file) => file === `${fixture(file).type}.v${currentVersion(fixture(file).type)}.json`))(
    'of the newest version is written to the same text again (%s)',
    (file) => {
      const stored = asStored(fixture(file));
      expect(encodeEvent(decodeEvent(stored), decodeContext(stored))).toEqual(stored);
    },
  );
});

const CONTEXT = { customerId: 'c', actor: 'who', correlationId: 'request', causationId: 'command' };

describe('A stored event', () => {
  it('tells in its metadata when, in which version, who and in which request', () => {
    const context = { customerId: 'c', actor: 'system', correlationId: 'request', causationId: 'command' };
    const { metadata } = encodeEvent({ type: 'OutdialPaused', tm: 1_651_110_100_503_790, outdialId: 'o' }, context);
    expect(JSON.parse(metadata)).toEqual({
      tm: 1_651_110_100_503_790,
      v: 1,
      lane: 0,
      customer_id: 'c',
      actor: 'system',
      $correlationId: 'request',
      $causationId: 'command',
    });
  });
  it('stores a change of the source to none, which is not the same as no change', () => {
    const context = { customerId: 'c', actor: 'a', correlationId: 'r', causationId: 'x' };
    const event = { type: 'OutplanUpdated', tm: 1, outplanId: 'p', changes: { policy: { source: null } } } as const;
    expect(decodeEvent(encodeEvent(event, context))).toEqual(event);
  });
});

describe('A release that meets what it does not know', () => {
  it('leaves an event type of a newer release alone', () => {
    const read = () => decodeEvent(asStored({ ...paused, type: 'OutdialDuplicated' }));
    expect(read).toThrow(UnknownEventType);
    expect(thrownBy(read)).toMatchObject({ code: 'UnknownEventType', type: 'OutdialDuplicated' });
  });
  it('leaves a newer version of a known type alone', () => {
    const read = () => decodeEvent(asStored({ ...paused, metadata: { ...paused.metadata, v: 2 } }));
    expect(thrownBy(read)).toMatchObject({ code: 'UnknownEventType', version: 2 });
  });
  it('is not misled by names that every object has', () => {
    expect(() => decodeEvent(asStored({ ...paused, type: 'constructor' }))).toThrow(UnknownEventType);
  });
});

describe('A damaged event', () => {
  const attempt = fixture('DialAttemptStarted.v1.json');
  const { tm: _tm, ...timeless } = paused.metadata;

  it.each<[string, EncodedEvent]>([
    ['text that is no JSON', { ...asStored(paused), data: '{"outdial_id":' }],
    ['metadata that is no JSON', { ...asStored(paused), metadata: '' }],
    ['a list for an object', { ...asStored(paused), data: '[]' }],
    ['no time', asStored({ ...paused, metadata: timeless })],
    ['a missing member', asStored({ ...paused, data: {} })],
    ['a number for a text', asStored({ ...paused, data: { outdial_id: 7 } })],
    [
      'an unknown status',
      asStored({ ...attempt, data: { ...attempt.data, change: { after: { status: 'asleep', try_counts: [0, 0, 0, 0, 0] } } } }),
    ],
    ['four counts', asStored({ ...attempt, data: { ...attempt.data, change: { after: { status: 'idle', try_counts: [0, 0, 0, 0] } } } })],
    [
      'a sixth destination',
      asStored({ ...attempt, data: { ...attempt.data, attempt: { ...(attempt.data.attempt as object), destination_index: 5 } } }),
    ],
    [
      'a fraction for an integer',
      asStored({ ...attempt, data: { ...attempt.data, attempt: { ...(attempt.data.attempt as object), tm_start: 0.5 } } }),
    ],
  ])('is refused for %s', (_what, stored) => {
    expect(() => decodeEvent(stored)).toThrow(MalformedEvent);
  });

  // Its time and version are read without the rest, where the rest is plain to see.
  const plain = encodeEvent({ type: 'OutdialPaused', tm: 1_651_110_100_503_790, outdialId: 'o' }, CONTEXT);
  it.each<[string, string]>([
    ['more behind its end', `${plain.metadata}x`],
    ['no end', plain.metadata.slice(0, -1)],
    ['a zero before a number', plain.metadata.replace('"tm":', '"tm":0')],
    ['a line break in a text', plain.metadata.replace('who', 'w\no')],
    ['an escape that is none', plain.metadata.replace('who', 'w\\o')],
    ['a text that ends early', plain.metadata.replace('who', 'w"o')],
    ['a missing comma', plain.metadata.replace(',"actor"', '"actor"')],
  ])('is refused for metadata with %s', (_what, metadata) => {
    expect(() => decodeEvent({ ...plain, metadata })).toThrow(MalformedEvent);
  });
  it('is none when its metadata is only written otherwise', () => {
    const event = decodeEvent(plain);
    for (const metadata of [
      plain.metadata.replace('who', 'w\\"\\u000ao'),
      plain.metadata.replaceAll(',', ' , '),
      '{"v":1,"tm":1651110100503790}',
    ])
      expect(decodeEvent({ ...plain, metadata })).toEqual(event);
  });
  it('says what is wrong with it', () => {
    expect(() => decodeEvent(asStored({ ...paused, data: {} }))).toThrow(
      'A stored OutdialPaused cannot be read: outdial_id is not a text.',
    );
  });
  it('does not hide who wrote it', () => {
    expect(() => decodeContext(asStored({ ...paused, metadata: { tm: 1, v: 1 } }))).toThrow(MalformedEvent);
  });
});

describe('Upcasters', () => {
  /** As if OutdialPaused had once been stored as {id}, then as {outdial}, and is stored as {outdial_id} today. */
  const upcasters: Upcasters = {
    OutdialPaused: [({ id, ...others }) => ({ ...others, outdial: id }), ({ outdial, ...others }) => ({ ...others, outdial_id: outdial })],
  };
  const stored = (v: number, data: Record<string, unknown>) =>
    asStored({ type: 'OutdialPaused', data, metadata: { ...paused.metadata, v } });

  it.each([
    [1, { id: 'o' }],
    [2, { outdial: 'o' }],
    [3, { outdial_id: 'o' }],
  ])('lead from version %i to today’s shape', (version, data) => {
    expect(decodeEvent(stored(version, data), upcasters)).toMatchObject({ type: 'OutdialPaused', outdialId: 'o' });
  });
  it('end at the version of today', () => {
    expect(() => decodeEvent(stored(4, { outdial_id: 'o' }), upcasters)).toThrow(UnknownEventType);
  });
  it('of one type leave the others alone', () => {
    expect(decodeEvent(asStored(fixture('OutdialResumed.v1.json')), upcasters)).toMatchObject({ type: 'OutdialResumed' });
  });
});

describe('The streams', () => {
  it('are named for what they hold; those of an outdial’s targets begin alike', () => {
    expect(streamOf.outdial('o')).toBe('outdial-o');
    expect(streamOf.target('o', 't')).toBe('outdialtarget-o.t');
    expect(streamOf.outplan('p')).toBe('outplan-p');
    expect(streamOf.customer('c')).toBe('customer-c');
    expect(streamOf.accessKey('k')).toBe('accesskey-k');
    expect(streamOf.deployment()).toBe('deployment-main');
  });
});
