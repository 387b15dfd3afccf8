import { hash } from 'node:crypto';
import { EMPTY_STREAM, type NewEvent, type RecordedEvent, type StreamHead } from './event-store';

/**
 * The hash of an event: SHA-256, hex, over the previous event's hash ('' for the first) and the event's stream, revision, id, type,
 * data and metadata. Never over its position or the time of recording, so that a chain survives a move to another store.
 *
 * The lengths (in UTF-16 code units) stand before the texts: no two different events are written the same way, and JSON of any size is
 * hashed without being escaped again. This encoding is a storage format: it never changes.
 */
export function linkHash(previousHash: string, stream: string, revision: number, event: NewEvent): string {
  const { id, type, data, metadata } = event;
  const lengths = `${stream.length} ${revision} ${id.length} ${type.length} ${data.length} ${metadata.length}`;
  return hash('sha256', `${previousHash}\n${lengths}\n${stream}${id}${type}${data}${metadata}`);
}

/**
 * Follows the chain of one or more streams, each in its own order (as readStream, readGroup and readAll give them), and answers the first
 * event that does not fit: altered, missing before it, or out of order; null when all fit. `from` is the head that the events of
 * a stream continue; by default each stream is expected from its first event.
 */
export function verifyChain(events: Iterable<RecordedEvent>, from: StreamHead = EMPTY_STREAM): RecordedEvent | null {
  const heads = new Map<string, StreamHead>();
  for (const event of events) {
    const head = heads.get(event.stream) ?? from;
    if (!continuesChain(event, head)) return event;
    heads.set(event.stream, { revision: event.revision, hash: event.hash });
  }
  return null;
}

/** True when the event is the next one after `head` and its hash is right: what an audit that keeps its own heads asks of each event. */
export function continuesChain(event: RecordedEvent, head: StreamHead): boolean {
  return event.revision === head.revision + 1 && event.hash === linkHash(head.hash, event.stream, event.revision, event);
}
