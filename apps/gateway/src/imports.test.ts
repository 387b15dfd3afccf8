import fc from 'fast-check';
import type { RowFate } from '#application';
import { resultLine } from './imports';

const details = fc.array(
  fc.record({ field: fc.string({ unit: 'binary' }), reason: fc.string(), value: fc.jsonValue() }, { requiredKeys: ['field', 'reason'] }),
);
const fates: fc.Arbitrary<RowFate> = fc.record(
  {
    index: fc.nat(),
    result: fc.constantFrom('created', 'duplicate', 'updated', 'invalid'),
    targetId: fc.uuid(),
    deleted: fc.boolean(),
    details,
  },
  { requiredKeys: ['index', 'result'] },
);

test('A line of an import’s answer is the JSON text of what it tells, its members in their order', () => {
  fc.assert(
    fc.property(fc.nat(), fates, fc.option(fc.string({ unit: 'binary' })), (row, fate, externalId) => {
      const { result, targetId: id, deleted, details: wrong } = fate;
      const told = { row, result, id, external_id: externalId ?? undefined, deleted: deleted || undefined, details: wrong };
      expect(resultLine(row, fate, externalId)).toBe(`${JSON.stringify(told)}\n`);
    }),
  );
});
