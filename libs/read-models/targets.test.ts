import fc from 'fast-check';
import { addressKey, DEFAULT_POLICY, type Target } from '#dialing';
import { factsOfTarget, live, MINUTE, openRig, projectionContract, steps, T0, tel, TestLog, type Rig } from './projection.contract';
import {
  callableWindow,
  expiringLeases,
  getTarget,
  getTargets,
  highestPriority,
  listTargets,
  nextDue,
  openAttempts,
  targets,
  type TargetListRequest,
} from './targets';

projectionContract('targets', targets, factsOfTarget);

describe('The targets of an outdial', () => {
  let log: TestLog;
  let rig: Rig;

  beforeEach(async () => {
    log = new TestLog();
    rig = await openRig(log);
  });
  afterEach(() => rig.close());

  const dial = (targetId: string, attemptId: string, now: number, dialer = 'd1', leaseMillis = 90_000): Target | null =>
    log.target(targetId, { type: 'RecordDialAttempt', now, attemptId, dialer, leaseMillis, policy: DEFAULT_POLICY });
  const ids = (documents: readonly { readonly state: Target }[]): readonly string[] => documents.map(({ state }) => state.id);
  const window = async (priority: number, limit = 10, after?: { due: number; id: string }) =>
    ids((await callableWindow(rig.reads, { outdialId: 'o1', priority, limit, ...(after === undefined ? {} : { after }) })).targets);

  test('a document is the state that its events fold to, and the head of its stream', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (happening) => {
        const outdialId = `run${(runs += 1)}`;
        live(log, happening, outdialId);
        await rig.catchUp();
        for (const [targetId, state] of log.targets) {
          if (state.outdialId !== outdialId) continue;
          const last = log.events.findLast(({ stream }) => stream === `outdialtarget-${outdialId}.${targetId}`);
          expect(await getTarget(rig.reads, { outdialId, targetId })).toEqual({
            state,
            head: { revision: last?.revision, hash: last?.hash },
          });
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a target is found by its id, also once it is deleted, and only in its own outdial', async () => {
    log.add('t1');
    log.target('t1', { type: 'RemoveTarget', now: T0 + 1 });
    await rig.catchUp();
    expect((await getTarget(rig.reads, { outdialId: 'o1', targetId: 't1' }))?.state.tmDelete).toBe(T0 + 1);
    expect(await getTarget(rig.reads, { outdialId: 'o2', targetId: 't1' })).toBeNull();
    expect(await getTarget(rig.reads, { outdialId: 'o1', targetId: 't2' })).toBeNull();
  });

  test('many targets are found at once; those of another outdial are left out', async () => {
    log.add('t1');
    log.add('t2');
    log.add('t3', { outdialId: 'o2' });
    await rig.catchUp();
    const found = await getTargets(rig.reads, { outdialId: 'o1', targetIds: ['t2', 't1', 't3', 'missing'] });
    expect(ids(found).toSorted()).toEqual(['t1', 't2']);
  });

  describe('dialing order', () => {
    test('within a priority the earliest due comes first, then the lower id; what is not due yet follows', async () => {
      log.add('t3', { now: T0 });
      log.add('t1', { now: T0 + 5 });
      log.add('t2', { now: T0 + 5 });
      log.target('t3', { type: 'UpdateTarget', now: T0 + 6, changes: { due: T0 + 60 * MINUTE }, policy: DEFAULT_POLICY });
      await rig.catchUp();
      expect(await window(0)).toEqual(['t1', 't2', 't3']);
      expect(await window(0, 10, { due: T0 + 5, id: 't1' })).toEqual(['t2', 't3']);
      expect(await window(0, 1, { due: T0 + 5, id: 't2' })).toEqual(['t3']);
    });

    test('a window says which events it reflects', async () => {
      log.add('t1');
      await rig.catchUp();
      expect((await callableWindow(rig.reads, { outdialId: 'o1', priority: 0, limit: 10 })).position).toBe(log.end);
    });

    test('targets that are being dialed, done or deleted are not in it', async () => {
      for (const id of ['t1', 't2', 't3', 't4']) log.add(id);
      dial('t1', 'a1', T0 + 1);
      log.target('t2', { type: 'CancelTarget', now: T0 + 1, reason: '' });
      log.target('t3', { type: 'RemoveTarget', now: T0 + 1 });
      await rig.catchUp();
      expect(await window(0)).toEqual(['t4']);
    });

    test('the priorities that have idle targets are stepped through from the highest', async () => {
      log.add('t1', { priority: 5 });
      log.add('t2', { priority: -100 });
      log.add('t3', { priority: 100 });
      dial('t3', 'a1', T0 + 1);
      await rig.catchUp();
      expect(await highestPriority(rig.reads, { outdialId: 'o1' })).toBe(5);
      expect(await highestPriority(rig.reads, { outdialId: 'o1', below: 5 })).toBe(-100);
      expect(await highestPriority(rig.reads, { outdialId: 'o1', below: -100 })).toBeNull();
      expect(await highestPriority(rig.reads, { outdialId: 'o2' })).toBeNull();
    });

    test('a released target is due as before, a failed one after the interval', async () => {
      log.add('t1');
      log.add('t2');
      dial('t1', 'a1', T0 + 10);
      log.target('t1', { type: 'ReleaseLease', now: T0 + 20, attemptId: 'a1' });
      dial('t2', 'a2', T0 + 10);
      log.target('t2', {
        type: 'RecordOutcome',
        now: T0 + 20,
        attemptId: 'a2',
        outcome: 'busy',
        disposition: null,
        note: null,
        tmEnd: null,
      });
      await rig.catchUp();
      expect(await nextDue(rig.reads, { outdialId: 'o1', after: T0 - 1 })).toBe(T0);
      expect(await nextDue(rig.reads, { outdialId: 'o1', after: T0 })).toBe(T0 + 20 + 10 * MINUTE);
    });

    test('what is due next is the earliest of all priorities, strictly later than asked', async () => {
      log.add('t1', { now: T0 + 7, priority: 9 });
      log.add('t2', { now: T0 + 5, priority: -9 });
      await rig.catchUp();
      expect(await nextDue(rig.reads, { outdialId: 'o1', after: T0 })).toBe(T0 + 5);
      expect(await nextDue(rig.reads, { outdialId: 'o1', after: T0 + 5 })).toBe(T0 + 7);
      expect(await nextDue(rig.reads, { outdialId: 'o1', after: T0 + 7 })).toBeNull();
    });
  });

  describe('leases', () => {
    test('open attempts are listed by the end of their lease, all or those of one dialer', async () => {
      for (const id of ['t1', 't2', 't3', 't4']) log.add(id);
      dial('t1', 'a1', T0 + 1, 'd1', 3_000);
      dial('t2', 'a2', T0 + 1, 'd2', 1_000);
      dial('t3', 'a3', T0 + 1, 'd1', 2_000);
      log.add('t5', { outdialId: 'o2' });
      dial('t5', 'a5', T0 + 1);
      await rig.catchUp();
      const page = { outdialId: 'o1', pageSize: 10, after: null };
      expect(ids((await openAttempts(rig.reads, page)).targets)).toEqual(['t2', 't3', 't1']);
      expect(ids((await openAttempts(rig.reads, { ...page, dialer: 'd1' })).targets)).toEqual(['t3', 't1']);
      expect(ids((await openAttempts(rig.reads, { ...page, dialer: 'd3' })).targets)).toEqual([]);
    });

    test('an attempt that has ended is no longer open', async () => {
      log.add('t1');
      dial('t1', 'a1', T0 + 1);
      log.target('t1', {
        type: 'RecordOutcome',
        now: T0 + 2,
        attemptId: 'a1',
        outcome: 'answered',
        disposition: null,
        note: null,
        tmEnd: null,
      });
      await rig.catchUp();
      expect((await openAttempts(rig.reads, { outdialId: 'o1', pageSize: 10, after: null })).targets).toEqual([]);
    });

    test('the leases of all outdials that end by a moment are found, page by page', async () => {
      log.add('t1');
      log.add('t2', { outdialId: 'o2' });
      log.add('t3');
      for (const id of ['t1', 't2', 't3']) dial(id, `a-${id}`, T0 + 1, 'd1', 1_000);
      log.add('t4');
      dial('t4', 'a4', T0 + 1, 'd1', 2_000);
      await rig.catchUp();
      const expire = T0 + 1 + 1_000_000;
      expect(ids((await expiringLeases(rig.reads, { upTo: expire, limit: 2 })).targets)).toEqual(['t1', 't2']);
      expect(ids((await expiringLeases(rig.reads, { upTo: expire, after: { expire, id: 't2' }, limit: 2 })).targets)).toEqual(['t3']);
      expect(ids((await expiringLeases(rig.reads, { upTo: expire - 1, limit: 2 })).targets)).toEqual([]);
    });

    test('the lease of a deleted target still ends', async () => {
      log.add('t1');
      dial('t1', 'a1', T0 + 1);
      log.target('t1', { type: 'RemoveTarget', now: T0 + 2 });
      await rig.catchUp();
      expect(ids((await expiringLeases(rig.reads, { upTo: Number.MAX_SAFE_INTEGER, limit: 10 })).targets)).toEqual(['t1']);
    });

    test('an extended lease ends later', async () => {
      log.add('t1');
      dial('t1', 'a1', T0 + 1, 'd1', 1_000);
      log.target('t1', { type: 'ExtendLease', now: T0 + 2, attemptId: 'a1', leaseMillis: 60_000 });
      await rig.catchUp();
      expect((await expiringLeases(rig.reads, { upTo: T0 + MINUTE, limit: 10 })).targets).toEqual([]);
      expect((await expiringLeases(rig.reads, { upTo: T0 + 2 + MINUTE, limit: 10 })).targets).toHaveLength(1);
    });
  });

  describe('lists', () => {
    const list = async (filter: Partial<TargetListRequest> = {}) =>
      ids((await listTargets(rig.reads, { outdialId: 'o1', pageSize: 100, after: null, ...filter })).targets);

    beforeEach(async () => {
      log.add('t1', { now: T0 + 1, externalId: 'crm-1', destinations: [tel(1), null, tel(2), null, null] });
      log.add('t2', { now: T0 + 2, externalId: 'crm-2', destinations: [tel(2), null, null, null, null] });
      log.add('t3', { now: T0 + 3 });
      log.add('t4', { now: T0 + 4, outdialId: 'o2', externalId: 'crm-1' });
      dial('t2', 'a1', T0 + 5);
      await rig.catchUp();
    });

    test('the newest comes first, those of other outdials not at all', async () => {
      expect(await list()).toEqual(['t3', 't2', 't1']);
    });

    test.each<[string, Partial<TargetListRequest>, readonly string[]]>([
      ['status', { status: 'idle' }, ['t3', 't1']],
      ['external id', { externalId: 'crm-1' }, ['t1']],
      ['any of the destinations', { address: addressKey(tel(2)) }, ['t2', 't1']],
      ['destination and status', { address: addressKey(tel(2)), status: 'progressing' }, ['t2']],
      ['external id and status', { externalId: 'crm-1', status: 'done' }, []],
      ['all of them', { externalId: 'crm-2', status: 'progressing', address: addressKey(tel(2)) }, ['t2']],
    ])('they can be narrowed by %s', async (_, filter, expected) => {
      expect(await list(filter)).toEqual(expected);
    });

    test('a deleted target is in none of them, and is back when it is added again', async () => {
      log.target('t1', { type: 'RemoveTarget', now: T0 + 10 });
      await rig.catchUp();
      expect([await list(), await list({ externalId: 'crm-1' }), await list({ address: addressKey(tel(2)) })]).toEqual([
        ['t3', 't2'],
        [],
        ['t2'],
      ]);
      log.add('t1', { now: T0 + 20, externalId: 'crm-1', destinations: [tel(3), null, null, null, null] });
      await rig.catchUp();
      expect([await list(), await list({ externalId: 'crm-1' }), await list({ address: addressKey(tel(3)) })]).toEqual([
        ['t3', 't2', 't1'],
        ['t1'],
        ['t1'],
      ]);
    });

    test('a destination that was changed is found under its new address alone', async () => {
      log.target('t1', { type: 'UpdateTarget', now: T0 + 10, changes: { destinations: { 2: tel(7) } }, policy: DEFAULT_POLICY });
      await rig.catchUp();
      expect([await list({ address: addressKey(tel(7)) }), await list({ address: addressKey(tel(2)) })]).toEqual([['t1'], ['t2']]);
    });
  });
});
