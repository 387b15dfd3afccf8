import { systemRandomness, systemScheduler, SystemClock } from './clock';

describe('the clock', () => {
  const at = (wall: number, monotonic: number): { wall: number; monotonic: number } => ({ wall, monotonic });
  function clockOver(readings: readonly { wall: number; monotonic: number }[]): SystemClock {
    // The constructor reads once, and so does each call of now().
    let index = 0;
    return new SystemClock({
      wall: () => readings[index]?.wall ?? 0,
      monotonic: () => readings[index++]?.monotonic ?? 0,
    });
  }

  test('tells microseconds since 1970', () => {
    const before = Date.now();
    const now = new SystemClock().now();
    expect(Math.floor(now / 1000)).toBeGreaterThanOrEqual(before);
    expect(Math.floor(now / 1000)).toBeLessThanOrEqual(Date.now());
  });

  test('never tells a time twice, however often it is asked', () => {
    const clock = new SystemClock();
    const times = Array.from({ length: 10_000 }, () => clock.now());
    expect(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0))).toBe(true);
  });

  test('takes the part below the millisecond from the monotonic clock', () => {
    const clock = clockOver([at(1000, 5), at(1000, 5.25), at(1000, 5.875)]);
    expect([clock.now(), clock.now()]).toEqual([1_000_250, 1_000_875]);
  });

  test('follows the wall clock when that is set forward', () => {
    const clock = clockOver([at(1000, 5), at(1000, 5.5), at(61_000, 6), at(61_000, 6.125)]);
    expect([clock.now(), clock.now(), clock.now()]).toEqual([1_000_500, 61_000_000, 61_000_125]);
  });

  test('goes on a microsecond at a time when the wall clock is set back', () => {
    const clock = clockOver([at(1000, 5), at(1000, 5), at(400, 6), at(400, 6.5)]);
    expect([clock.now(), clock.now(), clock.now()]).toEqual([1_000_000, 1_000_001, 1_000_002]);
  });
});

describe('a timer', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test('runs once its time has come', () => {
    const run = jest.fn();
    systemScheduler.after(50, run);
    jest.advanceTimersByTime(49);
    expect(run).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(1);
  });

  test('that was canceled never runs', () => {
    const run = jest.fn();
    systemScheduler.after(50, run)();
    jest.advanceTimersByTime(1000);
    expect(run).not.toHaveBeenCalled();
  });
});

test('tokens are 256 bits, URL-safe, and never the same', () => {
  const tokens = Array.from({ length: 100 }, () => systemRandomness.token());
  expect(new Set(tokens).size).toBe(100);
  for (const token of tokens) {
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(Buffer.from(token, 'base64url')).toHaveLength(32);
  }
});
