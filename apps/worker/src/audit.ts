import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { logSource } from '#application';
import { logsContinuedBy, openLogReader, wholeStreams } from '#event-store';
import type { Flaw, LogReader } from '#event-store';
import type { Configuration } from '#platform';

/** Where the log is. */
type Place = Pick<Configuration, 'dataDir' | 'eventStoreUrl'>;

/**
 * The record, checked without the service: `admin audit verify` and `admin audit heads`. Reads only; a running service is not disturbed. What the check proves, and
 * what it does not, is told in docs/audit.md.
 */

/** Where a stream ended when its head was written out. */
interface Head {
  readonly stream: string;
  readonly revision: number;
  readonly hash: string;
}

export interface AuditVerdict {
  readonly streams: number;
  readonly events: number;
  /** How many heads were compared. */
  readonly compared: number;
}

async function withLog<T>(place: Place, work: (log: LogReader) => Promise<T>): Promise<T> {
  const log = await openLogReader(logSource(place));
  try {
    return await work(log);
  } finally {
    await log.close();
  }
}

/** Writes out where each stream ends: a line with the log's id, then one a stream, as JSON. Kept elsewhere, it is what a later cut is found by. */
export function writeHeads(place: Place, write: (line: string) => void): Promise<number> {
  return withLog(place, async (log) => {
    let written = 0;
    write(JSON.stringify({ log: log.logId }));
    for await (const { streams } of wholeStreams(log, null, await log.head())) {
      for (const { events } of streams) {
        const last = events.at(-1);
        if (last === undefined) continue;
        written += 1;
        write(JSON.stringify({ stream: last.stream, revision: last.revision, hash: last.hash } satisfies Head));
      }
    }
    return written;
  });
}

/**
 * Checks every stream's chain (of one outdial, or of the whole log) and, given a file of heads, that each stream still passes through the head it had then. Tells each
 * flaw as it is found. Rejects for a file that is none of heads, or of another log that this one is no copy of.
 */
export function verifyRecord(
  place: Place,
  { outdial, headsFile }: { readonly outdial?: string; readonly headsFile?: string },
  tell: (flaw: Flaw) => void,
): Promise<AuditVerdict> {
  return withLog(place, async (log) => {
    const heads = headsFile === undefined ? new Map<string, Head>() : await readHeads(headsFile, await logsContinuedBy(log), outdial);
    const compared = heads.size;
    let [streams, events] = [0, 0];
    for await (const batch of wholeStreams(log, outdial ?? null, await log.head())) {
      for (const one of batch.streams) {
        streams += 1;
        events += one.events.length;
        const head = heads.get(one.stream);
        heads.delete(one.stream);
        const flaw = one.flaw ?? (head ? strayedFrom(head, one.events) : null);
        if (flaw !== null) tell(flaw);
      }
    }
    for (const { stream, revision } of heads.values()) {
      tell({ stream, revision, eventId: null, reason: 'the whole stream is missing: it was there when the heads were written out' });
    }
    return { streams, events, compared };
  });
}

function strayedFrom({ stream, revision, hash }: Head, events: readonly { readonly id: string; readonly hash: string }[]): Flaw | null {
  const then = events[revision];
  if (then === undefined) {
    const reason = 'it is missing: the stream was cut after the heads were written out';
    return { stream, revision: events.length, eventId: null, reason };
  }
  return then.hash === hash
    ? null
    : { stream, revision, eventId: then.id, reason: 'its hash is not the one that was written out: the stream was written anew' };
}

async function readHeads(file: string, logs: readonly string[], outdial: string | undefined): Promise<Map<string, Head>> {
  const heads = new Map<string, Head>();
  let known = false;
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number += 1;
    if (line === '') continue;
    const head = readHead(line, `${file}, line ${number}`);
    if ('log' in head) {
      if (!logs.includes(head.log)) throw new Error(`${file} was written from another event log.`);
      known = true;
    } else if (outdial === undefined || head.stream.includes(outdial)) {
      heads.set(head.stream, head);
    }
  }
  if (!known) throw new Error(`${file} is no file of heads: it names no log.`);
  return heads;
}

function readHead(line: string, where: string): Head | { readonly log: string } {
  let read: Partial<Head & { readonly log: string }>;
  try {
    read = JSON.parse(line) as typeof read;
  } catch {
    throw new Error(`${where}: not JSON.`);
  }
  const { log, stream, revision, hash } = read;
  if (typeof log === 'string') return { log };
  if (typeof stream === 'string' && typeof revision === 'number' && typeof hash === 'string') return { stream, revision, hash };
  throw new Error(`${where}: not a stream’s head.`);
}
