import type { Document } from 'bson';
import { CommandError, type Entry, type Index, type Stored } from './indexes';
import { compareValues, rankOf } from './values';

/** What a query says of one field, as far as an index can use it. */
interface Predicate {
  points?: readonly unknown[];
  lower?: Bound;
  upper?: Bound;
  /** The field is there, whatever it is. */
  exists?: boolean;
}

interface Bound {
  readonly value: unknown;
  readonly inclusive: boolean;
}

/** How an index is walked: from each of the prefixes, and there between the bounds of the next field. */
export interface IndexScan {
  readonly index: Index;
  readonly prefixes: readonly (readonly unknown[])[];
  readonly lower?: Bound | undefined;
  readonly upper?: Bound | undefined;
  readonly backwards: boolean;
  /** The rows come in the order that is asked for. */
  readonly sorted: boolean;
}

export interface Scan {
  /** null: every document of the collection. */
  readonly by: IndexScan | null;
  readonly sorted: boolean;
}

export interface Question {
  readonly filter: Document;
  readonly sort: Readonly<Record<string, number>>;
  readonly hint: unknown;
}

/**
 * Chooses as a server does: the hinted index, or the one that narrows most. What a hinted index does not narrow is walked from end to end, and a partial
 * one that lacks some of what is asked for answers without it.
 */
export function plan(question: Question, indexes: readonly Index[]): Scan {
  const sorts = Object.entries(question.sort);
  const predicates = predicatesOf(question.filter);
  const hinted = hintedIndex(question.hint, indexes);
  if (hinted === 'natural') return { by: null, sorted: sorts.length === 0 };
  if (hinted !== null) {
    const by = scanOf(hinted, predicates, sorts);
    return { by, sorted: by.sorted };
  }
  let best: IndexScan | null = null;
  for (const index of indexes) {
    if (!impliesFilter(predicates, question.filter, index)) continue;
    const scan = scanOf(index, predicates, sorts);
    if (worth(scan, sorts.length) > (best === null ? 0 : worth(best, sorts.length))) best = scan;
  }
  return { by: best, sorted: best?.sorted ?? sorts.length === 0 };
}

function hintedIndex(hint: unknown, indexes: readonly Index[]): Index | 'natural' | null {
  if (hint === undefined || hint === null || hint === '') return null;
  const text = JSON.stringify(hint);
  if (typeof hint === 'object' && '$natural' in hint) return 'natural';
  const found = indexes.find(({ spec }) => (typeof hint === 'string' ? spec.name === hint : JSON.stringify(spec.key) === text));
  if (found === undefined) {
    throw new CommandError(
      2,
      'BadValue',
      'error processing query: planner returned error: hint provided does not correspond to an existing index',
    );
  }
  return found;
}

/** More fields pinned, then a bound, then an order for nothing. An index that does none of it is not used. */
function worth({ prefixes, lower, upper, sorted }: IndexScan, sorts: number): number {
  const bounded = (prefixes[0]?.length ?? 0) * 4 + (lower === undefined && upper === undefined ? 0 : 2);
  return bounded + (sorted && sorts > 0 ? 1 : 0);
}

function scanOf(index: Index, predicates: ReadonlyMap<string, Predicate>, sorts: readonly (readonly [string, number])[]): IndexScan {
  let prefixes: (readonly unknown[])[] = [[]];
  let at = 0;
  for (; at < index.fields.length; at += 1) {
    const points = predicates.get(index.fields[at] ?? '')?.points;
    if (points === undefined) break;
    prefixes = prefixes.flatMap((prefix) => points.map((point) => [...prefix, point]));
  }
  const next = index.fields[at] ?? '';
  const range = predicates.get(next);
  // The two bounds of a field with many values can be met by different ones: only one of them narrows.
  const [lower, upper] = [range?.lower, index.multikey.has(next) && range?.lower !== undefined ? undefined : range?.upper];
  const directions = sortDirections(index, at, prefixes.length === 1, sorts);
  return { index, prefixes, lower, upper, backwards: directions === -1, sorted: sorts.length === 0 || directions !== 0 };
}

/** 1 or −1 when the index, walked in that direction, gives the order; 0 when it does not. */
function sortDirections(index: Index, pinned: number, onePrefix: boolean, sorts: readonly (readonly [string, number])[]): number {
  const fixed = onePrefix ? index.fields.slice(0, pinned) : [];
  const left = sorts.filter(([field]) => !fixed.includes(field));
  let direction = 0;
  let at = fixed.length;
  for (const [field, wanted] of left) {
    if (index.fields[at] !== field || index.multikey.has(field)) return 0;
    const needed = wanted * (index.directions[at] ?? 1);
    if (direction !== 0 && direction !== needed) return 0;
    direction = needed;
    at += 1;
  }
  return direction === 0 ? 1 : direction;
}

/** Whether whatever matches is in a partial index. */
function impliesFilter(predicates: ReadonlyMap<string, Predicate>, filter: Document, { spec }: Index): boolean {
  return Object.entries(spec.partialFilterExpression ?? {}).every(([field, condition]) => {
    if (JSON.stringify(condition) !== '{"$exists":true}') return JSON.stringify(filter[field]) === JSON.stringify(condition);
    const { points, lower, upper, exists } = predicates.get(field) ?? {};
    return exists === true || lower !== undefined || upper !== undefined || points?.every((point) => point != null) === true;
  });
}

function predicatesOf(filter: Document, into = new Map<string, Predicate>()): ReadonlyMap<string, Predicate> {
  for (const [field, condition] of Object.entries(filter)) {
    if (field === '$and') for (const part of condition as Document[]) predicatesOf(part, into);
    if (field.startsWith('$')) continue;
    const predicate = into.get(field) ?? {};
    into.set(field, predicate);
    if (isOperators(condition)) for (const [operator, value] of Object.entries(condition)) add(predicate, operator, value);
    else if (condition instanceof RegExp) predicate.exists = true;
    else predicate.points ??= [condition];
  }
  return into;
}

export const isOperators = (condition: unknown): condition is Document =>
  typeof condition === 'object' && condition !== null && Object.keys(condition)[0]?.startsWith('$') === true;

function add(predicate: Predicate, operator: string, value: unknown): void {
  switch (operator) {
    case '$eq':
      predicate.points ??= [value];
      break;
    case '$in':
      if (!(value as unknown[]).some((one) => one instanceof RegExp)) predicate.points ??= distinct(value as unknown[]);
      break;
    case '$gt':
    case '$gte':
      predicate.lower ??= { value, inclusive: operator === '$gte' };
      break;
    case '$lt':
    case '$lte':
      predicate.upper ??= { value, inclusive: operator === '$lte' };
      break;
    case '$exists':
      predicate.exists = value === true;
      break;
    case '$regex':
      predicate.exists = true;
      break;
    default:
  }
}

const distinct = (values: readonly unknown[]): readonly unknown[] =>
  values.toSorted(compareValues).filter((value, i, all) => i === 0 || compareValues(value, all[i - 1]) !== 0);

/** The documents that a scan meets, each once; `onKey` is told of each entry of the index that it looks at. */
export function* walk(scan: IndexScan, onKey: () => void): Generator<Stored> {
  const seen = scan.index.multikey.size > 0 || scan.prefixes.length > 1 ? new Set<Stored>() : null;
  for (const prefix of scan.backwards ? scan.prefixes.toReversed() : scan.prefixes) {
    for (const { stored } of between(scan, prefix)) {
      onKey();
      if (seen?.has(stored) === true) continue;
      seen?.add(stored);
      yield stored;
    }
  }
}

function* between({ index, lower, upper, backwards }: IndexScan, prefix: readonly unknown[]): Generator<Entry> {
  const at = prefix.length;
  const falling = index.directions[at] === -1;
  const [first, last] = falling ? [upper, lower] : [lower, upper];
  const side = (entry: Entry, bound: Bound | undefined, edge: -1 | 1): number => {
    const order = index.compare(entry.values, prefix);
    if (order !== 0 || bound === undefined) return order;
    const beyond = compareValues(entry.values[at], bound.value) * (falling ? -1 : 1);
    return beyond === 0 && !bound.inclusive ? edge : beyond;
  };
  const notBefore = (entry: Entry): boolean => side(entry, first, -1) >= 0;
  const after = (entry: Entry): boolean => side(entry, last, 1) > 0;
  const ranged = lower ?? upper;
  const fits = ({ values }: Entry): boolean => ranged === undefined || rankOf(values[at]) === rankOf(ranged.value);
  for (const entry of backwards ? index.entries.downwards(after) : index.entries.upwards(notBefore)) {
    if (backwards ? !notBefore(entry) : after(entry)) return;
    if (fits(entry)) yield entry;
    else if (rankOf(entry.values[at]) > rankOf(ranged?.value) !== (backwards !== falling)) return;
  }
}

/** As `explain` tells it. */
export function explained({ by, sorted }: Scan, question: Question, namespace: string): Document {
  const fetched =
    by === null
      ? { stage: 'COLLSCAN', filter: question.filter, direction: 'forward' }
      : {
          stage: 'FETCH',
          filter: question.filter,
          inputStage: {
            stage: 'IXSCAN',
            indexName: by.index.spec.name,
            keyPattern: by.index.spec.key,
            isMultiKey: by.index.multikey.size > 0,
            isPartial: by.index.spec.partialFilterExpression !== undefined,
            direction: by.backwards ? 'backward' : 'forward',
            indexBounds: boundsOf(by),
          },
        };
  const winningPlan = sorted ? fetched : { stage: 'SORT', sortPattern: question.sort, inputStage: fetched };
  return { namespace, parsedQuery: question.filter, winningPlan, rejectedPlans: [] };
}

function boundsOf({ index, prefixes, lower, upper }: IndexScan): Document {
  const pinned = prefixes[0]?.length ?? 0;
  return Object.fromEntries(
    index.fields.map((field, at) => {
      if (at < pinned) return [field, Array.from(new Set(prefixes.map((prefix) => interval(point(prefix[at]), point(prefix[at])))))];
      if (at > pinned || (lower === undefined && upper === undefined)) return [field, ['[MinKey, MaxKey]']];
      return [field, [interval(lower ?? end(upper?.value, -1), upper ?? end(lower?.value, 1))]];
    }),
  );
}

const point = (value: unknown): Bound => ({ value: value ?? null, inclusive: true });
/** Bounds stay within the type of what they are compared with. */
const end = (value: unknown, side: 1 | -1): Bound => {
  if (typeof value === 'number') return { value: side * Infinity, inclusive: true };
  return side < 0 ? { value: '', inclusive: true } : { value: {}, inclusive: false };
};
const interval = (lower: Bound, upper: Bound): string =>
  `${lower.inclusive ? '[' : '('}${shown(lower.value)}, ${shown(upper.value)}${upper.inclusive ? ']' : ')'}`;
const shown = (value: unknown): string => (value === Infinity ? 'inf.0' : value === -Infinity ? '-inf.0' : JSON.stringify(value));
