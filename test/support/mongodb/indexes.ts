import type { Document } from 'bson';
import { resolve } from 'mingo/util';
import { matcher } from './matching';
import { SortedList } from './sorted-list';
import { compareLists, compareValues, identityOf } from './values';

/** A document where it is stored. A change puts another document in the same place; the documents themselves never change. */
export interface Stored {
  readonly row: number;
  document: Document;
}

export interface IndexSpec {
  readonly name: string;
  readonly key: Readonly<Record<string, 1 | -1>>;
  readonly unique: boolean;
  readonly partialFilterExpression?: Document;
}

export interface Entry {
  readonly values: readonly unknown[];
  readonly stored: Stored;
}

/** An answer that says what went wrong, as a server gives it. */
export class CommandError extends Error {
  constructor(
    readonly code: number,
    readonly codeName: string,
    message: string,
    readonly more: Document = {},
  ) {
    super(message);
  }
}

/** The keys of documents in the order of an index: an entry for each value of an array. */
export class Index {
  readonly fields: readonly string[];
  readonly directions: readonly number[];
  readonly entries: SortedList<Entry>;
  /** Fields that have held an array: an order of theirs is not an order of documents. */
  readonly multikey = new Set<string>();
  private readonly holds: ((document: Document) => boolean) | null;

  constructor(readonly spec: IndexSpec) {
    this.fields = Object.keys(spec.key);
    this.directions = Object.values(spec.key);
    this.entries = new SortedList((one, other) => this.compare(one.values, other.values) || one.stored.row - other.stored.row);
    this.holds = spec.partialFilterExpression === undefined ? null : matcher(spec.partialFilterExpression);
  }

  /** Of as many values as both have. */
  compare(one: readonly unknown[], other: readonly unknown[]): number {
    const length = Math.min(one.length, other.length);
    for (let i = 0; i < length; i += 1) {
      if (one[i] === other[i]) continue;
      const order = compareValues(one[i], other[i]) * (this.directions[i] ?? 1);
      if (order !== 0) return order;
    }
    return 0;
  }

  keysOf(document: Document): readonly (readonly unknown[])[] {
    if (this.holds !== null && !this.holds(document)) return [];
    let keys: unknown[][] = [[]];
    let spread: string | null = null;
    for (const field of this.fields) {
      const value: unknown = field.includes('.') ? resolve(document, field) : document[field];
      if (!Array.isArray(value)) {
        for (const key of keys) key.push(value ?? null);
        continue;
      }
      if (spread !== null) throw new CommandError(171, 'CannotIndexParallelArrays', `cannot index parallel arrays [${field}] [${spread}]`);
      spread = field;
      this.multikey.add(field);
      const distinct = new Map((value.length === 0 ? [null] : (value as unknown[])).map((one) => [identityOf(one), one]));
      keys = Array.from(distinct.values(), (one) => [...(keys[0] ?? []), one]);
    }
    return keys;
  }

  /** The key that another document has already; undefined when nothing is in the way. */
  clash(keys: readonly (readonly unknown[])[], own: Stored | null): readonly unknown[] | undefined {
    if (!this.spec.unique) return undefined;
    return keys.find((key) => {
      for (const { values, stored } of this.entries.upwards((entry) => this.compare(entry.values, key) >= 0)) {
        if (this.compare(values, key) !== 0) return false;
        if (stored !== own) return true;
      }
      return false;
    });
  }

  change(stored: Stored, before: readonly (readonly unknown[])[], after: readonly (readonly unknown[])[]): void {
    if (before.length === after.length && before.every((key, i) => compareLists(key, after[i] ?? []) === 0)) return;
    for (const values of before) this.entries.delete({ values, stored });
    for (const values of after) this.entries.add({ values, stored });
  }
}
