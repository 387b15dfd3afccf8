import { rulesOf } from '../../test/support/decider';
import type { Address } from './address';
import type { Five } from './five';
import type { ReportedOutcome } from './outcomes';
import {
  attemptUnderWay,
  classifyLease,
  classifyReport,
  decideTarget,
  evolveTarget,
  nextDestination,
  notCallable,
  type NewTarget,
  type Target,
  type TargetChanges,
  type TargetCommand,
  type TargetEvent,
} from './outdial-target';
import { DEFAULT_POLICY, type DialPolicy, type TargetLimits } from './outplan';

const { given, after, stateAfter } = rulesOf<Target, TargetCommand, TargetEvent>({ decide: decideTarget, evolve: evolveTarget });

// ---------------------------------------------------------------- the words of these rules

const START = 1_651_110_100_000_000;
const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
/** Minutes; the target is added a minute before the first claim. */
const at = (minutes: number): number => START + minutes * MINUTE;

const ADDED = at(-1);

const outdialId = '40bea034-1d17-474d-a5de-da00d0861c69';
const targetId = '1b3d7a92-7146-866d-90f5-4bc701ada4c0';
const tel = (target: string): Address => ({ type: 'tel', target, target_name: '', name: '', detail: '' });
const MOBILE = tel('+15551234567');
const HOME = tel('+15552345678');
const OFFICE = tel('+15553456789');
const NO_LIMITS: TargetLimits = { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] };
const atMost = (tryCountMax: number): TargetLimits => ({ ...NO_LIMITS, tryCountMax });

const destinations = (...some: readonly (Address | null)[]): Five<Address | null> => [
  some[0] ?? null,
  some[1] ?? null,
  some[2] ?? null,
  some[3] ?? null,
  some[4] ?? null,
];
const newTarget = (over: Partial<NewTarget> = {}): NewTarget => ({
  externalId: null,
  destinations: destinations(MOBILE),
  limits: NO_LIMITS,
  name: 'John Smith',
  detail: '',
  data: '',
  priority: 0,
  ...over,
});
const add = (over: Partial<NewTarget> = {}, minutes = -1, readd = false): TargetCommand => ({
  type: 'AddTarget',
  now: at(minutes),
  outdialId,
  targetId,
  customerId: 'customer',
  target: newTarget(over),
  readd,
});
const readd = (minutes: number, over: Partial<NewTarget> = {}): TargetCommand => add(over, minutes, true);
/** Waits 10 minutes between two tries, 3 tries a destination. */
const PLAN: DialPolicy = DEFAULT_POLICY;
const plan = (over: Partial<DialPolicy>): DialPolicy => ({ ...PLAN, ...over });
/** A lease of a minute and a half. */
const claim = (
  attemptId: string,
  minutes: number,
  over: Partial<Extract<TargetCommand, { type: 'RecordDialAttempt' }>> = {},
): TargetCommand => ({
  type: 'RecordDialAttempt',
  now: at(minutes),
  attemptId,
  dialer: 'dialer 1',
  leaseMillis: 90_000,
  policy: PLAN,
  ...over,
});
const report = (
  attemptId: string,
  outcome: ReportedOutcome,
  minutes: number,
  over: Partial<Extract<TargetCommand, { type: 'RecordOutcome' }>> = {},
): Extract<TargetCommand, { type: 'RecordOutcome' }> => ({
  type: 'RecordOutcome',
  now: at(minutes),
  attemptId,
  outcome,
  disposition: null,
  note: null,
  tmEnd: null,
  ...over,
});
const extend = (attemptId: string, minutes: number, seconds: number): Extract<TargetCommand, { type: 'ExtendLease' }> => ({
  type: 'ExtendLease',
  now: at(minutes),
  attemptId,
  leaseMillis: seconds * 1000,
});
const release = (attemptId: string, minutes: number): Extract<TargetCommand, { type: 'ReleaseLease' }> => ({
  type: 'ReleaseLease',
  now: at(minutes),
  attemptId,
});
const expire = (attemptId: string, minutes: number): TargetCommand => ({ type: 'ExpireLease', now: at(minutes), attemptId });
const cancel = (minutes: number): TargetCommand => ({ type: 'CancelTarget', now: at(minutes), reason: 'customer asked' });
const remove = (minutes: number): TargetCommand => ({ type: 'RemoveTarget', now: at(minutes) });
const exhaust = (destinationIndex: 0 | 1 | 2 | 3 | 4, minutes: number, policy = PLAN): TargetCommand => ({
  type: 'ExhaustDestination',
  now: at(minutes),
  destinationIndex,
  reason: 'opted out',
  policy,
});
const update = (changes: TargetChanges, minutes: number, policy = PLAN): TargetCommand => ({
  type: 'UpdateTarget',
  now: at(minutes),
  changes,
  policy,
});

/** Dialed once without an answer, the lease having expired; no destination left for a retry before minute 11.5. */
const expired = [claim('a1', 0), expire('a1', 1.5)];

// ---------------------------------------------------------------- adding

describe('Adding a target', () => {
  it('makes it idle, due at once, with nothing tried', () => {
    given([])
      .when(add({ priority: 5 }))
      .then([
        {
          type: 'TargetAdded',
          tm: ADDED,
          life: 1,
          change: {
            before: null,
            after: {
              status: 'idle',
              doneReason: null,
              tryCounts: [0, 0, 0, 0, 0],
              exhausted: [false, false, false, false, false],
              due: ADDED,
              priority: 5,
              gone: false,
            },
          },
        },
      ])
      .thenState({ id: targetId, tmCreate: ADDED, tmUpdate: ADDED, tmDelete: null, attempts: [], policy: null });
  });
  it('needs a destination, in any of the five places', () => {
    given([])
      .when(add({ destinations: destinations() }))
      .thenRefused('INVALID_ARGUMENT', { destination_0: 'a target needs at least one destination' });
    given([])
      .when(add({ destinations: destinations(null, null, MOBILE) }))
      .then([{ type: 'TargetAdded', destinations: destinations(null, null, MOBILE) }]);
  });
  it('twice is a conflict that names the existing id', () => {
    after([add()]).when(add({}, 1)).thenRefused('ALREADY_EXISTS', { target_id: 'already exists' });
    after([add()]).when(readd(1)).thenRefused('ALREADY_EXISTS', { target_id: 'already exists' });
  });
  it('again after its deletion is a conflict that says so, unless it is asked for', () => {
    after([add(), remove(1)])
      .when(add({}, 2))
      .thenRefused('ALREADY_EXISTS', { target_id: 'already exists', deleted: 'deleted' });
    after([add(), remove(1)])
      .when(readd(2))
      .then([{ type: 'TargetAdded', life: 2 }]);
  });
  it('again waits for the end of the deleted one’s attempt', () => {
    after([add(), claim('a1', 0), remove(1)])
      .when(readd(2))
      .thenRefused('ALREADY_EXISTS');
    after([add(), claim('a1', 0), remove(1), report('a1', 'busy', 2)])
      .when(readd(3))
      .then([{ type: 'TargetAdded', life: 2, change: { before: null, after: { status: 'idle', due: at(3) } } as never }]);
  });
  it('again keeps id, time of creation and history, and starts with fresh counts', () => {
    after([add(), claim('a1', 0), report('a1', 'invalid_number', 1), remove(2)])
      .when(readd(3, { name: 'Jane Doe', destinations: destinations(HOME) }))
      .thenState({
        id: targetId,
        name: 'Jane Doe',
        destinations: destinations(HOME),
        tmCreate: ADDED,
        tmDelete: null,
        gone: false,
        status: 'idle',
        doneReason: null,
        tryCounts: [0, 0, 0, 0, 0],
        exhausted: [false, false, false, false, false],
        life: 2,
        policy: null,
        attempts: [expect.objectContaining({ attemptId: 'a1', life: 1, outcome: 'invalid_number' })] as never,
      });
  });
});

// ---------------------------------------------------------------- the claim

describe('An attempt', () => {
  it('takes an idle target, counts the try and pins the policy', () => {
    after([add({ limits: { ...NO_LIMITS, tryCountMaxes: [5, null, null, null, null] } })])
      .when(claim('a1', 0))
      .then([
        {
          type: 'DialAttemptStarted',
          tm: START,
          attempt: {
            attemptId: 'a1',
            destinationIndex: 0,
            destination: MOBILE,
            tryCount: 1,
            tryCountMax: 5,
            dialer: 'dialer 1',
            tmStart: START,
            tmExpire: START + 90 * SECOND,
          },
          policy: { ...PLAN, maxTryCounts: [5, 3, 3, 3, 3] },
        },
      ])
      .thenState({ status: 'progressing', due: null, tryCounts: [1, 0, 0, 0, 0] });
  });
  it('dials the lowest destination that is configured, not exhausted and below its limit', () => {
    const three = add({ destinations: destinations(null, MOBILE, HOME, OFFICE), limits: atMost(1) });
    after([three])
      .when(claim('a1', 1))
      .then([{ type: 'DialAttemptStarted', attempt: { destinationIndex: 1 } as never }]);
    after([three, exhaust(1, 1)])
      .when(claim('a1', 2))
      .then([{ type: 'DialAttemptStarted', attempt: { destinationIndex: 2 } as never }]);
    after([three, claim('a1', 1), report('a1', 'busy', 2), exhaust(2, 3)])
      .when(claim('a2', 4))
      .then([{ type: 'DialAttemptStarted', attempt: { destinationIndex: 3, destination: OFFICE, tryCount: 1 } as never }]);
  });
  it('never dials a destination whose limit is 0', () => {
    after([add({ destinations: destinations(MOBILE, HOME) })])
      .when(claim('a1', 1, { policy: plan({ maxTryCounts: [0, 3, 3, 3, 3] }) }))
      .then([{ type: 'DialAttemptStarted', attempt: { destinationIndex: 1 } as never }]);
  });
  it.each([
    ['not due yet', [add(), claim('a1', 0), report('a1', 'busy', 1)], claim('a2', 10.9), 'not_due'],
    ['deleted', [add(), remove(1)], claim('a1', 2), 'deleted'],
    ['done', [add(), cancel(1)], claim('a1', 2), 'done'],
    ['under way already', [add(), claim('a1', 0)], claim('a2', 1), 'progressing'],
  ])('is refused while the target is %s', (_why, history, command, reason) => {
    after(history).when(command).thenRefused('NOT_CALLABLE', { target_id: reason });
  });
  it('starts in the very microsecond in which the target is due', () => {
    after([add(), claim('a1', 0), report('a1', 'busy', 1)])
      .when(claim('a2', 11))
      .then([{ type: 'DialAttemptStarted' }]);
  });
  it('on a chosen destination starts only when that one is next', () => {
    const two = add({ destinations: destinations(MOBILE, HOME, OFFICE) });
    after([two])
      .when(claim('a1', 1, { destinationIndex: 0 }))
      .then([{ type: 'DialAttemptStarted' }]);
    after([two])
      .when(claim('a1', 1, { destinationIndex: 1 }))
      .thenRefused('NOT_CALLABLE', { target_id: 'not_due' });
    after([two])
      .when(claim('a1', 1, { destinationIndex: 4 }))
      .thenRefused('NOT_CALLABLE', { target_id: 'no_destination' });
    after([two, exhaust(1, 1)])
      .when(claim('a1', 2, { destinationIndex: 1 }))
      .thenRefused('NOT_CALLABLE', { target_id: 'exhausted' });
    after([two])
      .when(claim('a1', 1, { destinationIndex: 2, policy: plan({ maxTryCounts: [3, 3, 0, 3, 3] }) }))
      .thenRefused('NOT_CALLABLE', { target_id: 'limit_reached' });
  });
  it("under a lease's own outplan is refused where that one would not allow it, and never ends the target", () => {
    after([add({ destinations: destinations(MOBILE, HOME) })])
      .when(claim('a1', 1, { allow: plan({ maxTryCounts: [0, 3, 3, 3, 3] }) }))
      .thenRefused('NOT_CALLABLE', { target_id: 'limit_reached' });
    after([add({ limits: atMost(2) })])
      .when(claim('a1', 1, { allow: plan({ maxTryCounts: [0, 0, 0, 0, 0] }) }))
      .then([{ type: 'DialAttemptStarted', policy: { ...PLAN, maxTryCounts: [2, 2, 2, 2, 2] } }]);
  });
  it('of a target whom today’s limits leave nothing ends it instead', () => {
    const once = plan({ maxTryCounts: [1, 1, 1, 1, 1] });
    after([add(), claim('a1', 0), report('a1', 'busy', 1)])
      .when(claim('a2', 20, { policy: once }))
      .then([{ type: 'TargetEnded', change: { after: { status: 'done', doneReason: 'exhausted', due: null } } as never }])
      .thenState({ status: 'done', doneReason: 'exhausted', tryCounts: [1, 0, 0, 0, 0] });
    after([add()])
      .when(claim('a1', 1, { policy: plan({ maxTryCounts: [0, 0, 0, 0, 0] }) }))
      .then([{ type: 'TargetEnded' }]);
  });
  it('on no target at all is not found', () => {
    given([]).when(claim('a1', 0)).thenRefused('OUTDIAL_TARGET_NOT_FOUND');
  });
});

describe('Why a target is not callable', () => {
  it('is told in the words of the API', () => {
    const idle = stateAfter([add({ destinations: destinations(MOBILE, HOME) })]);
    const never = plan({ maxTryCounts: [0, 0, 0, 0, 0] });
    expect(notCallable(idle, PLAN, ADDED)).toBeNull();
    expect(notCallable(idle, PLAN, ADDED - 1)).toBe('not_due');
    expect(notCallable(idle, never, START)).toBe('limit_reached');
    expect(notCallable({ ...idle, exhausted: [true, false, false, false, false] }, never, START)).toBe('limit_reached');
    expect(notCallable({ ...idle, exhausted: [true, true, false, false, false] }, PLAN, START)).toBe('exhausted');
    expect(notCallable({ ...idle, destinations: destinations() }, PLAN, START)).toBe('no_destination');
    expect(nextDestination({ ...idle, exhausted: [true, false, false, false, false] }, [3, 3, 3, 3, 3])).toBe(1);
  });
});

// ---------------------------------------------------------------- outcomes

describe('An answer', () => {
  it('makes the target done', () => {
    after([add(), claim('a1', 0)])
      .when(report('a1', 'answered', 1, { disposition: 'sale', note: 'call back in May' }))
      .then([{ type: 'OutcomeRecorded', outcome: 'answered', disposition: 'sale', note: 'call back in May', tmEnd: at(1) }])
      .thenState({ status: 'done', doneReason: 'answered', due: null, tryCounts: [1, 0, 0, 0, 0] });
  });
});

describe('An attempt that was not answered', () => {
  it.each(['busy', 'no_answer', 'failed', 'canceled', 'rejected', 'machine', 'fax', 'congestion', 'unknown'] as const)(
    '(%s) is followed by another after the interval, below the limit',
    (outcome) => {
      after([add(), claim('a1', 0)])
        .when(report('a1', outcome, 1))
        .then([{ type: 'OutcomeRecorded', outcome }])
        .thenState({ status: 'idle', due: at(11), tryCounts: [1, 0, 0, 0, 0], exhausted: [false, false, false, false, false] });
    },
  );
  it('is followed by the next destination at once, at the limit', () => {
    after([add({ destinations: destinations(MOBILE, null, HOME), limits: atMost(1) }), claim('a1', 0)])
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'idle', due: at(1), exhausted: [false, false, false, false, false] });
  });
  it('ends the target when no destination is left', () => {
    after([add({ limits: atMost(1) }), claim('a1', 0)])
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'done', doneReason: 'exhausted', due: null });
  });
  it('goes through all tries of all destinations, in order, and no further', () => {
    const cycle = [0, 1, 2, 3].flatMap((n) => [claim(`a${n}`, n * 20), report(`a${n}`, 'no_answer', n * 20 + 1)]);
    const state = stateAfter([add({ destinations: destinations(MOBILE, HOME), limits: atMost(2) }), ...cycle]);
    expect(state.attempts.map(({ destinationIndex, tryCount }) => [destinationIndex, tryCount])).toEqual([
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
    ]);
    expect(state).toMatchObject({ status: 'done', doneReason: 'exhausted', tryCounts: [2, 2, 0, 0, 0] });
  });
  it('exhausts an invalid number, and dials the next one at once', () => {
    after([add({ destinations: destinations(MOBILE, HOME) }), claim('a1', 0)])
      .when(report('a1', 'invalid_number', 1))
      .thenState({ status: 'idle', due: at(1), exhausted: [true, false, false, false, false] });
    after([add(), claim('a1', 0)])
      .when(report('a1', 'invalid_number', 1))
      .thenState({ status: 'done', doneReason: 'exhausted', exhausted: [true, false, false, false, false] });
  });
  it('is judged by the policy it was started under, not by a later one', () => {
    after([add(), claim('a1', 0, { policy: plan({ tryInterval: 0, maxTryCounts: [2, 2, 2, 2, 2] }) })])
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'idle', due: at(1) });
    after([add({ limits: atMost(2) }), claim('a1', 0), update({ limits: atMost(1) }, 0.5)])
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'idle', due: at(11) });
  });
  it('rests for its own destination even when a lower one was added meanwhile', () => {
    after([
      add({ externalId: 'crm-1', destinations: destinations(null, HOME) }),
      claim('a1', 0),
      update({ destinations: { 0: MOBILE } }, 0.5),
    ])
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'idle', due: at(11) });
  });
});

describe('The retry map of an outplan', () => {
  const withRetry = (retry: DialPolicy['retry'], over: Partial<NewTarget> = {}) => [
    add({ destinations: destinations(MOBILE, HOME), ...over }),
    claim('a1', 0, { policy: plan({ retry }) }),
  ];
  it('retry: false exhausts the destination; the next one is due at once', () => {
    after(withRetry({ fax: { retry: false } }))
      .when(report('a1', 'fax', 1))
      .thenState({ status: 'idle', due: at(1), exhausted: [true, false, false, false, false] });
  });
  it('interval replaces the wait after that outcome, and after no other', () => {
    const history = withRetry({ busy: { interval: 30_000 } });
    after(history)
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'idle', due: at(1.5) });
    after(history)
      .when(report('a1', 'no_answer', 1))
      .thenState({ status: 'idle', due: at(11) });
  });
  it('next_destination exhausts the destination; the next one is due after the interval', () => {
    after(withRetry({ machine: { next_destination: true, interval: 120_000 } }))
      .when(report('a1', 'machine', 1))
      .thenState({ status: 'idle', due: at(3), exhausted: [true, false, false, false, false] });
    after(withRetry({ machine: { next_destination: true } }))
      .when(report('a1', 'machine', 1))
      .thenState({ due: at(1) });
  });
  it('ends the target when the destination it exhausts was the last', () => {
    after(withRetry({ fax: { next_destination: true, interval: 60_000 } }, { destinations: destinations(MOBILE) }))
      .when(report('a1', 'fax', 1))
      .thenState({ status: 'done', doneReason: 'exhausted', due: null });
  });
  it('never raises a limit', () => {
    after(
      withRetry(
        { invalid_number: { retry: true }, busy: { retry: true, interval: 0 } },
        { destinations: destinations(MOBILE), limits: atMost(1) },
      ),
    )
      .when(report('a1', 'busy', 1))
      .thenState({ status: 'done', doneReason: 'exhausted' });
  });
  it('of unknown applies to an expired lease', () => {
    after(withRetry({ unknown: { interval: 60_000 } }))
      .when(expire('a1', 2))
      .thenState({ status: 'idle', due: at(2.5) });
  });
});

describe('The end of a call', () => {
  it('is what the interval counts from', () => {
    after([add(), claim('a1', 0)])
      .when(report('a1', 'busy', 5, { tmEnd: at(2) }))
      .then([{ type: 'OutcomeRecorded', tm: at(5), tmEnd: at(2) }])
      .thenState({ due: at(12) });
  });
  it('is no earlier than its start and no later than now', () => {
    after([add(), claim('a1', 1)])
      .when(report('a1', 'busy', 5, { tmEnd: at(0) }))
      .then([{ type: 'OutcomeRecorded', tmEnd: at(1) }]);
    after([add(), claim('a1', 1)])
      .when(report('a1', 'busy', 5, { tmEnd: at(60) }))
      .then([{ type: 'OutcomeRecorded', tmEnd: at(5) }]);
  });
});

describe('A report', () => {
  const reported = [add(), claim('a1', 0), report('a1', 'busy', 1, { disposition: 'later' })];
  it('made again changes nothing', () => {
    after(reported)
      .when(report('a1', 'busy', 2))
      .then([]);
    after(reported)
      .when(report('a1', 'busy', 2, { disposition: 'later' }))
      .then([]);
    expect(classifyReport(stateAfter(reported), report('a1', 'busy', 2))).toBe('repeated');
  });
  it('made again with a new disposition or note is recorded, and keeps what it does not bring', () => {
    const command = report('a1', 'busy', 2, { note: 'voicemail full' });
    expect(classifyReport(stateAfter(reported), command)).toBe('recorded');
    after(reported)
      .when(command)
      .then([{ type: 'OutcomeAnnotated', disposition: 'later', note: 'voicemail full' }])
      .thenState({
        status: 'idle',
        due: at(11),
        attempts: [expect.objectContaining({ disposition: 'later', note: 'voicemail full' })] as never,
      });
  });
  it('of another outcome is stale', () => {
    expect(classifyReport(stateAfter(reported), report('a1', 'answered', 2))).toBe('stale');
    after(reported)
      .when(report('a1', 'answered', 2))
      .thenRefused('STALE_ATTEMPT', { attempt_id: 'ended as busy' });
  });
  it('on an attempt that the target does not have is not found', () => {
    expect(classifyReport(stateAfter(reported), report('a9', 'busy', 2))).toBe('not_found');
    expect(classifyReport(null, report('a1', 'busy', 2))).toBe('not_found');
    after(reported)
      .when(report('a9', 'busy', 2))
      .thenRefused('ATTEMPT_NOT_FOUND');
  });
  it('on an earlier attempt touches neither the target nor the attempt under way', () => {
    const busy = [...reported, claim('a2', 20)];
    after(busy)
      .when(report('a1', 'answered', 21))
      .thenRefused('STALE_ATTEMPT');
    after(busy)
      .when(report('a1', 'busy', 21))
      .then([]);
    after(busy)
      .when(report('a1', 'busy', 21, { note: 'n' }))
      .thenState({ status: 'progressing', due: null });
  });
  it('on a released attempt is stale', () => {
    const released = [add(), claim('a1', 0), release('a1', 1)];
    expect(classifyReport(stateAfter(released), report('a1', 'busy', 2))).toBe('stale');
    after(released)
      .when(report('a1', 'busy', 2))
      .thenRefused('STALE_ATTEMPT', { attempt_id: 'ended as released' });
  });
  it('on an attempt from before the target was added again is stale, whatever it says', () => {
    const again = [add(), ...expired, remove(2), readd(3)];
    expect(classifyReport(stateAfter(again), report('a1', 'answered', 4))).toBe('stale');
    after(again)
      .when(report('a1', 'answered', 4))
      .thenRefused('STALE_ATTEMPT', {
        attempt_id: 'from before the target was deleted and added again',
      });
  });
});

// ---------------------------------------------------------------- leases

describe('Extending a lease', () => {
  it('moves its expiry to the asked time from now', () => {
    after([add(), claim('a1', 1)])
      .when(extend('a1', 2, 600))
      .then([{ type: 'LeaseExtended', attemptId: 'a1', tmExpire: at(12) }])
      .thenState({ attempts: [expect.objectContaining({ tmExpire: at(12), outcome: null })] as never });
  });
  it('never shortens it', () => {
    const command = extend('a1', 1.1, 10);
    expect(classifyLease(stateAfter([add(), claim('a1', 1)]), command)).toBe('extended');
    after([add(), claim('a1', 1)])
      .when(command)
      .then([]);
    after([add(), claim('a1', 1)])
      .when(extend('a1', 1.5, 60))
      .then([]);
  });
  it('is possible until the expiry is recorded', () => {
    after([add(), claim('a1', 1)])
      .when(extend('a1', 3, 60))
      .then([{ type: 'LeaseExtended', tmExpire: at(4) }]);
  });
  it('of an attempt that has ended, or that never was, is refused', () => {
    const ended = stateAfter([add(), ...expired]);
    expect(classifyLease(ended, extend('a1', 3, 60))).toBe('ended');
    expect(classifyLease(ended, extend('a9', 3, 60))).toBe('not_found');
    expect(classifyLease(null, extend('a1', 3, 60))).toBe('not_found');
    after([add(), ...expired])
      .when(extend('a1', 3, 60))
      .thenRefused('STALE_ATTEMPT');
    after([add(), ...expired])
      .when(extend('a9', 3, 60))
      .thenRefused('ATTEMPT_NOT_FOUND');
  });
});

describe('Releasing a lease', () => {
  it('takes the try back and leaves the target due as before', () => {
    after([add(), claim('a1', 0), report('a1', 'busy', 1), claim('a2', 30)])
      .when(release('a2', 31))
      .then([{ type: 'LeaseReleased', attemptId: 'a2', tmEnd: at(31) }])
      .thenState({ status: 'idle', due: at(11), tryCounts: [1, 0, 0, 0, 0] });
  });
  it('is harmless when repeated, and refused when the attempt has ended otherwise', () => {
    const released = [add(), claim('a1', 0), release('a1', 1)];
    expect(classifyLease(stateAfter(released), release('a1', 2))).toBe('repeated');
    after(released).when(release('a1', 2)).then([]);
    expect(classifyLease(stateAfter([add(), ...expired]), release('a1', 2))).toBe('ended');
    after([add(), ...expired])
      .when(release('a1', 2))
      .thenRefused('STALE_ATTEMPT');
    after(released).when(release('a9', 2)).thenRefused('ATTEMPT_NOT_FOUND');
    expect(classifyLease(stateAfter([add(), claim('a1', 0)]), release('a1', 2))).toBe('released');
  });
  it('lets the same try be made again', () => {
    after([add({ limits: atMost(1) }), claim('a1', 0), release('a1', 1)])
      .when(claim('a2', 1))
      .then([{ type: 'DialAttemptStarted', attempt: { tryCount: 1 } as never }]);
  });
});

describe('A lease that expires', () => {
  it('is an unknown outcome at its expiry: it counts, and the interval applies', () => {
    after([add(), claim('a1', 1)])
      .when(expire('a1', 4))
      .then([{ type: 'LeaseExpired', tm: at(4), attemptId: 'a1', tmEnd: at(2.5) }])
      .thenState({
        status: 'idle',
        due: at(12.5),
        tryCounts: [1, 0, 0, 0, 0],
        attempts: [expect.objectContaining({ outcome: 'unknown', expired: true })] as never,
      });
  });
  it('does so at its expiry and not before', () => {
    after([add(), claim('a1', 1)])
      .when(expire('a1', 2.4))
      .then([]);
    after([add(), claim('a1', 1)])
      .when(expire('a1', 2.5))
      .then([{ type: 'LeaseExpired' }]);
    after([add(), claim('a1', 1), extend('a1', 2, 600)])
      .when(expire('a1', 5))
      .then([]);
  });
  it('does nothing to an attempt that has ended or that never was', () => {
    after([add(), claim('a1', 0), report('a1', 'busy', 1)])
      .when(expire('a1', 5))
      .then([]);
    after([add()]).when(expire('a9', 5)).then([]);
  });
  it('is simply recorded when the report comes before the expiry was noticed', () => {
    const late = report('a1', 'busy', 60);
    expect(classifyReport(stateAfter([add(), claim('a1', 1)]), late)).toBe('recorded');
    after([add(), claim('a1', 1)])
      .when(late)
      .then([{ type: 'OutcomeRecorded' }])
      .thenState({ attempts: [expect.objectContaining({ late: false })] as never });
  });
});

describe('A late report', () => {
  it('changes the outcome of its attempt and nothing else', () => {
    const command = report('a1', 'busy', 3, { note: 'n' });
    expect(classifyReport(stateAfter([add(), ...expired]), command)).toBe('late');
    after([add(), ...expired])
      .when(command)
      .then([{ type: 'LateOutcomeRecorded', outcome: 'busy', previousOutcome: 'unknown', note: 'n' }])
      .thenState({
        status: 'idle',
        due: at(11.5),
        tryCounts: [1, 0, 0, 0, 0],
        attempts: [expect.objectContaining({ outcome: 'busy', late: true })] as never,
      });
  });
  it('keeps the end that the expiry set, unless it says when the call ended', () => {
    after([add(), ...expired])
      .when(report('a1', 'busy', 3))
      .then([{ type: 'LateOutcomeRecorded', tmEnd: at(1.5) }]);
    after([add(), ...expired])
      .when(report('a1', 'busy', 3, { tmEnd: at(2) }))
      .then([{ type: 'LateOutcomeRecorded', tmEnd: at(2) }]);
    after([add(), ...expired])
      .when(report('a1', 'busy', 3, { tmEnd: at(60) }))
      .then([{ type: 'LateOutcomeRecorded', tmEnd: at(3) }]);
    after([add(), ...expired])
      .when(report('a1', 'busy', 3, { tmEnd: at(-60) }))
      .then([{ type: 'LateOutcomeRecorded', tmEnd: at(0) }]);
  });
  it('is late once: the same again is repeated, another is stale', () => {
    const late = [add(), ...expired, report('a1', 'unknown', 3)];
    expect(classifyReport(stateAfter(late), report('a1', 'unknown', 4))).toBe('repeated');
    expect(classifyReport(stateAfter(late), report('a1', 'answered', 4))).toBe('stale');
  });
  it('of an answer makes the target done at once, whatever it was', () => {
    const answeredLate = report('a1', 'answered', 5);
    const answered = { status: 'done', doneReason: 'answered', due: null } as const;
    after([add(), ...expired])
      .when(answeredLate)
      .then([{ type: 'LateOutcomeRecorded' }])
      .thenState(answered);
    after([add({ limits: atMost(1) }), ...expired])
      .when(answeredLate)
      .thenState(answered);
    after([add(), ...expired, cancel(2)])
      .when(answeredLate)
      .thenState(answered);
    after([add(), ...expired, remove(2)])
      .when(answeredLate)
      .thenState({ ...answered, gone: true });
  });
  it('of an invalid number exhausts its destination', () => {
    after([add({ destinations: destinations(MOBILE, HOME) }), ...expired])
      .when(report('a1', 'invalid_number', 3))
      .thenState({ status: 'idle', exhausted: [true, false, false, false, false] });
    after([add(), ...expired])
      .when(report('a1', 'invalid_number', 3))
      .thenState({ status: 'done', doneReason: 'exhausted' });
  });
  it('of an invalid number ends the rest that was kept for it', () => {
    after([add({ destinations: destinations(MOBILE, HOME) }), ...expired])
      .when(report('a1', 'invalid_number', 3))
      .thenState({ due: at(3) });
  });
  it('exhausts nothing else, and no invalid number that the retry map lets be tried again', () => {
    const under = (retry: DialPolicy['retry']) => [add(), claim('a1', 0, { policy: plan({ retry }) }), expire('a1', 1.5)];
    const untouched = { status: 'idle', due: at(11.5), exhausted: [false, false, false, false, false] } as const;
    after(under({ fax: { retry: false } }))
      .when(report('a1', 'fax', 3))
      .thenState(untouched);
    after(under({ invalid_number: { retry: true } }))
      .when(report('a1', 'invalid_number', 3))
      .thenState(untouched);
  });
  it('of an invalid number leaves a call-back and the rest of another destination alone', () => {
    const two = add({ destinations: destinations(MOBILE, HOME), limits: { ...NO_LIMITS, tryCountMaxes: [1, null, null, null, null] } });
    after([two, ...expired, update({ due: at(500) }, 2)])
      .when(report('a1', 'invalid_number', 3))
      .thenState({ due: at(500) });
    after([two, ...expired, claim('a2', 2), report('a2', 'busy', 3)])
      .when(report('a1', 'invalid_number', 4))
      .thenState({ due: at(13), exhausted: [true, false, false, false, false] });
  });
  it('of an invalid number, while that destination is dialed again, lets it be dialed no more', () => {
    after([add({ destinations: destinations(MOBILE, HOME) }), ...expired, claim('a2', 20), report('a1', 'invalid_number', 21)])
      .when(report('a2', 'busy', 22))
      .thenState({ status: 'idle', due: at(22), exhausted: [true, false, false, false, false] });
  });
  it('never revives what is done', () => {
    after([add(), ...expired, cancel(2)])
      .when(report('a1', 'invalid_number', 3))
      .thenState({ status: 'done', doneReason: 'canceled', exhausted: [true, false, false, false, false] });
  });
});

describe('A late answer while another attempt is under way', () => {
  const overtaken = [add(), ...expired, claim('a2', 20), report('a1', 'answered', 21)];
  it('makes the target done and leaves that attempt open', () => {
    const state = stateAfter(overtaken);
    expect(state).toMatchObject({ status: 'done', doneReason: 'answered', tryCounts: [2, 0, 0, 0, 0] });
    expect(attemptUnderWay(state)).toMatchObject({ attemptId: 'a2', outcome: null });
  });
  it('makes its extension answer that it has ended', () => {
    expect(classifyLease(stateAfter(overtaken), extend('a2', 22, 600))).toBe('ended');
    after(overtaken)
      .when(extend('a2', 22, 600))
      .thenRefused('STALE_ATTEMPT');
  });
  it.each(['busy', 'invalid_number', 'answered'] as const)('lets its own report (%s) change only the attempt', (outcome) => {
    expect(classifyReport(stateAfter(overtaken), report('a2', outcome, 22))).toBe('recorded');
    after(overtaken)
      .when(report('a2', outcome, 22))
      .then([{ type: 'OutcomeRecorded', outcome }])
      .thenState({
        status: 'done',
        doneReason: 'answered',
        due: null,
        tryCounts: [2, 0, 0, 0, 0],
        exhausted: [false, false, false, false, false],
      });
  });
  it('lets it expire and be released without coming back', () => {
    after(overtaken)
      .when(expire('a2', 30))
      .then([{ type: 'LeaseExpired' }])
      .thenState({ status: 'done', doneReason: 'answered', due: null });
    after(overtaken)
      .when(release('a2', 22))
      .then([{ type: 'LeaseReleased' }])
      .thenState({ status: 'done', doneReason: 'answered', due: null, tryCounts: [1, 0, 0, 0, 0] });
  });
});

// ---------------------------------------------------------------- canceling, exhausting, deleting

describe('Canceling a target', () => {
  it('makes an idle one done', () => {
    after([add()])
      .when(cancel(1))
      .then([{ type: 'TargetCanceled', reason: 'customer asked' }])
      .thenState({ status: 'done', doneReason: 'canceled', due: null, cancelRequested: false });
  });
  it('takes effect at the end of the attempt under way', () => {
    after([add(), claim('a1', 0)])
      .when(cancel(1))
      .then([{ type: 'TargetCanceled' }])
      .thenState({ status: 'progressing', cancelRequested: true });
    const canceled = { status: 'done', doneReason: 'canceled', due: null } as const;
    after([add(), claim('a1', 0), cancel(1)])
      .when(report('a1', 'busy', 2))
      .thenState(canceled);
    after([add(), claim('a1', 0), cancel(1)])
      .when(expire('a1', 3))
      .thenState(canceled);
    after([add(), claim('a1', 0), cancel(1)])
      .when(release('a1', 2))
      .thenState({ ...canceled, tryCounts: [0, 0, 0, 0, 0] });
  });
  it('gives way to an answer', () => {
    after([add(), claim('a1', 0), cancel(1)])
      .when(report('a1', 'answered', 2))
      .thenState({ status: 'done', doneReason: 'answered' });
  });
  it('again, or of a target that is done already, changes nothing', () => {
    after([add(), cancel(1)])
      .when(cancel(2))
      .then([]);
    after([add(), claim('a1', 0), cancel(1)])
      .when(cancel(2))
      .then([]);
    after([add(), claim('a1', 0), report('a1', 'answered', 1)])
      .when(cancel(2))
      .then([]);
  });
  it('of a deleted target is refused', () => {
    after([add(), remove(1)])
      .when(cancel(2))
      .thenRefused('DELETED');
  });
});

describe('Exhausting a destination', () => {
  const two = add({ destinations: destinations(MOBILE, HOME) });
  it('of an idle target skips it from now on', () => {
    after([two])
      .when(exhaust(0, 1))
      .then([{ type: 'DestinationExhausted', destinationIndex: 0, reason: 'opted out' }])
      .thenState({ status: 'idle', due: ADDED, exhausted: [true, false, false, false, false] });
  });
  it('ends the target when it was the last', () => {
    after([add()]).when(exhaust(0, 1)).thenState({ status: 'done', doneReason: 'exhausted', due: null });
    after([two, exhaust(1, 1)])
      .when(exhaust(0, 2))
      .thenState({ status: 'done', doneReason: 'exhausted' });
    after([two])
      .when(exhaust(0, 1, plan({ maxTryCounts: [3, 0, 3, 3, 3] })))
      .thenState({ status: 'done', doneReason: 'exhausted' });
  });
  it('that is resting makes the next one due at once, but moves no call-back', () => {
    after([two, claim('a1', 0), report('a1', 'busy', 1)])
      .when(exhaust(0, 2))
      .thenState({ status: 'idle', due: at(2) });
    after([two, claim('a1', 0), report('a1', 'busy', 1)])
      .when(exhaust(1, 2))
      .thenState({ status: 'idle', due: at(11) });
    after([two, claim('a1', 0), report('a1', 'busy', 1)])
      .when(exhaust(0, 30))
      .thenState({ status: 'idle', due: at(11) });
    after([two, claim('a1', 0), report('a1', 'busy', 1), update({ due: at(500) }, 2)])
      .when(exhaust(0, 3))
      .thenState({ due: at(500) });
  });
  it('that is being dialed takes effect when its attempt ends', () => {
    after([two, claim('a1', 0)])
      .when(exhaust(0, 1))
      .then([{ type: 'DestinationExhausted', change: { after: { exhausted: [false, false, false, false, false] } } as never }])
      .thenState({
        status: 'progressing',
        exhausted: [false, false, false, false, false],
        exhaustRequested: [true, false, false, false, false],
      });
    const next = {
      status: 'idle',
      exhausted: [true, false, false, false, false],
      exhaustRequested: [false, false, false, false, false],
    } as const;
    after([two, claim('a1', 0), exhaust(0, 1)])
      .when(report('a1', 'busy', 2))
      .thenState({ ...next, due: at(2) });
    after([two, claim('a1', 0), exhaust(0, 1)])
      .when(release('a1', 2))
      .thenState({ ...next, due: ADDED, tryCounts: [0, 0, 0, 0, 0] });
    after([add(), claim('a1', 0), exhaust(0, 1)])
      .when(expire('a1', 2))
      .thenState({ status: 'done', doneReason: 'exhausted' });
  });
  it('other than the one being dialed takes effect at once and lets that attempt go on', () => {
    after([two, claim('a1', 0)])
      .when(exhaust(1, 1))
      .thenState({ status: 'progressing', exhausted: [false, true, false, false, false] });
  });
  it('again changes nothing, also when it has ended the target', () => {
    after([two, exhaust(0, 1)])
      .when(exhaust(0, 2))
      .then([]);
    after([two, claim('a1', 0), exhaust(0, 1)])
      .when(exhaust(0, 2))
      .then([]);
    after([add(), exhaust(0, 1)])
      .when(exhaust(0, 2))
      .then([]);
  });
  it('that is not there, of a done or of a deleted target is refused', () => {
    after([two]).when(exhaust(3, 1)).thenRefused('DESTINATION_NOT_FOUND');
    after([two, cancel(1)])
      .when(exhaust(0, 2))
      .thenRefused('TARGET_DONE', { destination_0: 'done' });
    after([two, remove(1)])
      .when(exhaust(0, 2))
      .thenRefused('DELETED');
  });
});

describe('Deleting a target', () => {
  it('takes it out of everything that is counted', () => {
    after([add()])
      .when(remove(1))
      .then([
        {
          type: 'TargetRemoved',
          change: { before: { due: ADDED, gone: false }, after: { status: 'idle', due: null, gone: true } } as never,
        },
      ])
      .thenState({ tmDelete: at(1), due: null, gone: true });
  });
  it('lets its attempt end; until then it counts', () => {
    after([add(), claim('a1', 0)])
      .when(remove(1))
      .thenState({ status: 'progressing', gone: false, tmDelete: at(1) });
    after([add(), claim('a1', 0), remove(1)])
      .when(extend('a1', 1.2, 600))
      .then([{ type: 'LeaseExtended' }]);
    after([add(), claim('a1', 0), remove(1)])
      .when(report('a1', 'busy', 2))
      .then([{ type: 'OutcomeRecorded' }])
      .thenState({ status: 'idle', due: null, gone: true });
    after([add(), claim('a1', 0), remove(1)])
      .when(report('a1', 'answered', 2))
      .thenState({ status: 'done', doneReason: 'answered', gone: true });
    after([add(), claim('a1', 0), remove(1)])
      .when(release('a1', 2))
      .thenState({ status: 'idle', due: null, gone: true, tryCounts: [0, 0, 0, 0, 0] });
  });
  it('counts until the attempt ends that a late answer has overtaken', () => {
    const overtaken = [add(), ...expired, claim('a2', 20), report('a1', 'answered', 21), remove(22)];
    expect(stateAfter(overtaken)).toMatchObject({ status: 'done', gone: false });
    after(overtaken)
      .when(report('a2', 'busy', 23))
      .thenState({ status: 'done', doneReason: 'answered', gone: true });
  });
  it('twice changes nothing', () => {
    after([add(), remove(1)])
      .when(remove(2))
      .then([]);
  });
  it('must find it', () => {
    given([]).when(remove(1)).thenRefused('OUTDIAL_TARGET_NOT_FOUND');
  });
});

// ---------------------------------------------------------------- updating

describe('Updating a target', () => {
  const two = add({ destinations: destinations(MOBILE, HOME) });
  it('records only what changed', () => {
    after([two])
      .when(update({ name: 'John Smith', detail: 'VIP', priority: 7, destinations: { 1: HOME } }, 1))
      .then([
        {
          type: 'TargetUpdated',
          changes: { detail: 'VIP', priority: 7 },
          change: { before: { priority: 0 }, after: { priority: 7 } } as never,
        },
      ])
      .thenState({ name: 'John Smith', detail: 'VIP', priority: 7, tmUpdate: at(1) });
  });
  it('with equal values changes nothing, whatever it was', () => {
    const same = update({ name: 'John Smith', destinations: { 0: MOBILE, 2: null }, limits: NO_LIMITS }, 9);
    after([two]).when(same).then([]);
    after([two, cancel(1)])
      .when(same)
      .then([]);
    after([two, claim('a1', 0)])
      .when(same)
      .then([]);
    after([two, remove(1)])
      .when(same)
      .then([]);
  });
  it('adds, replaces and removes destinations that were not tried', () => {
    after([two])
      .when(update({ destinations: { 1: null, 3: OFFICE } }, 1))
      .thenState({ destinations: destinations(MOBILE, null, null, OFFICE) });
    after([two, claim('a1', 0)])
      .when(update({ destinations: { 1: OFFICE } }, 1))
      .thenState({ destinations: destinations(MOBILE, OFFICE) });
  });
  it('refuses a destination that was tried meanwhile, naming it', () => {
    const tried = add({ externalId: 'crm-1', destinations: destinations(MOBILE, HOME) });
    after([tried, claim('a1', 0)])
      .when(update({ destinations: { 0: OFFICE } }, 1))
      .thenRefused('DESTINATION_TRIED', { destination_0: 'tried already' });
    after([tried, claim('a1', 0), release('a1', 1)])
      .when(update({ destinations: { 0: OFFICE } }, 2))
      .then([{ type: 'TargetUpdated' }]);
  });
  it('refuses to change the destination that is the identity of a target without external_id', () => {
    after([two])
      .when(update({ destinations: { 0: OFFICE } }, 1))
      .thenRefused('INVALID_ARGUMENT');
    after([two])
      .when(update({ destinations: { 0: null } }, 1))
      .thenRefused('INVALID_ARGUMENT');
    after([add({ destinations: destinations(null, HOME) })])
      .when(update({ destinations: { 0: MOBILE } }, 1))
      .thenRefused('INVALID_ARGUMENT');
    after([add({ externalId: 'crm-1' })])
      .when(update({ destinations: { 0: OFFICE } }, 1))
      .then([{ type: 'TargetUpdated' }]);
  });
  it('lets the identifying destination be labelled anew', () => {
    after([two])
      .when(update({ destinations: { 0: { ...MOBILE, name: 'mobile' } } }, 1))
      .then([{ type: 'TargetUpdated' }]);
  });
  it('refuses to remove all destinations', () => {
    after([add({ externalId: 'crm-1' })])
      .when(update({ destinations: { 0: null } }, 1))
      .thenRefused('INVALID_ARGUMENT', { destination_0: 'a target needs at least one destination' });
  });
  it('ends the target when it takes away the last destination that could be dialed', () => {
    after([two, exhaust(0, 1)])
      .when(update({ destinations: { 1: null } }, 2))
      .thenState({ status: 'done', doneReason: 'exhausted', due: null });
  });
  it('of limits alone ends nothing: that is noticed at the next claim', () => {
    after([two])
      .when(update({ limits: atMost(0) }, 1))
      .thenState({ status: 'idle', due: ADDED });
    after([two, update({ limits: atMost(0) }, 1)])
      .when(claim('a1', 2))
      .then([{ type: 'TargetEnded' }]);
  });
  it('refuses destinations and limits of a done target, and takes the rest', () => {
    after([two, cancel(1)])
      .when(update({ limits: atMost(9), destinations: { 2: OFFICE } }, 2))
      .thenRefused('TARGET_DONE', { destination_2: 'done', try_count_max: 'done' });
    after([two, cancel(1)])
      .when(update({ name: 'Jane', priority: 3 }, 2))
      .thenState({ status: 'done', name: 'Jane', priority: 3 });
  });
  it('sets a call-back of an idle target only', () => {
    after([two])
      .when(update({ due: at(90) }, 1))
      .then([{ type: 'TargetUpdated', changes: { due: at(90) } }])
      .thenState({ status: 'idle', due: at(90) });
    after([two, claim('a1', 0)])
      .when(update({ due: at(90) }, 1))
      .thenRefused('NOT_IDLE', { tm_next_try: 'progressing' });
    after([two, cancel(1)])
      .when(update({ due: at(90) }, 2))
      .thenRefused('NOT_IDLE', { tm_next_try: 'done' });
  });
  it('of a deleted target is refused', () => {
    after([two, remove(1)])
      .when(update({ name: 'x' }, 2))
      .thenRefused('DELETED');
  });
});

describe('A stream that lacks its beginning', () => {
  it('still folds', () => {
    const [, , ended] = rulesOf<Target, TargetCommand, TargetEvent>({ decide: decideTarget, evolve: evolveTarget }).history([
      add(),
      claim('a1', 0),
      report('a1', 'answered', 1),
    ]);
    expect(ended && evolveTarget(null, ended)).toMatchObject({ id: targetId, status: 'done', doneReason: 'answered', attempts: [] });
  });
});
