import fc from 'fast-check';
import type { Address } from './address';
import { OutdialError } from './errors';
import { DESTINATIONS, five } from './five';
import { REPORTED_OUTCOMES } from './outcomes';
import {
  classifyLease,
  classifyReport,
  decideTarget,
  evolveTarget,
  foldTarget,
  notCallable,
  standingOf,
  type Target,
  type TargetCommand,
  type TargetEvent,
} from './outdial-target';
import { DEFAULT_POLICY, effectiveLimits, type DialPolicy, type TargetLimits } from './outplan';
import { decodeContext, decodeEvent, encodeEvent, EVENT_TYPES } from './stored-events';

// ---------------------------------------------------------------- any sequence of commands

const START = 1_651_110_100_000_000;
const tel = (n: number): Address => ({ type: 'tel', target: `+1555123456${n}`, target_name: '', name: '', detail: '' });

const limit = fc.integer({ min: 0, max: 3 });
const aFive = <T>(one: fc.Arbitrary<T>) => fc.tuple(one, one, one, one, one);
const targetLimits: fc.Arbitrary<TargetLimits> = fc.record({
  tryCountMax: fc.option(limit),
  tryCountMaxes: aFive(fc.option(limit, { freq: 1 })),
});
const retryRule = fc.record(
  { retry: fc.boolean(), interval: fc.integer({ min: 0, max: 5000 }), next_destination: fc.boolean() },
  { requiredKeys: [] },
);
const policy: fc.Arbitrary<DialPolicy> = fc.oneof(
  fc.constant(DEFAULT_POLICY),
  fc.record({
    source: fc.option(fc.constant(tel(9))),
    dialTimeout: fc.constant(60_000),
    tryInterval: fc.integer({ min: 0, max: 5000 }),
    maxTryCounts: aFive(limit),
    retry: fc.record({ busy: retryRule, unknown: retryRule, invalid_number: retryRule }, { requiredKeys: [] }),
  }),
);
const address = fc.option(fc.integer({ min: 0, max: 4 }).map(tel), { freq: 3 });
const destinationIndex = fc.constantFrom(...DESTINATIONS);
/** Few ids, so that reports meet attempts under way, ended ones and strangers alike. */
const attemptId = fc.constantFrom('a1', 'a2', 'a3', 'a4', 'a5', 'a6');
const optionalText = fc.option(fc.constantFrom('sale', 'later'));

/** A command, and by how many microseconds the clock moves before it: sometimes not at all, sometimes backwards. */
type Step = { readonly passed: number; readonly command: TargetCommand };
const now = 0;
const outdialId = 'o';
const targetId = 't';
const customerId = 'c';
const command: fc.Arbitrary<TargetCommand> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('AddTarget' as const),
      now: fc.constant(now),
      outdialId: fc.constant(outdialId),
      targetId: fc.constant(targetId),
      customerId: fc.constant(customerId),
      readd: fc.boolean(),
      target: fc.record({
        externalId: fc.option(fc.constant('crm-1')),
        destinations: aFive(address),
        limits: targetLimits,
        name: fc.constantFrom('', 'John'),
        detail: fc.constant(''),
        data: fc.constantFrom('', '{"a":1}'),
        priority: fc.integer({ min: -100, max: 100 }),
      }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('RecordDialAttempt' as const),
      now: fc.constant(now),
      attemptId,
      dialer: fc.constant('dialer 1'),
      leaseMillis: fc.integer({ min: 1000, max: 5000 }),
      policy,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('RecordOutcome' as const),
      now: fc.constant(now),
      attemptId,
      outcome: fc.constantFrom(...REPORTED_OUTCOMES),
      disposition: optionalText,
      note: optionalText,
      tmEnd: fc.option(fc.integer({ min: START - 1_000_000, max: START + 100_000_000 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('ExtendLease' as const),
      now: fc.constant(now),
      attemptId,
      leaseMillis: fc.integer({ min: 1000, max: 9000 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('ReleaseLease' as const), now: fc.constant(now), attemptId }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('ExpireLease' as const), now: fc.constant(now), attemptId }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('UpdateTarget' as const),
      now: fc.constant(now),
      policy,
      changes: fc.record(
        {
          name: fc.constantFrom('', 'Jane'),
          priority: fc.integer({ min: -100, max: 100 }),
          due: fc.integer({ min: START, max: START + 20_000_000 }),
          limits: targetLimits,
          destinations: fc.record({ 0: address, 1: address, 4: address }, { requiredKeys: [] }),
        },
        { requiredKeys: [] },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('ExhaustDestination' as const),
      now: fc.constant(now),
      destinationIndex,
      reason: fc.constant('opted out'),
      policy,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('CancelTarget' as const), now: fc.constant(now), reason: fc.constant('why') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('RemoveTarget' as const), now: fc.constant(now) }) },
);
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({ passed: fc.oneof(fc.integer({ min: -2_000_000, max: 6_000_000 }), fc.constant(0)), command }),
  { minLength: 1, maxLength: 40, size: 'max' },
);

interface Taken {
  readonly before: Target | null;
  readonly command: TargetCommand;
  /** None when the command was refused. */
  readonly events: readonly TargetEvent[];
  readonly refused: boolean;
  readonly after: Target | null;
}

/** Runs a sequence, on a clock that starts with the first step. Attempt ids are never used twice, as in life. */
function run(sequence: readonly Step[]): readonly Taken[] {
  let clock = START;
  let state: Target | null = null;
  let claims = 0;
  return sequence.map((step) => {
    clock += step.passed;
    const asked: TargetCommand =
      step.command.type === 'RecordDialAttempt'
        ? { ...step.command, now: clock, attemptId: `a${claims + 1}` }
        : { ...step.command, now: clock };
    const before = state;
    const events = decideOrRefuse(asked, before);
    state = (events ?? []).reduce<Target | null>(evolveTarget, before);
    if (events?.[0]?.type === 'DialAttemptStarted') claims += 1;
    return { before, command: asked, events: events ?? [], refused: events === null, after: state };
  });
}

function decideOrRefuse(asked: TargetCommand, state: Target | null): readonly TargetEvent[] | null {
  try {
    return decideTarget(asked, state);
  } catch (error) {
    // A refusal is an answer. Anything else is a defect, and fails the property.
    if (error instanceof OutdialError) return null;
    throw error;
  }
}

const holdsFor = (each: (taken: Taken) => void): void => {
  fc.assert(
    fc.property(steps, (sequence) => run(sequence).forEach(each)),
    { numRuns: 300 },
  );
};

// ---------------------------------------------------------------- what always holds

describe('Whatever is asked of a target, in whatever order', () => {
  it('one command yields at most one event', () => {
    holdsFor(({ events }) => {
      expect(events.length).toBeLessThanOrEqual(1);
    });
  });

  it('times within its stream strictly increase, also when the clock goes back', () => {
    holdsFor(({ before, events: [event] }) => {
      if (before !== null && event !== undefined) expect(event.tm).toBeGreaterThan(before.tmLast);
    });
  });

  it('an event says what the target was before and is after it', () => {
    holdsFor(({ before, events: [event], after }) => {
      if (event === undefined || after === null) return;
      if ('change' in event) {
        expect(event.change.before).toEqual(event.type === 'TargetAdded' || before === null ? null : standingOf(before));
        expect(event.change.after).toEqual(standingOf(after));
      } else if (before !== null) {
        expect(standingOf(after)).toEqual(standingOf(before));
      }
    });
  });

  it('an attempt starts within the limits in force, on the lowest destination that may be dialed', () => {
    holdsFor(({ before, command: asked, events: [event] }) => {
      if (asked.type !== 'RecordDialAttempt' || before === null || event?.type !== 'DialAttemptStarted') return;
      const limits = effectiveLimits(before.limits, asked.policy);
      const { destinationIndex: dialed, tryCount, tryCountMax } = event.attempt;
      expect(tryCountMax).toBe(limits[dialed]);
      expect(tryCount).toBeLessThanOrEqual(tryCountMax);
      const mayBeDialed = five((n) => before.destinations[n] !== null && !before.exhausted[n] && before.tryCounts[n] < limits[n]);
      expect(mayBeDialed.indexOf(true)).toBe(dialed);
    });
  });

  it('at most one attempt is under way, and it is the newest', () => {
    holdsFor(({ after }) => {
      const open = (after?.attempts ?? []).flatMap(({ outcome }, n) => (outcome === null ? [n] : []));
      expect(open.length).toBeLessThanOrEqual(1);
      if (open.length === 1) expect(open[0]).toBe((after?.attempts.length ?? 0) - 1);
      if (after?.status === 'progressing') expect(open).toHaveLength(1);
      if (after?.status === 'idle') expect(open).toHaveLength(0);
    });
  });

  it('a try count is the number of attempts of this life on that destination, released ones left out', () => {
    holdsFor(({ after }) => {
      if (after === null) return;
      const counted = after.attempts.filter(({ life, outcome }) => life === after.life && outcome !== 'released');
      expect(after.tryCounts).toEqual(five((n) => counted.filter((attempt) => attempt.destinationIndex === n).length));
    });
  });

  it('done is final, but for a late answer and for being added again', () => {
    holdsFor(({ before, events: [event], after }) => {
      if (before?.status !== 'done' || event === undefined) return;
      if (event.type === 'TargetAdded') expect(before.gone).toBe(true);
      else if (event.type === 'LateOutcomeRecorded' && event.outcome === 'answered') expect(after?.doneReason).toBe('answered');
      else expect([after?.status, after?.doneReason]).toEqual(['done', before.doneReason]);
    });
  });

  it('a done reason is there exactly when the target is done', () => {
    holdsFor(({ after }) => {
      if (after !== null) expect(after.doneReason !== null).toBe(after.status === 'done');
    });
  });

  it('it is due some time exactly when it is idle and not deleted', () => {
    holdsFor(({ after }) => {
      if (after !== null) expect(after.due !== null).toBe(after.status === 'idle' && after.tmDelete === null);
    });
  });

  it('it is gone exactly when it is deleted and no attempt is under way', () => {
    holdsFor(({ after }) => {
      if (after === null) return;
      const underWay = after.attempts.some(({ outcome }) => outcome === null);
      expect(after.gone).toBe(after.tmDelete !== null && !underWay);
    });
  });

  it('an attempt of an earlier life never changes', () => {
    holdsFor(({ before, after }) => {
      const earlier = (before?.attempts ?? []).filter(({ life }) => life < (before?.life ?? 0));
      expect(after?.attempts.slice(0, earlier.length) ?? []).toEqual(earlier);
    });
  });

  it('a command repeated at once changes nothing more', () => {
    holdsFor(({ command: asked, events, after }) => {
      if (events.length === 0 || asked.type === 'AddTarget' || asked.type === 'RecordDialAttempt') return;
      if (asked.type === 'ExtendLease') return;
      expect(decideOrRefuse(asked, after) ?? []).toEqual([]);
    });
  });

  it('what a report will be is known before it is decided', () => {
    holdsFor(({ before, command: asked, events: [event], refused }) => {
      if (asked.type !== 'RecordOutcome') return;
      const result = classifyReport(before, asked);
      expect(refused).toBe(result === 'stale' || result === 'not_found');
      expect(event?.type === 'LateOutcomeRecorded').toBe(result === 'late');
      expect(event?.type === 'OutcomeRecorded' || event?.type === 'OutcomeAnnotated').toBe(result === 'recorded');
    });
  });

  it('what an extension or a release will be is known before it is decided', () => {
    holdsFor(({ before, command: asked, events: [event], refused }) => {
      if (asked.type !== 'ExtendLease' && asked.type !== 'ReleaseLease') return;
      const result = classifyLease(before, asked);
      expect(refused).toBe(result === 'ended' || result === 'not_found');
      expect(event?.type === 'LeaseReleased').toBe(result === 'released');
      if (event?.type === 'LeaseExtended') expect(result).toBe('extended');
    });
  });

  it('a claim does what the answer to "why is it not callable" foretells', () => {
    holdsFor(({ before, command: asked, events: [event], refused }) => {
      if (asked.type !== 'RecordDialAttempt' || before === null) return;
      const refusal = notCallable(before, asked.policy, Math.max(asked.now, before.tmLast + 1));
      if (refusal === null) expect(event?.type).toBe('DialAttemptStarted');
      else if (refusal === 'limit_reached' || refusal === 'exhausted') expect(event?.type).toBe('TargetEnded');
      else expect(refused).toBe(true);
    });
  });

  it('its events read back as they were stored', () => {
    const context = { customerId, actor: 'system', correlationId: 'request', causationId: 'command' };
    holdsFor(({ events }) => {
      for (const event of events) expect(decodeEvent(encodeEvent(event, context))).toEqual(event);
    });
  });
});

describe('These sequences', () => {
  it('reach every event of a target: what holds for them holds for all', () => {
    const reached = new Set(
      fc
        .sample(steps, { numRuns: 2000, seed: 7 })
        .flatMap((sequence) => run(sequence).flatMap(({ events }) => events.map(({ type }) => type))),
    );
    const ofTargets = EVENT_TYPES.filter((type) => !/^(Outdial|Campaign|Outplan|Customer|Password|AccessKey|Deployment)/.test(type));
    expect([...reached].sort()).toEqual([...ofTargets].sort());
  });
});

describe('Events in any order, also one that no decider would leave', () => {
  it('fold without an error, and the last one is believed', () => {
    const events = steps.map((sequence) => run(sequence).flatMap((taken) => taken.events));
    const shuffled = events.chain((list) => fc.shuffledSubarray([...list]));
    fc.assert(
      fc.property(shuffled, (list) => {
        const state = list.reduce<Target | null>(evolveTarget, null);
        expect(foldTarget(list)).toEqual(state);
        const last = list.at(-1);
        if (state !== null && last !== undefined) {
          expect(state.tmLast).toBe(last.tm);
          if ('change' in last) expect(standingOf(state)).toEqual(last.change.after);
        }
      }),
    );
  });

  it('keep who did it, and in which request', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.string(), fc.option(fc.string(), { nil: undefined }), (id, actor, traceparent) => {
        const context = {
          customerId: id,
          actor,
          correlationId: id,
          causationId: id,
          ...(traceparent === undefined ? {} : { traceparent }),
        };
        expect(decodeContext(encodeEvent({ type: 'OutdialPaused', tm: START, outdialId: 'o' }, context))).toEqual(context);
      }),
    );
  });
});
