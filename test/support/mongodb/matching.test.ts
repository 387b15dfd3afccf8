import fc from 'fast-check';
import { Query } from 'mingo';
import { matcher } from './matching';

const scalar = fc.oneof(fc.constantFrom('a', 'b', ''), fc.integer({ min: -1, max: 2 }));
const value = fc.oneof(scalar, fc.constant(null), fc.array(scalar, { maxLength: 3 }));
const document = fc.record({ a: value, b: value }, { requiredKeys: [] });
const operators = fc
  .record(
    { $eq: value, $gt: scalar, $gte: scalar, $lt: scalar, $lte: scalar, $exists: fc.boolean(), $in: fc.array(scalar) },
    { requiredKeys: [] },
  )
  .filter((some) => Object.keys(some).length > 0);
const filter = fc.record({ a: fc.oneof(value, operators), b: operators }, { requiredKeys: [] });

test('what is compared here is what mingo finds', () => {
  fc.assert(
    fc.property(filter, document, (asked, there) => {
      expect(matcher(asked)(there)).toBe(new Query(asked, {}).test(there));
    }),
    { numRuns: 2000 },
  );
});
