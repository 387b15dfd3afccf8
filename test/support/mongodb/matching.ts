import type { Document } from 'bson';
import { Query } from 'mingo';
import { compareValues, rankOf } from './values';

type Test = (document: Document) => boolean;

/**
 * Whether a document matches a filter, as mingo says. Equality and bounds with texts and numbers, which is all that most filters have, are compared here: making a query
 * of mingo's takes longer than the write that it is for.
 */
export function matcher(filter: Document): Test {
  const tests: Test[] = [];
  for (const [field, condition] of Object.entries(filter)) {
    const plain = /^\$|\./.test(field) ? null : plainTests(field, condition);
    if (plain === null) {
      const query = new Query(filter, {});
      return (document) => query.test(document);
    }
    tests.push(...plain);
  }
  return (document) => tests.every((test) => test(document));
}

const BOUNDS: Readonly<Record<string, (order: number) => boolean>> = {
  $eq: (order) => order === 0,
  $gt: (order) => order > 0,
  $gte: (order) => order >= 0,
  $lt: (order) => order < 0,
  $lte: (order) => order <= 0,
};

/** null: not plain enough. */
function plainTests(field: string, condition: unknown): readonly Test[] | null {
  const operators = isScalar(condition) ? [['$eq', condition] as const] : Object.entries(condition ?? { $eq: null });
  const tests = operators.map(([operator, operand]): Test | null => {
    if (operator === '$exists') return (document) => (document[field] !== undefined) === Boolean(operand);
    const holds = BOUNDS[operator];
    if (holds === undefined || !isScalar(operand)) return null;
    const rank = rankOf(operand);
    const one = (value: unknown): boolean => rankOf(value) === rank && holds(compareValues(value, operand));
    return (document) => {
      const value: unknown = document[field];
      return Array.isArray(value) ? value.some(one) : one(value);
    };
  });
  const plain = tests.filter((test) => test !== null);
  return plain.length === tests.length && plain.length > 0 ? plain : null;
}

const isScalar = (value: unknown): value is string | number => typeof value === 'string' || typeof value === 'number';
