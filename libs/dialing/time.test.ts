import fc from 'fast-check';
import { eventTime, formatMicros, NEVER, parseMicros } from './time';

describe('A moment', () => {
  it('is shown in UTC with microseconds', () => {
    expect(formatMicros(1_651_110_100_503_790)).toBe('2022-04-28 01:41:40.503790');
    expect(formatMicros(1_651_110_100_000_007)).toBe('2022-04-28 01:41:40.000007');
    expect(formatMicros(0)).toBe('1970-01-01 00:00:00.000000');
  });
  it('that has not come is shown as the sentinel', () => {
    expect(formatMicros(null)).toBe(NEVER);
  });
  it.each([
    ['2022-04-28 01:41:40.503790', 1_651_110_100_503_790],
    ['2022-04-28T01:41:40.503790Z', 1_651_110_100_503_790],
    ['2022-04-28t01:41:40z', 1_651_110_100_000_000],
    ['2022-04-28T03:41:40.5+02:00', 1_651_110_100_500_000],
    ['2022-04-28 01:41:40.503790999', 1_651_110_100_503_790],
    ['1969-12-31 23:59:59.999999', -1],
  ])('is read from the wire format and from RFC 3339 (%s)', (text, micros) => {
    expect(parseMicros(text)).toBe(micros);
  });
  it.each([
    '2022-02-30 00:00:00',
    '2022-13-01 00:00:00',
    '2022-04-28',
    '2022-04-28 25:00:00',
    'now',
    '',
    '2022-04-28 01:41:40.',
    '1651110100',
  ])('is not read from %j', (text) => {
    expect(parseMicros(text)).toBeUndefined();
  });
  it('reads back as it was shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }), (micros) => {
        expect(parseMicros(formatMicros(micros))).toBe(micros);
      }),
    );
  });
  it('sorts as text as it does in time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9e15 }), fc.integer({ min: 0, max: 9e15 }), (one, other) => {
        expect(formatMicros(one) < formatMicros(other)).toBe(one < other);
      }),
    );
  });
});

describe('The time of an event', () => {
  it('is now, or the microsecond after its predecessor', () => {
    expect(eventTime(5, null)).toBe(5);
    expect(eventTime(5, 4)).toBe(5);
    expect(eventTime(5, 5)).toBe(6);
    expect(eventTime(5, 9)).toBe(10);
  });
});
