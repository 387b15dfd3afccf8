import { ConnectionError, readError, reasonOf } from './requests';
import type { Body, Send } from './requests';
import type { ImportResult, ImportSummary } from './shapes';

export interface ImportOptions {
  readonly format: 'csv' | 'ndjson';
  /** Changes nothing, and tells what would have been. */
  readonly dryRun?: boolean;
  /** The rows to tell the fate of: all of them when left out. Refused are duplicates and invalid ones. */
  readonly results?: 'all' | 'refused' | 'none';
  readonly ignoreUnknown?: boolean;
  readonly updateDuplicates?: boolean;
  /** Deleted targets are added again. */
  readonly readd?: boolean;
  readonly signal?: AbortSignal;
}

export type ImportLine = ImportResult | { readonly summary: ImportSummary };

export const FILE_TYPES = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const;

/**
 * Sends a file and yields what becomes of its rows while it is sent, in their order; the summary comes last. Memory does not grow with the file. Throws `ApiError` when
 * the service refuses it or fails on the way, and `ConnectionError` when the answer ends early: sending the file again completes it, and doubles nothing.
 */
export async function* importTargets(send: Send, outdialId: string, body: Body, options: ImportOptions): AsyncGenerator<ImportLine> {
  const { format, dryRun, results, ignoreUnknown, updateDuplicates, readd, signal } = options;
  const response = await send('POST', `/v1.0/outdials/${outdialId}/targets`, {
    headers: { 'content-type': FILE_TYPES[format] },
    query: {
      dry_run: dryRun,
      results,
      ignore_unknown: ignoreUnknown,
      on_duplicate: updateDuplicates ? 'update' : undefined,
      readd,
    },
    body,
    ...(signal === undefined ? {} : { signal }),
  });
  let ended = false;
  for await (const text of linesOf(response, signal)) {
    const line = JSON.parse(text) as ImportLine | { readonly error: object };
    if ('error' in line) throw readError(text, response.status, null);
    ended = 'summary' in line;
    yield line;
  }
  if (!ended) throw new ConnectionError('the answer ended before the import did');
}

async function* linesOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunksOf(response, signal)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

/** The bytes of an answer. Throws `ConnectionError` when they end too early. */
export async function* chunksOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) yield chunk as Uint8Array;
  } catch (error) {
    signal?.throwIfAborted();
    throw new ConnectionError(`the connection broke: ${reasonOf(error)}`, { cause: error });
  }
}
