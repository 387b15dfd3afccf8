import { randomBytes, randomUUID } from 'node:crypto';

/** Reads the wall clock in milliseconds since 1970, and a monotonic one in milliseconds since whenever; tests replace it. */
export interface TimeSource {
  wall(): number;
  monotonic(): number;
}

const SYSTEM: TimeSource = { wall: () => Date.now(), monotonic: () => performance.now() };

/** How far the two clocks may drift apart before the wall clock is read anew: it was set, or it runs at another speed. */
const DRIFT_MILLIS = 1;

/**
 * Microseconds since 1970, strictly increasing within the process: rows that are created one after the other keep their order in time. The wall clock says
 * which millisecond it is and the monotonic one says where in it. When the wall clock is set back, time stands almost still (a microsecond a call) until it
 * has caught up.
 */
export class SystemClock {
  private offset: number;
  private last = 0;

  constructor(private readonly source: TimeSource = SYSTEM) {
    this.offset = source.wall() - source.monotonic();
  }

  now(): number {
    const wall = this.source.wall();
    let millis = this.source.monotonic() + this.offset;
    if (millis < wall || millis >= wall + DRIFT_MILLIS) {
      this.offset += wall - millis;
      millis = wall;
    }
    this.last = Math.max(this.last + 1, Math.floor(millis * 1000));
    return this.last;
  }
}

/** Timers of the system. They do not keep the process alive: what must happen before it ends is waited for, not scheduled. */
export const systemScheduler = {
  /** Answers a function that cancels it. */
  after(milliseconds: number, run: () => void): () => void {
    const timer = setTimeout(run, milliseconds);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Random ids and tokens of the system. */
export const systemRandomness = {
  uuid: (): string => randomUUID(),
  /** 256 bits, URL-safe, without a dot. */
  token: (): string => randomBytes(32).toString('base64url'),
};
