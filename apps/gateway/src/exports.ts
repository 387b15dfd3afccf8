import { Readable } from 'node:stream';
import type { Target } from '#dialing';
import { Streamed } from './answer';
import { CSV_TYPE, NDJSON_TYPE } from './imports';
import { CSV_HEADER, csvLine } from './target-csv';
import { newTargetWire } from './wire';

/** Whether a file is to be CSV. JSON lines where the caller does not say, or says both. */
export function wantsCsv(accept: string | undefined): boolean {
  const types = (accept ?? '').split(',').map((part) => part.split(';', 1)[0]?.trim().toLowerCase() ?? '');
  return types.includes(CSV_TYPE) && !types.includes(NDJSON_TYPE);
}

const ndjsonLine = (target: Target): string => `${JSON.stringify(newTargetWire(target))}\n`;

/** Targets as a file that can be imported again. Pages are read as the client takes them; a client that leaves ends the reading. */
export function exportAnswer(pages: AsyncIterable<readonly Target[]>, csv: boolean): Streamed {
  async function* file(): AsyncGenerator<string> {
    if (csv) yield CSV_HEADER;
    for await (const page of pages) yield page.map(csv ? csvLine : ndjsonLine).join('');
  }
  return new Streamed(Readable.from(file(), { objectMode: false }), csv ? `${CSV_TYPE}; charset=utf-8` : NDJSON_TYPE);
}
