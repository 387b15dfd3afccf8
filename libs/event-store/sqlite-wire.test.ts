import fc from 'fast-check';
import { decodeAppends, encodeAppends } from './sqlite-wire';

/** Of any characters, also halves of pairs and none at all: what is cut apart again must not depend on what is in it. */
const text = fc.string({ unit: 'binary', maxLength: 40 });
const event = fc.record({ id: text, type: text, data: text, metadata: text });
const request = fc.record({
  stream: text,
  expected: fc.record({ revision: fc.integer({ min: -1, max: 1_000_000 }), hash: text }),
  events: fc.array(event, { maxLength: 3 }),
});
const task = fc.record({
  kind: fc.constant('append' as const),
  id: fc.nat(),
  lane: fc.constantFrom('interactive' as const, 'import' as const),
  requests: fc.array(request, { maxLength: 4 }),
});

describe('Appends on their way to the writer', () => {
  it('arrive as they were sent, also through a structured clone', () => {
    fc.assert(
      fc.property(fc.array(task, { maxLength: 4 }), (tasks) => {
        expect(decodeAppends(structuredClone(encodeAppends(tasks)))).toEqual(tasks);
      }),
    );
  });
});
