import { readTarget } from './target.dto';

const told = (sent: unknown, at = '') => {
  const row = readTarget(sent, at);
  return 'details' in row ? row.details.map(({ field, reason }) => `${field}: ${reason}`) : null;
};

describe('A row that becomes a target', () => {
  test('has what it does not say filled in, and gaps between its destinations kept', () => {
    const sent = {
      external_id: '',
      destination_3: { type: 'tel', target: '+1 555 123 4567' },
      destination_1: { type: 'email', target: 'ann@Example.com', name: 'work' },
      try_count_max_4: 2,
    };
    expect(readTarget(sent, '')).toEqual({
      target: {
        name: '',
        detail: '',
        data: '',
        priority: 0,
        externalId: null,
        limits: { tryCountMax: null, tryCountMaxes: [null, null, null, null, 2] },
        destinations: [
          null,
          { type: 'email', target: 'ann@example.com', target_name: '', name: 'work', detail: '' },
          null,
          { type: 'tel', target: '+15551234567', target_name: '', name: '', detail: '' },
          null,
        ],
      },
    });
  });
});

describe('A row that does not', () => {
  test('is told all that is wrong with it: its fields as they were sent, then its destinations by number, their parts in the order of an address', () => {
    const sent = {
      wat: 1,
      try_count_max_2: 1000,
      destination_3: null,
      destination_2: { name: '\ud800', detail: '\0', type: 'tel', target: '+15551234567', target_name: '\0' },
      destination_0: { detail: 1, target: '+999', type: 'tel', fax: true, name: 2 },
      name: 7,
    };
    const wrong = [
      'wat: unknown field',
      'try_count_max_2: must be a whole number from 0 to 100',
      'name: must be a string',
      'destination_0.fax: unknown field',
      'destination_0.target: is not a possible phone number: its country code is unknown, or it is too short or too long',
      'destination_0.name: must be a string',
      'destination_0.detail: must be a string',
      'destination_2.target_name: must not contain NUL or half a surrogate pair',
      'destination_2.name: must not contain NUL or half a surrogate pair',
      'destination_2.detail: must not contain NUL or half a surrogate pair',
    ];
    expect(told(sent)).toEqual(wrong);
    expect(told(sent, 'targets[3].')).toEqual(wrong.map((one) => `targets[3].${one}`));
  });

  test.each([[{}], [{ destination_1: null, destination: null }]])('needs a destination (%j)', (sent) => {
    expect(told(sent, 'targets[0].')).toEqual(['targets[0].destination_0: at least one destination is needed']);
  });

  test('is told of its first destination under the name that it was sent by', () => {
    const tel = { type: 'tel', target: '+15551234567' };
    expect(told({ destination: { type: 'fax', target: '1' } })).toEqual(['destination.type: must be tel, sip or email']);
    expect(told({ destination: tel, destination_0: tel })).toEqual(['destination: is the same as destination_0: give one of them']);
  });
});
