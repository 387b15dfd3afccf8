import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { five } from '#dialing';
import type { Address, NewTarget, Target } from '#dialing';
import { aTarget } from '../../../test/support/gateway';
import { exportAnswer, wantsCsv } from './exports';
import { bodyOf, readRows } from './import-rows';

/** Texts as people and programs write them: quotes, line breaks, formulas, byte order marks, spaces at both ends, every script. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('"', ',', '\r\n', '\n', '\r', '=1+1', '@x', '\uFEFF', ' ', '\t', ';', '\uFFFD', '""'),
    ),
  )
  .map((parts) => parts.join('').replace(/[\0\p{Surrogate}]/gu, ''));
const upTo = (max: number, texts: fc.Arbitrary<string>): fc.Arbitrary<string> => texts.filter((value) => value.length <= max);

const addresses = fc
  .oneof(
    fc.integer({ min: 2_000_000, max: 9_999_999 }).map((n) => ({ type: 'tel', target: `+1555${n}` }) as const),
    fc.integer({ min: 0 }).map((n) => ({ type: 'email', target: `user${n}@example.com` }) as const),
    fc.integer({ min: 0 }).map((n) => ({ type: 'sip', target: `sip:user${n}@example.com` }) as const),
  )
  .chain((way) =>
    fc.tuple(anyText, anyText, anyText).map(([target_name, name, detail]): Address => ({ ...way, target_name, name, detail })),
  );

const limit = fc.option(fc.integer({ min: 0, max: 100 }), { nil: null });
const targets: fc.Arbitrary<NewTarget> = fc
  .record({
    externalId: fc.option(
      upTo(255, anyText).filter((id) => id !== ''),
      { nil: null },
    ),
    name: upTo(255, anyText),
    detail: anyText,
    data: anyText,
    priority: fc.integer({ min: -100, max: 100 }),
    first: addresses,
    others: fc.array(fc.option(addresses, { nil: null }), { minLength: 4, maxLength: 4 }),
    at: fc.nat(4),
    all: limit,
    each: fc.array(limit, { minLength: 5, maxLength: 5 }),
  })
  .map(({ first, others, at, all, each, ...texts }) => ({
    ...texts,
    destinations: five((index) => (index === at ? first : (others[index] ?? null))),
    limits: { tryCountMax: all, tryCountMaxes: five((index) => each[index] ?? null) },
  }));

async function* one(page: readonly Target[]): AsyncGenerator<readonly Target[]> {
  yield page;
}

describe.each(['csv', 'ndjson'] as const)('what was exported as %s', (format) => {
  test('imports again to equal targets, whatever they are called', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(targets, { maxLength: 5 }), async (given) => {
        const file = await text(exportAnswer(one(given.map((target) => aTarget(target))), format === 'csv').stream);
        const read: unknown[] = [];
        for await (const rows of await readRows(format, bodyOf(Readable.from([Buffer.from(file)])), { ignoreUnknown: false }))
          read.push(...rows.map((row) => ('target' in row ? row.target : row)));
        expect(read).toEqual(given);
      }),
      { numRuns: 300 },
    );
  });
});

test('an export is CSV for who asks for it, and JSON lines for all others', () => {
  expect(['text/csv', 'text/csv;q=0.9, */*;q=0.1', 'TEXT/CSV'].map(wantsCsv)).toEqual([true, true, true]);
  expect([undefined, '*/*', 'application/json', 'application/x-ndjson, text/csv'].map(wantsCsv)).toEqual([false, false, false, false]);
});
