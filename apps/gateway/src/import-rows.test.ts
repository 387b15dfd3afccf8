import { PassThrough, Readable } from 'node:stream';
import { OutdialError } from '#dialing';
import { bodyOf, readRows } from './import-rows';
import type { ImportFormat, ImportRow } from './import-rows';

const MIB = 1024 * 1024;
const bytes = (text: string | Buffer): Buffer => (typeof text === 'string' ? Buffer.from(text) : text);

/** The rows of a file that comes in pieces of this size, and what ended the reading. */
async function read(
  format: ImportFormat,
  text: string | Buffer,
  { ignoreUnknown = false, pieces = 65_536 } = {},
): Promise<{ readonly rows: readonly ImportRow[]; readonly error: OutdialError | null }> {
  const all = bytes(text);
  const parts = Array.from({ length: Math.ceil(all.length / pieces) }, (_, n) => all.subarray(n * pieces, (n + 1) * pieces));
  const rows: ImportRow[] = [];
  try {
    for await (const chunk of await readRows(format, bodyOf(Readable.from(parts)), { ignoreUnknown })) rows.push(...chunk);
  } catch (error) {
    if (!(error instanceof OutdialError)) throw error;
    return { rows, error };
  }
  return { rows, error: null };
}
/** A row as its name, or the first thing that is wrong with it. */
const fate = (row: ImportRow): string =>
  'target' in row ? row.target.name : `${row.details[0]?.field ?? ''}: ${row.details[0]?.reason ?? ''}`;
const fates = async (...args: Parameters<typeof read>): Promise<readonly string[]> => (await read(...args)).rows.map(fate);

const json = (name: string, more: object = {}): string =>
  JSON.stringify({ name, destination: { type: 'tel', target: '+15551234567' }, ...more });

describe('JSON lines', () => {
  test('are rows, whatever pieces they come in, with or without a last line break', async () => {
    const file = `\uFEFF${json('Ädä')}\r\n\n  \n${json('Ben 😀')}\n${json('Cleo')}`;
    for (const pieces of [1, 2, 3, 7, 64, 10_000]) expect(await fates('ndjson', file, { pieces })).toEqual(['Ädä', 'Ben 😀', 'Cleo']);
  });

  test.each([
    ['no JSON', '{"name":', 'row: is not JSON'],
    ['no object', '[1]', 'body: must be an object'],
    ['nothing but null', 'null', 'body: must be an object'],
    ['half a character', Buffer.from([0x22, 0xc3, 0x22]), 'row: is not UTF-8'],
    ['too many levels', `${'['.repeat(100)}${']'.repeat(100)}`, 'row: is nested too deeply'],
    ['an unknown field', json('x', { shoe_size: 43 }), 'shoe_size: unknown field'],
    ['a name that means something to JavaScript', '{"__proto__":{"name":"x"}}', '__proto__: unknown field'],
    ['no destination', '{"name":"x"}', 'destination_0: at least one destination is needed'],
    ['more than a row may have', json('x'.repeat(MIB)), 'row: is longer than 1 MiB'],
  ])('with %s spoil no other', async (_, wrong, expected) => {
    const file = Buffer.concat([json('before'), '\n', wrong, '\n', json('after'), '\n'].map(bytes));
    for (const pieces of [1000, 65_536, 8 * MIB]) expect(await fates('ndjson', file, { pieces })).toEqual(['before', expected, 'after']);
  });

  test('show no more of what is wrong than helps', async () => {
    const { rows } = await read('ndjson', json('x', { destination: ['x'.repeat(1000)], detail: 'y'.repeat(100_000) }));
    expect(JSON.stringify(rows).length).toBeLessThan(1000);
  });

  test('may have unknown fields where they are to be ignored', async () => {
    expect(await fates('ndjson', json('x', { shoe_size: 43 }), { ignoreUnknown: true })).toEqual(['x']);
  });

  test('tell the external id of a row that is wrong, too', async () => {
    const { rows } = await read('ndjson', `${json('x', { external_id: 'a', priority: 'high' })}\n${json('y', { external_id: 7 })}`);
    expect(rows.map(({ externalId }) => externalId)).toEqual(['a', null]);
  });
});

describe('a CSV file', () => {
  test('has rows, whatever pieces it comes in', async () => {
    const file = '\uFEFFname,destination_0\r\n"Smith, ""Ä""\r\nand son",+15551234567\r\n\r\n=1+1,+15551234568\r\nplain,+15551234569';
    for (const pieces of [1, 2, 3, 7, 64, 10_000]) {
      expect(await fates('csv', file, { pieces })).toEqual(['Smith, "Ä"\r\nand son', '=1+1', 'plain']);
    }
  });

  test.each([
    ['an empty cell for its only address', 'b,', 'destination_0: at least one destination is needed'],
    ['more cells than columns', 'b,+15551234567,1,2,3', 'row: has 5 cells, but the header names 3 columns'],
    ['a priority in words', 'b,+15551234567,high', 'priority: must be a whole number from -100 to 100'],
    ['an address that is none', 'b,nonsense,', 'destination_0.target: write it in E.164 with a leading +, like +15551234567'],
    ['half a character', Buffer.from([0x62, 0xc3, 0x2c, 0x2b]), 'name: is not UTF-8, or contains NUL'],
    ['a quote within a cell', 'say "b",+15551234567,', 'say "b"'],
    ['a quote that ends before its cell does', '"b" c,+15551234567,', '"b" c'],
    ['fewer cells than columns', 'b,+15551234567', 'b'],
  ])('with %s in a row is right in the others', async (_, wrong, expected) => {
    const file = Buffer.concat(['name,destination_0,priority\n', 'a,+15551234501,\n', wrong, '\n', 'c,+15551234502,3\n'].map(bytes));
    for (const pieces of [10, 65_536]) expect(await fates('csv', file, { pieces })).toEqual(['a', expected, 'c']);
  });

  test('says what an address is where its column of types does', async () => {
    const header = 'destination,destination_type,destination_target_name,destination_name,destination_detail,destination_1_type';
    const { rows } = await read('csv', `${header}\njane@example.com,SIP,Jane,work,desk,tel\n`);
    expect(rows).toMatchObject([
      {
        target: {
          destinations: [
            { type: 'sip', target: 'sip:jane@example.com', target_name: 'Jane', name: 'work', detail: 'desk' },
            null,
            null,
            null,
            null,
          ],
        },
      },
    ]);
  });

  test.each([
    ['nothing in it', '', 'header', 'is required: the first line of a CSV file names its columns'],
    ['blank lines alone', '\n\r\n\n', 'header', 'is required: the first line of a CSV file names its columns'],
    ['a column that no target has', 'destination_0,shoe_size\n', 'shoe_size', 'unknown column'],
    ['a column without a name', 'destination_0,\n', 'column 2', 'unknown column'],
    ['a column twice', 'name,destination_0,name\n', 'name', 'is there twice'],
    ['semicolons between its columns', 'name;destination_0\n', 'header', 'columns must be separated by commas'],
    ['a header that has no end', 'x'.repeat(3 * MIB), 'header', 'is longer than 1 MiB'],
    ['a header that is one open quote', '"name\n', 'header', 'a quote in it is never closed'],
  ])('with %s is refused before its first row', async (_, file, field, reason) => {
    const { rows, error } = await read('csv', file);
    expect(rows).toEqual([]);
    expect(error?.details).toMatchObject([{ field, reason }]);
  });

  test('may have unknown columns where they are to be ignored', async () => {
    expect(await fates('csv', 'shoe_size,destination_0,,name\n43,+15551234567,x,a\n', { ignoreUnknown: true })).toEqual(['a']);
  });

  test.each([
    ['a quote that is never closed', '"c,+15551234503\nd,+15551234504\n', 'a quote in it is never closed'],
    [
      'a quote that is closed after more than a row may have',
      `"${'x\n'.repeat(MIB)}",+1`,
      'is longer than 1 MiB, or a quote in it is never closed',
    ],
    ['a line that has no end', 'y'.repeat(2 * MIB), 'is longer than 1 MiB'],
    ['commas without end', ','.repeat(2 * MIB), 'is longer than 1 MiB'],
  ])('with %s is read up to there, and says where', async (_, wrong, reason) => {
    for (const pieces of [65_536, 8 * MIB]) {
      const file = `name,destination_0\na,+15551234501\nb,+15551234502\n${wrong}`;
      const { rows, error } = await read('csv', file, { pieces });
      expect(rows.map(fate)).toEqual(['a', 'b']);
      expect(error?.details).toMatchObject([{ field: 'row 3', reason }]);
    }
  });
});

describe('a body that breaks off', () => {
  const lines = { ndjson: [json('a'), json('b')], csv: ['name,destination_0', 'a,+15551234501', 'b,"+15551234502"'] } as const;

  test.each<ImportFormat>(['ndjson', 'csv'])('gives its whole rows and no half of one: %s', async (format) => {
    const whole = `${lines[format].join('\n')}\n`;
    for (let half = 1; half < 20; half += 1) {
      const stream = new PassThrough();
      const body = bodyOf(stream);
      const rows: string[] = [];
      stream.write(whole + (format === 'csv' ? 'c,"+15551234503"\n' : `${json('c')}\n`).slice(0, half));
      for await (const chunk of await readRows(format, body, { ignoreUnknown: false })) {
        rows.push(...chunk.map(fate));
        if (!stream.destroyed) {
          stream.once('error', () => undefined).destroy(new Error('aborted'));
        }
      }
      expect(rows.slice(0, 2)).toEqual(['a', 'b']);
      expect(rows.slice(2).every((name) => name === 'c')).toBe(true);
      expect(body.isCut()).toBe(true);
    }
  });
});
