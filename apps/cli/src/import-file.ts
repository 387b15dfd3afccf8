import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Client, ImportOptions, ImportResult, ImportSummary } from '#client';
import { persist } from './persistence';

export interface ImportCounts {
  /** Rows whose fate is known. */
  readonly rows: number;
  readonly created: number;
  readonly duplicates: number;
  readonly updated: number;
  readonly invalid: number;
  /** Bytes of the file that were sent, the last time it was. */
  readonly bytes: number;
}

export interface FileImport {
  readonly file: string;
  /** Where the rows that were refused go, with the reasons. */
  readonly refusedFile: string;
  readonly outdialId: string;
  readonly options: Omit<ImportOptions, 'signal' | 'results'>;
  readonly retries: number;
  readonly signal: AbortSignal;
  /** Asked before each try: a token may have expired meanwhile. */
  readonly open: () => Promise<Client>;
  readonly onCounts: (counts: ImportCounts) => void;
  readonly onRetry: (error: Error, waitMillis: number) => void;
}

const COUNTED = { created: 'created', duplicate: 'duplicates', updated: 'updated', invalid: 'invalid' } as const;

/**
 * Imports a file, sending it again whenever the connection breaks: nothing is doubled by that, and rows whose fate was told before are not counted
 * again. A row that was stored but not told before the break comes back as a duplicate.
 */
export async function importFile(job: FileImport): Promise<ImportCounts> {
  const { file, outdialId, retries, signal } = job;
  let counts: ImportCounts = { rows: 0, created: 0, duplicates: 0, updated: 0, invalid: 0, bytes: 0 };
  const count = (changed: Partial<ImportCounts>): void => {
    counts = { ...counts, ...changed };
    job.onCounts(counts);
  };
  await rm(job.refusedFile, { force: true });
  const refused = new RefusedRows(job.refusedFile);

  async function* content(): AsyncGenerator<Uint8Array> {
    count({ bytes: 0 });
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      count({ bytes: counts.bytes + chunk.length });
      yield chunk;
    }
  }
  const send = async (): Promise<ImportSummary | null> => {
    const client = await job.open();
    // All rows are answered: what is told is how far it is, and an answer that says nothing for minutes would be taken for dead.
    for await (const line of client.importTargets(outdialId, content(), { ...job.options, results: 'all', signal })) {
      if ('summary' in line) return line.summary;
      if (line.row <= counts.rows) continue;
      const counted = COUNTED[line.result];
      count({ rows: line.row, [counted]: counts[counted] + 1 });
      if (line.result === 'duplicate' || line.result === 'invalid') await refused.add(line);
    }
    return null;
  };
  try {
    await persist(send, { retries, signal, reached: () => counts.rows, onRetry: job.onRetry });
  } finally {
    await refused.close();
  }
  return counts;
}

/** A file that is only there when there is something in it. */
class RefusedRows {
  private stream: WriteStream | null = null;

  constructor(private readonly file: string) {}

  async add(row: ImportResult): Promise<void> {
    this.stream ??= createWriteStream(this.file);
    if (!this.stream.write(`${JSON.stringify(row)}\n`)) await once(this.stream, 'drain');
  }

  async close(): Promise<void> {
    if (!this.stream) return;
    this.stream.end();
    await finished(this.stream);
  }
}
