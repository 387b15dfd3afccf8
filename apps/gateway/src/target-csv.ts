import { DESTINATIONS, readAddressType } from '#dialing';
import type { Address, Target } from '#dialing';

/** The columns of a CSV file of targets, and what stands in them: both ways in one place (the API contract, Targets). */

const TEXTS = ['external_id', 'name', 'detail', 'data'] as const;
const NUMBERS = ['priority', 'try_count_max', ...DESTINATIONS.map((index) => `try_count_max_${index}`)] as const;
const PARTS = ['type', 'target_name', 'name', 'detail'] as const;
/** `destination` is another name of the first one. */
const ADDRESSES = ['destination', ...DESTINATIONS.map((index) => `destination_${index}`)] as const;

const READABLE: ReadonlySet<string> = new Set([
  ...TEXTS,
  ...NUMBERS,
  ...ADDRESSES.flatMap((name) => [name, ...PARTS.map((part) => `${name}_${part}`)]),
]);

export const isColumn = (name: string): boolean => READABLE.has(name);

const WHOLE_NUMBER = /^[+-]?\d{1,15}$/;

/** A number where there is one; else what stands there, for whoever checks the row to refuse. */
const readNumber = (cell: string): number | string => (WHOLE_NUMBER.test(cell.trim()) ? Number(cell) : cell);

/**
 * The fields of a target as JSON would have them. An empty cell says nothing; what is said about an address that is not there is not heard: many lists
 * name a type in each row.
 */
export function fieldsOf(cells: ReadonlyMap<string, string>): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = {};
  for (const name of TEXTS) if (cells.has(name)) fields[name] = cells.get(name);
  for (const name of NUMBERS) {
    const cell = cells.get(name);
    if (cell !== undefined) fields[name] = readNumber(cell);
  }
  for (const name of ADDRESSES) {
    const target = cells.get(name);
    if (target === undefined) continue;
    const parts = PARTS.flatMap((part) => {
      const cell = cells.get(`${name}_${part}`);
      return cell === undefined ? [] : [[part, part === 'type' ? cell.trim().toLowerCase() : cell]];
    });
    fields[name] = { type: readAddressType(target), target, ...Object.fromEntries(parts) };
  }
  return fields;
}

const WRITTEN = [
  ...TEXTS,
  'priority',
  ...DESTINATIONS.flatMap((index) => [`destination_${index}`, ...PARTS.map((part) => `destination_${index}_${part}`)]),
  ...NUMBERS.filter((name) => name !== 'priority'),
];

/** Quoted where it must be, and never changed: what a spreadsheet would take for a formula comes back as it was. */
const quote = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
const line = (cells: readonly (string | number | null)[]): string => `${cells.map((cell) => quote(String(cell ?? ''))).join(',')}\r\n`;

const addressCells = (address: Address | null): readonly string[] =>
  address === null ? ['', '', '', '', ''] : [address.target, address.type, address.target_name, address.name, address.detail];

export const CSV_HEADER = line(WRITTEN);

/** Everything of a target that is its owner's to say, so that the file can be imported again. */
export const csvLine = ({ externalId, name, detail, data, priority, destinations, limits }: Target): string =>
  line([externalId, name, detail, data, priority, ...destinations.flatMap(addressCells), limits.tryCountMax, ...limits.tryCountMaxes]);
