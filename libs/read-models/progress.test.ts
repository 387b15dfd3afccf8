import fc from 'fast-check';
import { DEFAULT_POLICY, REPORTED_OUTCOMES, type ReportedOutcome, type Target } from '#dialing';
import type { RecordedEvent } from '#event-store';
import { getProgress, progress, type Progress } from './progress';
import {
  factsOfOutdial,
  factOfRecorded,
  live,
  MINUTE,
  openRig,
  projectionContract,
  steps,
  T0,
  TestLog,
  type Rig,
} from './projection.contract';

projectionContract('progress', progress, factsOfOutdial);

test('parts of the progress, each counted from other targets, come to the whole, whatever the split', () => {
  fc.assert(
    fc.property(factsOfOutdial, fc.array(fc.nat({ max: 2 }), { minLength: 4, maxLength: 4 }), (facts, partOf) => {
      const parts = [0, 1, 2].map((part) => facts.filter(({ stream }) => partOf[Number(stream.slice(-1))] === part));
      const counted = parts.filter(({ length }) => length > 0).map((part) => progress.evolveAll!(null, part));
      if (facts.length > 0) expect(counted.reduce((one, other) => progress.merge!(one, other))).toEqual(progress.evolveAll!(null, facts));
    }),
    { numRuns: 200 },
  );
});

type Counted = Omit<Progress, 'tm' | 'attempts'> & { readonly attempts: Omit<Progress['attempts'], 'byMinute'> };

/** The last day's ends, told by the events alone. */
function endsByMinute(events: readonly RecordedEvent[], outdialId: string, now: number): Progress['attempts']['byMinute'] {
  const minutes = new Map<number, { tm: number; ended: number; answered: number }>();
  for (const { event } of events.map(factOfRecorded)) {
    if (!('outdialId' in event) || event.outdialId !== outdialId) continue;
    const ends = event.type === 'OutcomeRecorded' || event.type === 'LeaseExpired';
    const answers = (event.type === 'OutcomeRecorded' || event.type === 'LateOutcomeRecorded') && event.outcome === 'answered';
    const tm = Math.floor(event.tm / MINUTE) * MINUTE;
    if (!(ends || answers) || tm <= now - 24 * 60 * MINUTE) continue;
    const minute = minutes.get(tm) ?? { tm, ended: 0, answered: 0 };
    minutes.set(tm, { tm, ended: minute.ended + (ends ? 1 : 0), answered: minute.answered + (answers ? 1 : 0) });
  }
  return [...minutes.values()].sort((a, b) => a.tm - b.tm);
}

/** The same figures without counters or indexes: from every target as it is. */
function counted(targets: readonly Target[], now: number): Counted {
  const there = targets.filter((target) => !target.gone);
  const attempts = targets.flatMap((target) => target.attempts).filter(({ outcome }) => outcome !== 'released');
  const ended = attempts.filter(({ outcome }) => outcome !== null);
  const answered = attempts.filter(({ outcome }) => outcome === 'answered');
  const dues = there.flatMap(({ due }) => due ?? []);
  const later = dues.filter((due) => due > now);
  const status = (of: Target['status']): number => there.filter((target) => target.status === of).length;
  const reason = (of: Target['doneReason']): number => there.filter((target) => target.doneReason === of).length;
  const outcome = (of: ReportedOutcome): [ReportedOutcome, number] => [of, attempts.filter((attempt) => attempt.outcome === of).length];
  const byDestination = (of: typeof attempts) =>
    [0, 1, 2, 3, 4].map((index) => of.filter((attempt) => attempt.destinationIndex === index).length);
  const byTry = (of: typeof attempts): readonly number[] => {
    const counts = of.map(({ tryCount }) => tryCount);
    return Array.from({ length: Math.max(0, ...counts) }, (_, at) => counts.filter((count) => count === at + 1).length);
  };
  return {
    targets: { total: there.length, idle: status('idle'), progressing: status('progressing'), done: status('done') },
    done: { answered: reason('answered'), exhausted: reason('exhausted'), canceled: reason('canceled') },
    attempts: {
      total: attempts.length,
      byOutcome: {
        ...Object.fromEntries(REPORTED_OUTCOMES.map(outcome)),
        under_way: attempts.length - ended.length,
      } as Progress['attempts']['byOutcome'],
      byDestination: byDestination(attempts) as unknown as Progress['attempts']['byDestination'],
      answeredByDestination: byDestination(answered) as unknown as Progress['attempts']['byDestination'],
      byTry: byTry(attempts),
      answeredByTry: byTry(attempts).map((_, at) => byTry(answered)[at] ?? 0),
    },
    callable: dues.length - later.length,
    waiting: status('idle') - (dues.length - later.length),
    nextCallableAt: later.length === 0 ? null : Math.min(...later),
    penetration: there.length === 0 ? 0 : there.filter(({ tryCounts }) => tryCounts.some((count) => count > 0)).length / there.length,
    connectRate: ended.length === 0 ? 0 : answered.length / ended.length,
  };
}

describe('The progress of an outdial', () => {
  let log: TestLog;
  let rig: Rig;

  beforeEach(async () => {
    log = new TestLog();
    rig = await openRig(log);
  });
  afterEach(() => rig.close());

  const at = async (now: number, mode: 'active' | 'paused' | 'archived' = 'active'): Promise<Progress> => {
    await rig.catchUp();
    return getProgress(rig.reads, { outdialId: 'o1', mode, now });
  };
  const dial = (targetId: string, attemptId: string, now: number, leaseMillis = 1_000) =>
    log.target(targetId, { type: 'RecordDialAttempt', now, attemptId, dialer: 'd1', leaseMillis, policy: DEFAULT_POLICY });
  const report = (targetId: string, attemptId: string, outcome: ReportedOutcome, now: number) =>
    log.target(targetId, { type: 'RecordOutcome', now, attemptId, outcome, disposition: null, note: null, tmEnd: null });

  test('it equals a count over all targets, whatever happened and whenever it is asked', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(0, 1, 30_000_000, 90_000_000, 20 * MINUTE), async (happening, later) => {
        const outdialId = `run${(runs += 1)}`;
        const now = live(log, happening, outdialId) + later;
        await rig.catchUp();
        const targets = Array.from(log.targets.values()).filter((target) => target.outdialId === outdialId);
        const { tm, ...answer } = await getProgress(rig.reads, { outdialId, mode: 'active', now });
        const { byMinute, ...attempts } = answer.attempts;
        expect({ ...answer, attempts }).toEqual(counted(targets, now));
        expect(byMinute).toEqual(endsByMinute(log.events, outdialId, now));
        expect(tm).toBe(now);
      }),
      { numRuns: 60 },
    );
    // The property says little unless these lives had a bit of everything in them.
    const attempts = Array.from(log.targets.values()).flatMap((target) => target.attempts);
    expect(new Set(attempts.map(({ outcome }) => outcome)).size).toBeGreaterThan(8);
    expect(attempts.filter(({ late }) => late).length).toBeGreaterThan(0);
  });

  test('an outdial without targets has no progress yet', async () => {
    const { attempts, ...rest } = counted([], T0);
    expect(await at(T0)).toEqual({ ...rest, attempts: { ...attempts, byMinute: [] }, tm: T0 });
  });

  test('each outdial has its own', async () => {
    log.add('t1');
    log.add('t2', { outdialId: 'o2' });
    expect((await at(T0)).targets.total).toBe(1);
  });

  test('a target is callable from the microsecond it is due', async () => {
    log.add('t1', { now: T0 + 30_000_000 });
    expect(await at(T0 + 29_999_999)).toMatchObject({ callable: 0, waiting: 1, nextCallableAt: T0 + 30_000_000 });
    expect(await at(T0 + 30_000_000)).toMatchObject({ callable: 1, waiting: 0, nextCallableAt: null });
  });

  test('a paused or archived outdial has nothing callable and nothing that will be; what is not due yet still waits', async () => {
    log.add('t1');
    log.add('t2');
    dial('t2', 'a1', T0 + 1);
    report('t2', 'a1', 'busy', T0 + 2);
    expect(await at(T0 + 3)).toMatchObject({ callable: 1, waiting: 1, nextCallableAt: T0 + 2 + 10 * MINUTE });
    expect(await at(T0 + 3, 'paused')).toMatchObject({ callable: 0, waiting: 1, nextCallableAt: null });
    expect(await at(T0 + 3, 'archived')).toMatchObject({ callable: 0, waiting: 1, nextCallableAt: null });
  });

  test('a released attempt leaves no trace', async () => {
    log.add('t1');
    const before = await at(T0 + 100);
    dial('t1', 'a1', T0 + 1);
    log.target('t1', { type: 'ReleaseLease', now: T0 + 2, attemptId: 'a1' });
    expect(await at(T0 + 100)).toEqual(before);
  });

  test('an expired attempt counts as unknown until it is reported, then as what was reported', async () => {
    log.add('t1');
    dial('t1', 'a1', T0 + 1, 1_000);
    log.target('t1', { type: 'ExpireLease', now: T0 + 2_000_000, attemptId: 'a1' });
    expect((await at(T0 + 2_000_000)).attempts.byOutcome).toMatchObject({ unknown: 1, answered: 0, under_way: 0 });
    report('t1', 'a1', 'answered', T0 + 3_000_000);
    expect(await at(T0 + 3_000_000)).toMatchObject({
      attempts: { total: 1, byOutcome: { unknown: 0, answered: 1 }, answeredByDestination: [1, 0, 0, 0, 0] },
      done: { answered: 1 },
      connectRate: 1,
    });
  });

  test('a deleted target counts until its attempt has ended; its attempts count for ever', async () => {
    log.add('t1');
    dial('t1', 'a1', T0 + 1);
    log.target('t1', { type: 'RemoveTarget', now: T0 + 2 });
    expect(await at(T0 + 3)).toMatchObject({ targets: { total: 1, progressing: 1 }, penetration: 1 });
    report('t1', 'a1', 'busy', T0 + 4);
    expect(await at(T0 + 5)).toMatchObject({ targets: { total: 0 }, attempts: { total: 1, byOutcome: { busy: 1 } }, penetration: 0 });
  });

  test('a target that is added again starts as one that was never attempted', async () => {
    log.add('t1');
    dial('t1', 'a1', T0 + 1);
    report('t1', 'a1', 'answered', T0 + 2);
    log.target('t1', { type: 'RemoveTarget', now: T0 + 3 });
    log.add('t1', { now: T0 + 4 });
    expect(await at(T0 + 5)).toMatchObject({
      targets: { total: 1, idle: 1 },
      done: { answered: 0 },
      attempts: { total: 1 },
      penetration: 0,
      callable: 1,
    });
  });

  test('a reader whose clock is behind the newest event still counts exactly', async () => {
    log.add('t1', { now: T0 });
    log.add('t2', { now: T0 + 10 * MINUTE });
    expect(await at(T0 + 5 * MINUTE)).toMatchObject({ callable: 1, waiting: 1, nextCallableAt: T0 + 10 * MINUTE });
    expect(await at(T0 - 1)).toMatchObject({ callable: 0, waiting: 2, nextCallableAt: T0 });
  });

  test('tries and minutes are told for plots, a late answer where it was tried and when it was told', async () => {
    log.add('t1');
    dial('t1', 'a1', T0 + 1, 1_000);
    log.target('t1', { type: 'ExpireLease', now: T0 + 2_000_000, attemptId: 'a1' });
    dial('t1', 'a2', T0 + 20 * MINUTE, 1_000);
    report('t1', 'a1', 'answered', T0 + 21 * MINUTE);
    const { attempts } = await at(T0 + 21 * MINUTE);
    expect(attempts).toMatchObject({ byTry: [1, 1], answeredByTry: [1, 0] });
    expect(attempts.byMinute).toEqual([
      { tm: Math.floor(T0 / MINUTE) * MINUTE, ended: 1, answered: 0 },
      { tm: Math.floor(T0 / MINUTE + 21) * MINUTE, ended: 0, answered: 1 },
    ]);
    expect((await at(T0 + 25 * 60 * MINUTE)).attempts.byMinute).toEqual([]);
  });

  test('the document stays small: minutes that are past are one number', () => {
    for (let minute = 0; minute < 500; minute += 1) log.add(`t${minute}`, { now: T0 + minute * MINUTE });
    const document = log.events
      .map(factOfRecorded)
      .reduce<ReturnType<typeof progress.evolve> | null>((so, fact) => progress.evolve(so, fact), null);
    expect(document?.idleByMinute.minutes.length).toBeLessThan(5);
    expect(document?.idleByMinute.past).toBeGreaterThan(490);
  });
});
