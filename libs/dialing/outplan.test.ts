import { rulesOf } from '../../test/support/decider';
import {
  decideOutplan,
  DEFAULT_POLICY,
  effectiveLimits,
  evolveOutplan,
  retryOf,
  type DialPolicy,
  type Outplan,
  type OutplanCommand,
  type OutplanEvent,
} from './outplan';

const { given, after } = rulesOf<Outplan, OutplanCommand, OutplanEvent>({ decide: decideOutplan, evolve: evolveOutplan });

const NOW = 1_651_110_100_000_000;
const later = NOW + 1000;
const create: OutplanCommand = {
  type: 'CreateOutplan',
  now: NOW,
  outplanId: 'plan',
  customerId: 'customer',
  name: 'patient',
  detail: '',
  policy: DEFAULT_POLICY,
};
const update = (changes: Extract<OutplanCommand, { type: 'UpdateOutplan' }>['changes']): OutplanCommand => ({
  type: 'UpdateOutplan',
  now: later,
  changes,
});
const remove: OutplanCommand = { type: 'DeleteOutplan', now: later };
const source = { type: 'tel', target: '+15551234567', target_name: '', name: '', detail: '' } as const;

describe('An outplan', () => {
  it('is created with its policy', () => {
    given([])
      .when(create)
      .then([{ type: 'OutplanCreated', tm: NOW, policy: DEFAULT_POLICY }])
      .thenState({ id: 'plan', tmUpdate: null, tmDelete: null });
  });
  it('cannot take the id of another one, and must exist to be changed', () => {
    after([create]).when(create).thenRefused('ALREADY_EXISTS', { outplan_id: 'already exists' });
    given([]).when(remove).thenRefused('OUTPLAN_NOT_FOUND');
    given([])
      .when(update({ name: 'x' }))
      .thenRefused('OUTPLAN_NOT_FOUND');
  });
  it('records only the members of its policy that changed', () => {
    after([create])
      .when(update({ name: 'patient', policy: { dialTimeout: 60_000, tryInterval: 0, maxTryCounts: [3, 3, 3, 3, 3] } }))
      .then([{ type: 'OutplanUpdated', tm: later, changes: { policy: { tryInterval: 0 } } }])
      .thenState({ policy: { ...DEFAULT_POLICY, tryInterval: 0 }, tmUpdate: later });
  });
  it('takes over a source and a retry map as a whole', () => {
    const retry = { busy: { interval: 60_000 }, no_answer: { retry: false } };
    after([create, update({ policy: { retry: { failed: { retry: false } } } })])
      .when(update({ policy: { source, retry } }))
      .then([{ type: 'OutplanUpdated', changes: { policy: { source, retry } } }])
      .thenState({ policy: { ...DEFAULT_POLICY, source, retry } });
  });
  it('is not changed by equal values, not even when deleted', () => {
    const same = update({ name: 'patient', detail: '', policy: { retry: {}, source: null } });
    after([create]).when(same).then([]);
    after([create, remove]).when(same).then([]);
  });
  it('is deleted once, and refuses changes from then on', () => {
    after([create])
      .when(remove)
      .then([{ type: 'OutplanDeleted' }])
      .thenState({ tmDelete: later });
    after([create, remove]).when(remove).then([]);
    after([create, remove])
      .when(update({ name: 'x' }))
      .thenRefused('DELETED');
  });
});

describe('The limits in force', () => {
  const none = { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] } as const;
  const policy = { maxTryCounts: [1, 2, 3, 4, 5] } as const;
  it("are the outplan's for a target without its own", () => {
    expect(effectiveLimits(none, policy)).toEqual([1, 2, 3, 4, 5]);
  });
  it("are a target's own for all its destinations before the outplan's", () => {
    expect(effectiveLimits({ ...none, tryCountMax: 7 }, policy)).toEqual([7, 7, 7, 7, 7]);
  });
  it("are a target's own for one destination before all others, also when they are 0", () => {
    expect(effectiveLimits({ tryCountMax: 7, tryCountMaxes: [null, 0, null, 9, null] }, policy)).toEqual([7, 0, 7, 9, 7]);
  });
});

describe('The retry map', () => {
  const policy = (retry: DialPolicy['retry']): DialPolicy => ({ ...DEFAULT_POLICY, retry });
  it('leaves the defaults where it says nothing: again after the interval, the next destination at once', () => {
    expect(retryOf(policy({}), 'busy')).toEqual({ exhausts: false, sameAfter: 600_000, nextAfter: 0 });
  });
  it('exhausts an invalid number unless it says otherwise', () => {
    expect(retryOf(policy({}), 'invalid_number').exhausts).toBe(true);
    expect(retryOf(policy({ invalid_number: { interval: 1000 } }), 'invalid_number').exhausts).toBe(true);
    expect(retryOf(policy({ invalid_number: { retry: true } }), 'invalid_number').exhausts).toBe(false);
  });
  it('exhausts the destination on retry: false', () => {
    expect(retryOf(policy({ fax: { retry: false } }), 'fax')).toMatchObject({ exhausts: true, nextAfter: 0 });
  });
  it('replaces the interval of one outcome', () => {
    expect(retryOf(policy({ busy: { interval: 1000 } }), 'busy').sameAfter).toBe(1000);
    expect(retryOf(policy({ busy: { interval: 1000 } }), 'no_answer').sameAfter).toBe(600_000);
  });
  it('goes to the next destination after the interval it names, else at once', () => {
    expect(retryOf(policy({ machine: { next_destination: true, interval: 5000 } }), 'machine')).toMatchObject({
      exhausts: true,
      nextAfter: 5000,
    });
    expect(retryOf(policy({ machine: { next_destination: true } }), 'machine')).toMatchObject({ exhausts: true, nextAfter: 0 });
  });
});
