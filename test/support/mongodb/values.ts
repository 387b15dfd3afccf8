import { EJSON, Long, ObjectId } from 'bson';

/** The order of values of different types, by what bson says they are. */
const TYPES: Readonly<Record<string, number>> = {
  MinKey: 0,
  Long: 2,
  Int32: 2,
  Double: 2,
  Decimal128: 2,
  Binary: 6,
  UUID: 6,
  ObjectId: 7,
  Timestamp: 10,
  BSONRegExp: 11,
  MaxKey: 12,
};

const PLAIN: Readonly<Record<string, number>> = { undefined: 1, number: 2, bigint: 2, string: 3, boolean: 8 };

export const rankOf = (value: unknown): number => PLAIN[typeof value] ?? rankOfObject(value as object | null);

function rankOfObject(value: object | null): number {
  if (value === null) return 1;
  if (Array.isArray(value)) return 5;
  if (value instanceof Date) return 9;
  if (value instanceof RegExp) return 11;
  return '_bsontype' in value ? (TYPES[String(value._bsontype)] ?? 4) : 4;
}

/** As a server orders any two values: by type, then by value; missing is null. */
export function compareValues(one: unknown, other: unknown): number {
  if (one === other) return 0;
  const rank = rankOf(one);
  const difference = rank - rankOf(other);
  if (difference !== 0) return difference;
  switch (rank) {
    case 2:
      return Number(one) - Number(other);
    case 3:
      return compareTexts(one as string, other as string);
    case 4:
      return compareLists(Object.entries(one as object).flat(), Object.entries(other as object).flat());
    case 5:
      return compareLists(one as unknown[], other as unknown[]);
    case 8:
    case 9:
      return Number(one) - Number(other);
    case 6:
    case 7:
    case 10:
    case 11:
      return compareTexts(EJSON.stringify(one), EJSON.stringify(other));
    default:
      return 0;
  }
}

export function compareLists(one: readonly unknown[], other: readonly unknown[]): number {
  for (let i = 0; i < Math.min(one.length, other.length); i += 1) {
    const order = compareValues(one[i], other[i]);
    if (order !== 0) return order;
  }
  return one.length - other.length;
}

/** Byte by byte of UTF-8, which is the order of the code points: surrogates stand above all of the basic plane. */
function compareTexts(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let i = 0; i < length; i += 1) {
    const [mine, theirs] = [one.charCodeAt(i), other.charCodeAt(i)];
    if (mine !== theirs) return aligned(mine) - aligned(theirs);
  }
  return one.length - other.length;
}

const aligned = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** A text that is the same for values which a server takes to be equal. */
export function identityOf(value: unknown): string {
  if (typeof value === 'string') return `s${value}`;
  if (typeof value === 'number' || value instanceof Long) return `n${Number(value)}`;
  if (value instanceof ObjectId) return `o${value.toHexString()}`;
  return `e${EJSON.stringify(value)}`;
}
