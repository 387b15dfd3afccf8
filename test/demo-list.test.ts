import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { normaliseTarget } from '#dialing';

const list = readFileSync(path.join(__dirname, '../apps/demo/list.csv'), 'utf8');

test('the committed demo list is, byte for byte, what its script makes', () => {
  const script = path.join(__dirname, '../scripts/make-demo-list.js');
  expect(execFileSync(process.execPath, [script], { encoding: 'utf8', maxBuffer: 2 ** 24 })).toBe(list);
});

describe('the demo list is like the lists that call centres get', () => {
  const rows = parse<Record<string, string>>(list, { columns: true });
  const first = (row: Record<string, string>): string =>
    [0, 1, 2, 3].map((n) => row[`destination_${n}`] ?? '').find((text) => text !== '') ?? '';
  const typeOf = (written: string): 'sip' | 'email' | 'tel' =>
    written.startsWith('sip:') ? 'sip' : written.includes('@') ? 'email' : 'tel';
  const read = rows.map((row) => ({ written: first(row), ...normaliseTarget(typeOf(first(row)), first(row)) }));
  const dialable = read.flatMap((row) => ('target' in row ? [row] : []));

  test('it has ten thousand rows', () => {
    expect(rows).toHaveLength(10_000);
  });

  test('some rows cannot be dialed, for every reason that is met in practice', () => {
    const reasons = new Set(read.flatMap((row) => ('reason' in row ? [row.reason] : [])));
    expect(read.length - dialable.length).toBeGreaterThan(100);
    expect(reasons.size).toBeGreaterThanOrEqual(5);
  });

  test('some repeat a number, and most of those spell it otherwise', () => {
    const spellings = new Map<string, Set<string>>();
    for (const { target, written } of dialable) spellings.set(target, (spellings.get(target) ?? new Set()).add(written));
    expect(dialable.length - spellings.size).toBeGreaterThan(200);
    expect([...spellings.values()].filter((written) => written.size > 1).length).toBeGreaterThan(100);
  });

  test('it mixes telephones, SIP addresses and e-mail', () => {
    const destinations = rows.flatMap((row) => [0, 1, 2, 3].map((n) => row[`destination_${n}`] ?? '').filter((text) => text !== ''));
    expect(new Set(destinations.map(typeOf))).toEqual(new Set(['tel', 'sip', 'email']));
  });
});
