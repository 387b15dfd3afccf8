import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import type { NewTarget } from './api';

const DESTINATION = /^destination_[0-4]$/;

/**
 * Reads a list (CSV with a header row) into targets as the API takes them. Nothing is checked here: what is wrong with a row is the service's to
 * say. A destination's type is read off it, as the service itself does when it is sent CSV.
 */
export function readList(file: string): readonly NewTarget[] {
  const rows: readonly Readonly<Record<string, string>>[] = parse(readFileSync(file), { columns: true, bom: true });
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).flatMap(([column, value]) => (value === '' ? [] : [readField(column, value)]))),
  );
}

function readField(column: string, value: string): readonly [string, NewTarget[string]] {
  if (DESTINATION.test(column)) return [column, { type: typeOf(value), target: value }];
  return [column, column === 'priority' ? Number(value) : value];
}

function typeOf(written: string): 'tel' | 'sip' | 'email' {
  if (/^sips?:/i.test(written)) return 'sip';
  return written.includes('@') ? 'email' : 'tel';
}
