import fc from 'fast-check';
import type { Address } from './address';
import { deriveId, deriveTargetId, secretFingerprint, targetIdentity } from './target-identity';

const tel = (target: string): Address => ({ type: 'tel', target, target_name: '', name: '', detail: '' });
const OUTDIAL = '40bea034-1d17-474d-a5de-da00d0861c69';

describe('The identity of a target', () => {
  it('is its external_id when it has one', () => {
    expect(targetIdentity('crm-1', [tel('+15551234567'), null, null, null, null])).toBe('x:crm-1');
  });
  it('is its lowest configured destination otherwise', () => {
    expect(targetIdentity(null, [null, null, tel('+15551234567'), tel('+15552345678'), null])).toBe('d:tel:+15551234567');
  });
  it('is not changed by the labels of that destination, nor by the place it stands in', () => {
    const labelled = { ...tel('+15551234567'), name: 'mobile' };
    expect(targetIdentity(null, [null, labelled, null, null, null])).toBe(
      targetIdentity(null, [tel('+15551234567'), null, null, null, null]),
    );
  });
  it('never confuses an external_id with a destination', () => {
    expect(targetIdentity('tel:+15551234567', [null, null, null, null, null])).not.toBe(
      targetIdentity(null, [tel('+15551234567'), null, null, null, null]),
    );
  });
});

describe('A derived id', () => {
  it('is a UUID of version 8', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (secret, identity) => {
        expect(deriveTargetId(secret, OUTDIAL, identity)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
    );
  });
  it('is for ever the same: it is the name of a stream', () => {
    expect(deriveTargetId('secret', OUTDIAL, 'd:tel:+15551234567')).toBe('54c68b2d-2018-8de4-80cc-dd91909e7bef');
    expect(deriveId('secret', 'customer', 'acme')).toBe('7276076b-d77a-8458-91c6-586ddc1ccbb5');
    expect(deriveId('secret', 'access-key', 'acme')).toBe('9472c825-bf49-8b13-9b3b-2fe6d6a52942');
  });
  it('differs by secret, outdial, identity and purpose', () => {
    const ids = [
      deriveTargetId('secret', OUTDIAL, 'x:1'),
      deriveTargetId('other', OUTDIAL, 'x:1'),
      deriveTargetId('secret', OUTDIAL, 'x:2'),
      deriveTargetId('secret', 'another outdial', 'x:1'),
      deriveId('secret', 'customer', 'x:1'),
      deriveId('secret', 'access-key', 'x:1'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
  it('does not run its parts together', () => {
    expect(deriveTargetId('secret', 'ab', 'c')).not.toBe(deriveTargetId('secret', 'a', 'bc'));
    expect(deriveTargetId('secret', 'a1:b', 'c')).not.toBe(deriveTargetId('secret', 'a', '1:bc'));
  });
  it('reads a secret alike as text and as bytes', () => {
    expect(deriveTargetId(Buffer.from('secret'), OUTDIAL, 'x:1')).toBe(deriveTargetId('secret', OUTDIAL, 'x:1'));
  });
});

describe('The fingerprint of a secret', () => {
  it('tells two secrets apart and gives neither away', () => {
    expect(secretFingerprint('one')).toBe(secretFingerprint(Buffer.from('one')));
    expect(secretFingerprint('one')).not.toBe(secretFingerprint('two'));
    expect(secretFingerprint('one')).not.toContain('one');
  });
});
