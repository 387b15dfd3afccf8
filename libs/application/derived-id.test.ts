import fc from 'fast-check';
import { v5 } from 'uuid';
import { derivedId } from './derived-id';

it('derives the ids that the uuid package derives', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.string({ unit: 'binary' }), (namespace, name) => {
      expect(derivedId(namespace, name)).toBe(v5(name, namespace));
    }),
  );
});
