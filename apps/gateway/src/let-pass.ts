import type { FastifyRequest } from 'fastify';
import { BODY_LIMIT } from './json-body';

/** What is taken of a body that was refused: bytes, and milliseconds without any. */
const PASSING_BYTES = 8 * BODY_LIMIT;
const PASSING_MILLIS = 10_000;

/**
 * Many clients send everything before they read: a body that was refused before it had come (too large, of a wrong type, without a credential) is let pass,
 * unread, up to a bound. With the connection closed at once they would meet a broken pipe instead of the answer.
 */
export function letPass({ raw, headers }: FastifyRequest): void {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (raw.complete || !hasBody) return;
  let left = PASSING_BYTES;
  const timer = setTimeout(() => raw.destroy(), PASSING_MILLIS).unref();
  raw.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    timer.refresh();
    if (left < 0) raw.destroy();
  });
  raw.once('close', () => {
    clearTimeout(timer);
  });
}
