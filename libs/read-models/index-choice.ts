import type { CollectionSchema, FindQuery, IndexSchema } from './read-store';

/** What of a query chooses its index, the same on every engine. */
export type Rows = Pick<FindQuery, 'collection' | 'where' | 'range' | 'order'>;

/** The fields of the order that is asked for. */
export const sortedBy = ({ order, range }: Rows): readonly string[] => {
  if (order !== undefined) return order.then === undefined ? [order.field] : [order.field, order.then];
  return range === undefined ? [] : [range.field];
};

/**
 * The rule of `FindQuery`: the index that covers the most `where` fields and then the order, the first declared of equals. Throws for a query that no index
 * serves.
 */
export function indexFor(schema: CollectionSchema, query: Rows): { readonly at: number; readonly index: IndexSchema } {
  const at = bestIndex(schema, query);
  const index = schema.indexes[at];
  if (index === undefined) throw new Error(`No index of ${schema.name} serves ${JSON.stringify(query)}.`);
  return { at, index };
}

function bestIndex(schema: CollectionSchema, query: Rows): number {
  const sorted = sortedBy(query);
  if (query.range !== undefined && query.range.field !== sorted[0]) return -1;
  let best = -1;
  let covered = -1;
  const asked = Object.keys(query.where);
  for (const [at, index] of schema.indexes.entries()) {
    const filters = index.fields.slice(0, index.fields.length - sorted.length);
    const serves =
      sorted.every((field, i) => index.fields[filters.length + i] === field) &&
      filters.every((field) => query.where[field] !== undefined && (query.where[field] !== null || !index.sparse)) &&
      // What is left of `where` is compared with the row; a field of many values is not in it.
      asked.every((field) => filters.includes(field) || schema.fields[field] !== 'texts') &&
      index.fields.length >= sorted.length &&
      // An order alone would be walked from its beginning until enough rows fit.
      (filters.length > 0 || asked.length === 0);
    if (serves && filters.length > covered) {
      best = at;
      covered = filters.length;
    }
  }
  return best;
}

/** The digits of `FindQuery.idStartsWith`, each once. Throws RangeError for anything else. */
export function idStarts(digits: string): readonly string[] {
  if (!/^[0-9a-f]*$/.test(digits))
    throw new RangeError(`An id starts with one of some hex digits, such as 03ab, not ${JSON.stringify(digits)}.`);
  return Array.from(new Set(digits));
}
