import type { Document, Filter, Sort } from 'mongodb';
import { idStarts, indexFor, sortedBy, type Rows } from './index-choice';
import { indexName, type MongoDocument } from './mongo-layout';
import type { CollectionSchema, FindQuery } from './read-store';

export interface MongoQuery {
  readonly filter: Filter<MongoDocument>;
  readonly sort?: Sort;
  /** The index that serves it. A server refuses a hint of one that is not there. */
  readonly hint: string;
}

/**
 * A query as MongoDB is asked it, step by step until enough rows are there. What goes on after a row takes two: the rest of those with the same value, then all beyond it. One
 * condition with `$or` for both would have a server walk from the first row of the list. Throws for a query that no index serves.
 */
export function findSteps(schema: CollectionSchema, query: FindQuery): readonly MongoQuery[] {
  const rows = conditionsOf(schema, query);
  if (query.idStartsWith !== undefined) {
    const digits = idStarts(query.idStartsWith).join('');
    if (digits === '') return [];
    rows.bound('_id', '$regex', new RegExp(`^[${digits}]`));
  }
  const { order, after } = query;
  if (order === undefined) {
    if (after !== undefined) throw new Error(`A query of ${schema.name} goes on after a row only in an order.`);
    return [rows.query()];
  }
  const direction = order.direction === 'ascending' ? 1 : -1;
  const sort = new Map([order.field, ...(order.then === undefined ? [] : [order.then]), '_id'].map((field) => [field, direction] as const));
  if (after === undefined) return [rows.query(sort)];
  if (order.then !== undefined) throw new Error(`A query of ${schema.name} goes on after a row only in the order of one field.`);
  const beyond = direction === 1 ? '$gt' : '$lt';
  const rest = rows.and(order.field, beyond, after.value).query(sort);
  if (after.id === undefined) return [rest];
  return [rows.and(order.field, '$eq', after.value).and('_id', beyond, after.id).query(sort), rest];
}

/** Throws for a query that no index serves. */
export const countQuery = (schema: CollectionSchema, query: Pick<FindQuery, 'collection' | 'where' | 'range'>): MongoQuery =>
  conditionsOf(schema, query).query();

type Operator = '$eq' | '$gt' | '$gte' | '$lt' | '$lte' | '$exists' | '$regex';

/** The conditions on each field. A second one of the same kind is added to the first. */
class Conditions {
  constructor(
    private readonly hint: string,
    private readonly fields: Map<string, Document> = new Map(),
    private readonly more: Document[] = [],
  ) {}

  bound(field: string, operator: Operator, value: unknown): void {
    const there = this.fields.get(field) ?? {};
    if (operator in there) this.more.push({ [field]: { [operator]: value } });
    else this.fields.set(field, { ...there, [operator]: value });
  }

  and(field: string, operator: Operator, value: unknown): Conditions {
    const all = new Conditions(this.hint, new Map(this.fields), [...this.more]);
    all.bound(field, operator, value);
    return all;
  }

  query(sort?: Sort): MongoQuery {
    const filter = { ...Object.fromEntries(this.fields), ...(this.more.length > 0 ? { $and: this.more } : {}) };
    return { filter, hint: this.hint, ...(sort === undefined ? {} : { sort }) };
  }
}

function conditionsOf(schema: CollectionSchema, query: Rows): Conditions {
  const { at } = indexFor(schema, query);
  const conditions = new Conditions(indexName(at));
  for (const [field, value] of Object.entries(query.where)) conditions.bound(field, '$eq', value);
  if (query.range !== undefined) {
    const { field, above, from, below, upTo } = query.range;
    const bounds = { $gt: above, $gte: from, $lt: below, $lte: upTo } as const;
    for (const [operator, bound] of Object.entries(bounds)) {
      if (bound !== undefined && bound !== null) conditions.bound(field, operator as keyof typeof bounds, bound);
    }
  }
  // Rows that lack them are left out; and only so a server sees that a partial index holds all that is asked for.
  for (const field of sortedBy(query)) conditions.bound(field, '$exists', true);
  return conditions;
}
