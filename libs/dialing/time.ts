/**
 * Time in this system is a count of microseconds since 1970-01-01 UTC, a safe integer until the year 2255. It reaches the core as a value
 * in the command: nothing in this lib reads a clock. "Never" is `null` here and 9999-01-01 on the wire.
 */
export type Micros = number;

/**
 * When an event happened: now, or one microsecond after its predecessor in the stream when the clock is not later, so that times within a
 * stream strictly increase whatever the clocks of several writers do. `last` is null for a stream's first event.
 */
export const eventTime = (now: Micros, last: Micros | null): Micros => (last === null || now > last ? now : last + 1);

/** What the wire shows for a moment that has not come (the document's sentinel). */
export const NEVER = '9999-01-01 00:00:00.000000';

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;

/** Minutes that were written, and their texts, each in a place of its own until another takes it: a report writes five times a row, of a few minutes in turn. */
const MINUTES = Array.from({ length: 64 }, () => ({ of: 0, text: '1970-01-01 00:00:' }));

function minuteText(minute: number): string {
  const place = MINUTES[minute & (MINUTES.length - 1)] ?? { of: NaN, text: '' };
  if (place.of !== minute) {
    place.text = new Date((minute * MINUTE) / 1000).toISOString().slice(0, 17).replace('T', ' ');
    place.of = minute;
  }
  return place.text;
}

/** `2022-04-28 01:41:40.503790`, UTC; `null` becomes the sentinel. */
export function formatMicros(time: Micros | null): string {
  if (time === null) return NEVER;
  const minute = Math.floor(time / MINUTE);
  const within = time - minute * MINUTE;
  const second = Math.floor(within / SECOND);
  // The 1 keeps the zeros in front, and is cut off.
  return `${minuteText(minute)}${second < 10 ? '0' : ''}${second}.${String(SECOND + within - second * SECOND).slice(1)}`;
}

const WIRE = /^(\d{4}-\d{2}-\d{2})[ Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})?$/;

/** Reads the wire format or RFC 3339 (no zone means UTC; finer than microseconds is cut). `undefined` when it is neither or no such day. */
export function parseMicros(text: string): Micros | undefined {
  const match = WIRE.exec(text);
  if (!match) return undefined;
  const [, day, clock, fraction = '', zone = 'Z'] = match;
  const seconds = Date.parse(`${day}T${clock}${zone.toUpperCase()}`);
  if (Number.isNaN(seconds)) return undefined;
  // Date.parse rolls 2024-02-31 over into March; a caller's typing error must not become another day.
  const days = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(days.getTime()) || days.toISOString().slice(0, 10) !== day) return undefined;
  const micros = seconds * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
  return Number.isSafeInteger(micros) ? micros : undefined;
}
