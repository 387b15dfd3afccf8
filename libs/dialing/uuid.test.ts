import fc from 'fast-check';
import { stringify, validate, version as versionOf } from 'uuid';
import { hashedUuid } from './uuid';

test('The UUID of a hash is its first 16 bytes, but for the bits that say its version and variant', () => {
  const hashes = fc.uint8Array({ minLength: 16, maxLength: 32 });
  fc.assert(
    fc.property(fc.constantFrom(5 as const, 8 as const), hashes, (version, hash) => {
      const bytes = hash.slice(0, 16);
      bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
      bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
      const id = hashedUuid(version, Buffer.from(hash).toString('hex'));
      expect(id).toBe(stringify(bytes));
      expect(validate(id)).toBe(true);
      expect(versionOf(id)).toBe(version);
    }),
  );
});
