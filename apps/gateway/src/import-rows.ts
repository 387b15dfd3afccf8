import { isUtf8 } from 'node:buffer';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parse } from 'csv-parse';
import type { ErrorDetail, OutdialError } from '#dialing';
import type { TargetRow } from '#application';
import { detail, isObject, known, refused } from './dto/rules';
import { NewTargetBody, readTarget } from './dto/target.dto';
import { isTooDeep } from './json-body';
import { fieldsOf, isColumn } from './target-csv';

/** Longest row, in bytes. */
const MAX_ROW = 1024 * 1024;
/** Rows that are read and decided without letting anybody else have the thread: some milliseconds. */
const CHUNK = 64;

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const TOO_LONG = `is longer than ${MAX_ROW / 1024 / 1024} MiB`;
const NOT_UTF8 = 'is not UTF-8';

export type ImportFormat = 'ndjson' | 'csv';

/** A row that was read, valid or not. */
export type ImportRow = TargetRow & { /** As it was sent, if it was. */ readonly externalId: string | null };

/** What came of a body so far; a body that broke off ends where it broke. */
export interface Body {
  readonly bytes: AsyncIterable<Buffer>;
  readonly isCut: () => boolean;
}

export function bodyOf(stream: NodeJS.ReadableStream & { iterator(options: { destroyOnReturn: boolean }): AsyncIterator<Buffer> }): Body {
  let cut = false;
  async function* read(): AsyncGenerator<Buffer> {
    try {
      // Not destroyed when its reader stops before its end: the answer has to go out on the same socket.
      yield* { [Symbol.asyncIterator]: () => stream.iterator({ destroyOnReturn: false }) };
    } catch {
      cut = true;
    }
  }
  return { bytes: read(), isCut: () => cut };
}

/** Whole lines as they came, or one that is too long. The end of a body that was cut is no line: it may be half of one. */
async function* wholeLines({ bytes, isCut }: Body): AsyncGenerator<Buffer | typeof TOO_LONG> {
  let rest: Buffer = Buffer.alloc(0);
  let skipping = false;
  let begun = false;
  for await (const chunk of bytes) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (!begun && rest.length >= BYTE_ORDER_MARK.length) {
      begun = true;
      if (BYTE_ORDER_MARK.equals(rest.subarray(0, BYTE_ORDER_MARK.length))) rest = rest.subarray(BYTE_ORDER_MARK.length);
    }
    if (skipping) {
      const end = rest.indexOf(NEWLINE);
      skipping = end < 0;
      rest = skipping ? Buffer.alloc(0) : rest.subarray(end + 1);
    }
    const end = rest.lastIndexOf(NEWLINE) + 1;
    if (end > 0) yield rest.subarray(0, end);
    rest = rest.subarray(end);
    if (rest.length > MAX_ROW) {
      yield TOO_LONG;
      skipping = true;
      rest = Buffer.alloc(0);
    }
  }
  if (rest.length > 0 && !isCut()) yield rest;
}

/** What a row is before it is known to be a target. */
type Sent = { readonly value: unknown } | { readonly details: readonly ErrorDetail[] };

const invalid = (reason: string): Sent => ({ details: [detail('row', reason)] });

async function* ndjsonRows(body: Body): AsyncGenerator<readonly Sent[]> {
  for await (const lines of wholeLines(body)) {
    if (lines === TOO_LONG) {
      yield [invalid(TOO_LONG)];
      continue;
    }
    let sent: Sent[] = [];
    for (let start = 0; start < lines.length;) {
      const newline = lines.indexOf(NEWLINE, start);
      const end = newline < 0 ? lines.length : newline;
      const row = readLine(lines.subarray(start, end));
      if (row) sent.push(row);
      start = end + 1;
      if (sent.length === CHUNK) {
        yield sent;
        sent = [];
      }
    }
    if (sent.length > 0) yield sent;
  }
}

/** A line of JSON; null for one that is blank. */
function readLine(line: Buffer): Sent | null {
  if (line.length > MAX_ROW) return invalid(TOO_LONG);
  if (!isUtf8(line)) return invalid(NOT_UTF8);
  const text = line.toString('utf8').trim();
  if (text === '') return null;
  if (isTooDeep(line)) return invalid('is nested too deeply');
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return invalid('is not JSON');
  }
}

/** Marks what is not UTF-8, which csv-parse would replace in silence. No text can have it otherwise: NUL is refused everywhere. */
const NUL = '\0';

function marked(lines: Buffer): Buffer {
  if (isUtf8(lines)) return lines;
  const parts: Buffer[] = [];
  for (let start = 0; start < lines.length;) {
    const newline = lines.indexOf(NEWLINE, start);
    const end = newline < 0 ? lines.length : newline + 1;
    const line = lines.subarray(start, end);
    parts.push(isUtf8(line) ? line : Buffer.from(line.toString('utf8').replaceAll('\uFFFD', NUL)));
    start = end;
  }
  return Buffer.concat(parts);
}

type Records = readonly (readonly string[])[];

/** Records as they are complete, some at a time. What cannot be a CSV file any more, from there on, is 400 with the row it began in. */
async function* csvRecords(body: Body): AsyncGenerator<Records> {
  let records: string[][] = [];
  let count = 0;
  const parser = parse({
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: MAX_ROW,
    // Taken here, none goes on into the stream: so all that came before an error is at hand when it is met.
    on_record: (record: string[]) => void records.push(record),
  });
  parser.on('error', () => undefined);
  parser.resume();
  const step = async (feed: (done: (error?: Error | null) => void) => void): Promise<OutdialError | null> =>
    new Promise((resolve) => {
      feed((error) => resolve(error ? unreadable(error, count + records.length) : null));
    });
  const taken = (): Records => {
    const complete = records;
    records = [];
    count += complete.length;
    return complete;
  };
  const end = (): Promise<OutdialError | null> => step((done) => parser.end(done));
  for await (const lines of wholeLines(body)) {
    if (lines === TOO_LONG) {
      // The parser keeps the last bytes back until it sees what follows them.
      await end();
      yield taken();
      throw brokenCsv(count, TOO_LONG);
    }
    const broken = await step((done) => parser.write(marked(lines), done));
    yield taken();
    if (broken) throw broken;
  }
  const broken = await end();
  yield taken();
  // In a body that was cut the last quote is open because it was cut.
  if (broken && !body.isCut()) throw broken;
}

const brokenCsv = (row: number, reason: string): OutdialError => {
  const field = row === 0 ? 'header' : `row ${row}`;
  return refused([detail(field, reason)]);
};

function unreadable(error: Error, row: number): OutdialError {
  const code = 'code' in error ? error.code : '';
  return brokenCsv(row, code === 'CSV_MAX_RECORD_SIZE' ? `${TOO_LONG}, or a quote in it is never closed` : 'a quote in it is never closed');
}

/** The columns of a CSV file; null for those to be ignored. Throws 400 for a header that is none. */
function readHeader(names: readonly string[] | undefined, ignoreUnknown: boolean): readonly (string | null)[] {
  if (!names) throw refused([detail('header', 'is required: the first line of a CSV file names its columns')]);
  const columns = names.map((name) => name.trim());
  const [only = ''] = columns;
  const separator = columns.length === 1 && !isColumn(only) ? /[;\t|]/.exec(only)?.[0] : undefined;
  if (separator !== undefined) throw refused([detail('header', 'columns must be separated by commas', only)]);
  const details = columns.flatMap((name, index) => {
    if (!isColumn(name)) return ignoreUnknown ? [] : [detail(name === '' ? `column ${index + 1}` : name, 'unknown column')];
    return columns.indexOf(name) < index ? [detail(name, 'is there twice')] : [];
  });
  if (details.length > 0) throw refused(details);
  return columns.map((name) => (isColumn(name) ? name : null));
}

function readRecord(columns: readonly (string | null)[], record: readonly string[]): Sent {
  if (record.length > columns.length) return invalid(`has ${record.length} cells, but the header names ${columns.length} columns`);
  const cells = new Map<string, string>();
  for (const [index, cell] of record.entries()) {
    const column = columns[index];
    if (column == null || cell === '') continue;
    if (cell.includes(NUL)) return { details: [detail(column, `${NOT_UTF8}, or contains NUL`)] };
    cells.set(column, cell);
  }
  return { value: fieldsOf(cells) };
}

async function* csvRows(
  records: AsyncGenerator<Records>,
  { header, rest }: { readonly header: readonly (string | null)[]; readonly rest: Records },
): AsyncGenerator<readonly Sent[]> {
  function* chunks(some: Records): Generator<readonly Sent[]> {
    for (let start = 0; start < some.length; start += CHUNK) {
      yield some.slice(start, start + CHUNK).map((record) => readRecord(header, record));
    }
  }
  yield* chunks(rest);
  for await (const some of records) yield* chunks(some);
}

const KNOWN_FIELDS: ReadonlySet<string> = new Set(known(NewTargetBody.prototype).keys());
const onlyKnown = (value: unknown): unknown =>
  isObject(value) ? Object.fromEntries(Object.entries(value).filter(([name]) => KNOWN_FIELDS.has(name))) : value;

function readRow(sent: Sent, ignoreUnknown: boolean): ImportRow {
  if ('details' in sent) return { ...sent, externalId: null };
  const value = ignoreUnknown ? onlyKnown(sent.value) : sent.value;
  const externalId = isObject(value) && typeof value.external_id === 'string' && value.external_id !== '' ? value.external_id : null;
  const row = readTarget(value, '');
  if ('target' in row) return { ...row, externalId };
  // Of a value that is wrong its beginning is shown: an answer must not be larger than what it answers.
  return { details: row.details.map(({ field, reason, value: wrong }) => detail(field, reason, wrong)), externalId };
}

/**
 * The rows of a body, in chunks, as they come. Each chunk is read in a turn of its own, so that other requests are served between them. Throws 400 before the
 * first for a CSV header that cannot be used, and later where a CSV file cannot be read on.
 */
export async function readRows(
  format: ImportFormat,
  body: Body,
  options: { readonly ignoreUnknown: boolean },
): Promise<AsyncIterable<readonly ImportRow[]>> {
  const sent = format === 'ndjson' ? ndjsonRows(body) : await openCsv(body, options.ignoreUnknown);
  async function* rows(): AsyncGenerator<readonly ImportRow[]> {
    for await (const chunk of sent) {
      yield chunk.map((one) => readRow(one, options.ignoreUnknown));
      await nextTurn();
    }
  }
  return rows();
}

async function openCsv(body: Body, ignoreUnknown: boolean): Promise<AsyncGenerator<readonly Sent[]>> {
  const records = csvRecords(body);
  for (;;) {
    // Not a loop over them: that would end them with the header.
    const next = await records.next();
    const [names, ...rest] = next.done ? [] : next.value;
    if (names || next.done) return csvRows(records, { header: readHeader(names, ignoreUnknown), rest });
  }
}
