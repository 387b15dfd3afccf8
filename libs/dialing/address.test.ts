import fc from 'fast-check';
import { addressKey, type AddressType } from './address';
import { normaliseTarget, parseAddress, readAddressType } from './address-reading';

const target = (type: AddressType, written: string): string | null => {
  const normalised = normaliseTarget(type, written);
  return 'target' in normalised ? normalised.target : null;
};
const reason = (type: AddressType, written: string): string | null => {
  const normalised = normaliseTarget(type, written);
  return 'reason' in normalised ? normalised.reason : null;
};

describe('A phone number', () => {
  it.each([
    ['+15551234567', '+15551234567'],
    ['+821100000001', '+821100000001'],
    ['  +1 (555) 123-4567 ', '+15551234567'],
    ['+1.555.123.4567', '+15551234567'],
    ['+49 [30] 901820', '+4930901820'],
    ['+1\u00a0555\u2011123\u20134567', '+15551234567'],
    ['+44 (0)20 7946 0123', '+442079460123'],
  ])('%s is kept as %s', (written, kept) => {
    expect(target('tel', written)).toBe(kept);
  });
  it.each(['5551234567', '0049 30 901820', '15551234567', '(555) 123-4567', 'john'])(
    'without a + (%s) is told how to be written',
    (written) => {
      expect(reason('tel', written)).toBe('write it in E.164 with a leading +, like +15551234567');
    },
  );
  it.each(['+1555CALLNOW', '+15551234567;ext=12', '+15551234567 x12', '+1555123+4567', '+1 555/123', '+', '+0551234567', '+１５５５'])(
    'may have digits only after the + (%s)',
    (written) => {
      expect(reason('tel', written)).toBe('only digits may follow the +, like +15551234567');
    },
  );
  it.each(['+1555123456', '+155512345678', '+999123456789', '+4930123456789012345', '+49 00 30 901820'])(
    'must be possible (%s)',
    (written) => {
      expect(reason('tel', written)).toMatch(/^is not a possible phone number/);
    },
  );
});

describe('A SIP URI', () => {
  it.each([
    ['sip:john@example.com', 'sip:john@example.com'],
    ['SIP:John@EXAMPLE.com', 'sip:John@example.com'],
    ['john@example.com', 'sip:john@example.com'],
    ['SIPS:john@Example.com:5061;transport=TCP?Subject=Hello', 'sips:john@example.com:5061;transport=TCP?Subject=Hello'],
    ['sip:john%3Adoe:Secret@EXAMPLE.com', 'sip:john%3Adoe:Secret@example.com'],
    ['sip:+15551234567@gw.example.com;user=phone', 'sip:+15551234567@gw.example.com;user=phone'],
    ['sip:1000@10.0.0.7', 'sip:1000@10.0.0.7'],
    ['sip:1000@[2001:db8::1]', 'sip:1000@[2001:db8::1]'],
  ])('%s is kept as %s', (written, kept) => {
    expect(target('sip', written)).toBe(kept);
  });
  it.each([
    'example.com',
    'sip:example.com',
    'sip:',
    '@example.com',
    'sip:john@',
    'sip:[email protected]',
    'tel:+15551234567',
    'sip:jo hn@example.com',
    'sip:john@exämple.com',
    'sip:%ff@example.com',
  ])('has a user and a host (%s)', (written) => {
    expect(reason('sip', written)).toBe('is not a SIP URI, like sip:user@example.com');
  });
});

describe('An e-mail address', () => {
  it('keeps its local part and has its domain in lower case', () => {
    expect(target('email', ' John.Smith+leads@Example.COM ')).toBe('John.Smith+leads@example.com');
  });
  it.each([
    'john',
    'john@',
    '@example.com',
    'john@example',
    'john@@example.com',
    'John Smith <john@example.com>',
    'john\ud800@example.com',
  ])('must be one (%s)', (written) => {
    expect(reason('email', written)).toBe('is not an e-mail address, like name@example.com');
  });
});

describe('Any address', () => {
  it('is neither empty nor longer than 255 characters', () => {
    for (const type of ['tel', 'sip', 'email'] as const) {
      expect(reason(type, '  ')).toBe('must not be empty');
      expect(reason(type, `sip:${'x'.repeat(250)}@example.com`)).toBe('must have at most 255 characters');
    }
  });
  it('once normalised stays as it is', () => {
    const written = fc.oneof(
      fc.tuple(
        fc.constant('tel' as const),
        fc.integer({ min: 1_000_000, max: 99_999_999_999 }).map((n) => `+${n}`),
      ),
      fc.tuple(fc.constant('sip' as const), fc.emailAddress()),
      fc.tuple(
        fc.constant('sip' as const),
        fc.tuple(fc.webPath({ size: 'small' }), fc.domain()).map(([user, host]) => `sip:${user.replaceAll('/', '%2F')}@${host}`),
      ),
      fc.tuple(fc.constant('email' as const), fc.emailAddress()),
    );
    fc.assert(
      fc.property(written, ([type, text]) => {
        const kept = target(type, text);
        if (kept !== null) expect(target(type, kept)).toBe(kept);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('The key of an address', () => {
  const key = (type: AddressType, written: string) => addressKey({ type, target: target(type, written) ?? '' });
  it('is the same for every spelling of one address', () => {
    expect(key('tel', '+1 555 123 4567')).toBe(key('tel', '+15551234567'));
    expect(key('email', 'John@Example.com')).toBe(key('email', 'john@example.COM'));
    expect(key('sip', 'sip:john@example.com;transport=UDP')).toBe(key('sip', 'SIP:john@example.com;transport=udp'));
    expect(key('sip', 'john@EXAMPLE.com')).toBe(key('sip', 'sip:john@example.com'));
  });
  it('tells types, and the users of SIP URIs, apart', () => {
    expect(key('email', 'john@example.com')).not.toBe(key('sip', 'john@example.com'));
    expect(key('sip', 'sip:John@example.com')).not.toBe(key('sip', 'sip:john@example.com'));
    expect(key('sip', 'sip:john%3Adoe@example.com')).not.toBe(key('sip', 'sip:john:doe@example.com'));
    expect(key('sip', 'sips:john@example.com')).not.toBe(key('sip', 'sip:john@example.com'));
  });
});

describe('The type of a bare address', () => {
  it.each([
    ['+15551234567', 'tel'],
    ['5551234', 'tel'],
    ['sip:john@example.com', 'sip'],
    [' SIPS:john@example.com', 'sip'],
    ['john@example.com', 'email'],
    ['sipperson@example.com', 'email'],
  ])('of %s is %s', (written, type) => {
    expect(readAddressType(written)).toBe(type);
  });
});

describe('An address as it is sent', () => {
  const details = (input: unknown) => {
    const parsed = parseAddress(input, 'destination_0');
    return 'details' in parsed ? parsed.details.map(({ field, reason: why }) => [field, why]) : null;
  };
  it('is answered with all five fields, its target normalised', () => {
    expect(parseAddress({ type: 'tel', target: '+1 555 123 4567' }, 'destination_0')).toEqual({
      address: { type: 'tel', target: '+15551234567', target_name: '', name: '', detail: '' },
    });
    expect(parseAddress({ type: 'email', target: 'a@b.com', target_name: 'Ann', name: 'work', detail: 'x' }, 'source')).toEqual({
      address: { type: 'email', target: 'a@b.com', target_name: 'Ann', name: 'work', detail: 'x' },
    });
  });
  it.each([null, 'tel:+15551234567', 7, []])('must be an object (%j)', (input) => {
    expect(details(input)).toEqual([['destination_0', 'must be an object with type and target']]);
  });
  it('is told everything that is wrong with it at once, each with its place', () => {
    expect(details({ type: 'fax', target: 5, name: null, extension: '12' })).toEqual([
      ['destination_0.extension', 'unknown field'],
      ['destination_0.type', 'must be tel, sip or email'],
      ['destination_0.target', 'must be a string'],
      ['destination_0.name', 'must be a string'],
    ]);
    expect(details({})).toEqual([
      ['destination_0.type', 'must be tel, sip or email'],
      ['destination_0.target', 'must be a string'],
    ]);
    expect(details({ type: 'tel', target: '555' })).toEqual([
      ['destination_0.target', 'write it in E.164 with a leading +, like +15551234567'],
    ]);
  });
  it('is not misled by names that every object has', () => {
    expect(details({ type: 'constructor', target: 'x' })).toEqual([['destination_0.type', 'must be tel, sip or email']]);
  });
});
