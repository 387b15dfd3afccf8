/** Whom to dial next, and what becomes of it: leases, outcomes, limits, intervals, expiry. */
import { bodyOf, errorOf, eventually, micros, newOutdial, newOutplan, nextPhone, pause, tel, NEVER, TIMESTAMP, UUID } from '../support/api';
import type {
  Answer,
  ApiError,
  Client,
  Fate,
  Fields,
  Outdial,
  Page,
  WireAttempt,
  WireLease,
  WireOutdial,
  WireTarget,
} from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

const NOBODY = '11111111-1111-4111-8111-111111111111';
const SECOND = 1_000_000;
const HOUR = 3_600_000;
/** No rest between two tries, so that a test need not wait for one. */
const AT_ONCE = { try_interval: 0 };
const twoNumbers = (): Fields => ({ destination_0: tel(nextPhone()), destination_1: tel(nextPhone()) });
const refs = (...leases: readonly WireAttempt[]): readonly Fields[] =>
  leases.map(({ attempt_id, target_id }) => ({ attempt_id, target_id }));

const outcomes = async (outdial: Outdial, reports: readonly Fields[]): Promise<readonly Fate[]> =>
  bodyOf(await api.post<{ result: readonly Fate[] }>(`${outdial.path}/outcomes`, { outcomes: reports })).result;
type LeaseFates = readonly { readonly attempt_id: string; readonly result: string }[];
const extend = async (outdial: Outdial, attempts: readonly Fields[], lease_seconds: number): Promise<LeaseFates> =>
  bodyOf(await api.post<{ result: LeaseFates }>(`${outdial.path}/leases/extend`, { attempts, lease_seconds })).result;
const release = async (outdial: Outdial, ...leases: readonly WireAttempt[]): Promise<LeaseFates> =>
  bodyOf(await api.post<{ result: LeaseFates }>(`${outdial.path}/leases/release`, { attempts: refs(...leases) })).result;
const open = async (outdial: Outdial, query = ''): Promise<readonly WireAttempt[]> =>
  bodyOf(await api.get<Page<WireAttempt>>(`${outdial.path}/attempts?open=true${query}`)).result;
const changeMode = async (outdial: Outdial, mode: 'pause' | 'resume' | 'archive'): Promise<WireOutdial> =>
  bodyOf(await api.post<WireOutdial>(`${outdial.path}/${mode}`));
const start = (outdial: Outdial, targetId: string, body: Fields = {}): Promise<Answer<WireAttempt>> =>
  api.post<WireAttempt>(`${outdial.path}/targets/${targetId}/attempts`, body);
const finish = (outdial: Outdial, attempt: WireAttempt, body: Fields): Promise<Answer<WireTarget>> =>
  api.put<WireTarget>(`${outdial.path}/targets/${attempt.target_id}/attempts/${attempt.attempt_id}`, body);
const exhaust = (outdial: Outdial, targetId: string, index: number): Promise<Answer<WireTarget>> =>
  api.post<WireTarget>(`${outdial.path}/targets/${targetId}/destinations/${index}/exhaust`, { reason: 'a wrong number' });
const cancel = (outdial: Outdial, targetId: string): Promise<Answer<WireTarget>> =>
  api.post<WireTarget>(`${outdial.path}/targets/${targetId}/cancel`, { reason: 'asked us not to' });
const reasons = (error: ApiError): readonly string[] => error.details.map(({ reason }) => reason);

describe('a lease', () => {
  test('is an attempt, with what the dialer needs to know of its target', async () => {
    const source = { type: 'tel', target: '+15550001111', target_name: '', name: 'our number', detail: '' };
    const outdial = await newOutdial(api, {}, { dial_timeout: 45_000, source, max_try_count_0: 7 });
    const target = await outdial.add({ name: 'John', detail: 'a lead', data: '{"a":1}', external_id: 'crm-1' });
    const lease = await outdial.lease({ dialer: 'dialer-7', lease_seconds: 100 });
    expect(lease).toEqual({
      attempt_id: expect.stringMatching(UUID) as string,
      outdial_id: outdial.id,
      target_id: target.id,
      destination_index: 0,
      destination: target.destination_0,
      try_count: 1,
      try_count_max: 7,
      dialer: 'dialer-7',
      dial_timeout: 45_000,
      source,
      tm_start: expect.stringMatching(TIMESTAMP) as string,
      tm_expire: expect.stringMatching(TIMESTAMP) as string,
      tm_end: NEVER,
      outcome: null,
      disposition: null,
      note: null,
      late: false,
      name: 'John',
      detail: 'a lead',
      data: '{"a":1}',
      external_id: 'crm-1',
    });
    expect(Object.keys(lease).slice(0, 17)).toEqual(
      'attempt_id outdial_id target_id destination_index destination try_count try_count_max dialer dial_timeout source tm_start tm_expire tm_end outcome disposition note late'.split(
        ' ',
      ),
    );
    expect(micros(lease.tm_expire) - micros(lease.tm_start)).toBe(100 * SECOND);
  });

  test('makes its target progressing and counts the try when it begins', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    expect(target).toMatchObject({ status: 'idle', try_count_0: 0, tm_next_try: target.tm_create });
    await outdial.lease();
    expect(await outdial.target(target.id)).toMatchObject({ status: 'progressing', try_count_0: 1, tm_next_try: NEVER, done_reason: null });
    expect((await outdial.claim()).result).toEqual([]);
  });

  test('lasts the dial timeout of the outplan and 30 seconds when nothing else is asked for', async () => {
    const outdial = await newOutdial(api, {}, { dial_timeout: 20_000 });
    await outdial.add();
    const lease = await outdial.lease();
    expect(micros(lease.tm_expire) - micros(lease.tm_start)).toBe(50 * SECOND);
    const plain = await newOutdial(api);
    await plain.add();
    const other = await plain.lease();
    expect(micros(other.tm_expire) - micros(other.tm_start)).toBe(90 * SECOND);
    expect(other).toMatchObject({ dial_timeout: 60_000, source: null, try_count_max: 3 });
  });

  test('is given for no more targets than asked for, and for fewer when there are no more', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll(Array.from({ length: 5 }, () => ({ destination: tel(nextPhone()) })));
    expect((await outdial.claim({ limit: 3 })).result).toHaveLength(3);
    expect((await outdial.claim({ limit: 1000 })).result).toHaveLength(2);
    expect((await outdial.claim({ limit: 1000 })).result).toEqual([]);
  });

  test('is given to the high priority first, and to who has waited longest among equals', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    for (const [name, priority] of [
      ['c', 0],
      ['d', 0],
      ['a', 100],
      ['f', -100],
      ['b', 5],
      ['e', 0],
    ] as const) {
      await outdial.add({ name, priority });
    }
    const all = (await outdial.claim({ limit: 10 })).result;
    expect(all.map(({ name }) => name).join('')).toBe('abcdef');
    // Those that were tried are due from the end of the try: later than one that was never dialed, and in the order of their ends.
    const named = (name: string): WireLease => all.find((lease) => lease.name === name) as WireLease;
    await release(outdial, named('e'));
    for (const name of ['d', 'c', 'b']) await outdial.report(named(name), 'busy');
    expect((await outdial.claim({ limit: 10 })).result.map(({ name }) => name).join('')).toBe('bedc');
  });

  test('is not held up by targets of a higher priority that are not due', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    const high = await outdial.addAll(Array.from({ length: 30 }, () => ({ destination: tel(nextPhone()), priority: 50 })));
    const low = await outdial.add();
    const claimed = (await outdial.claim({ limit: 30 })).result;
    expect(claimed.map(({ target_id }) => target_id)).toEqual(high.result.map(({ id }) => id));
    await outcomes(
      outdial,
      refs(...claimed).map((ref) => ({ ...ref, outcome: 'no_answer' })),
    );
    expect((await outdial.lease()).target_id).toBe(low.id);
  });

  test('follows a change of priority', async () => {
    const outdial = await newOutdial(api);
    const [first, second] = [await outdial.add(), await outdial.add()];
    bodyOf(await api.put(`${outdial.path}/targets/${second.id}`, { priority: 1 }));
    const claimed = [await outdial.lease(), await outdial.lease()];
    expect(claimed.map(({ target_id }) => target_id)).toEqual([second.id, first.id]);
  });

  test('says when the next target will be callable', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    expect(await outdial.claim()).toEqual({ result: [], next_callable_at: NEVER });
    const target = await outdial.add();
    const lease = await outdial.lease();
    expect((await outdial.claim()).next_callable_at).toBe(NEVER);
    await outdial.report(lease, 'busy');
    const { tm_next_try } = await outdial.target(target.id);
    expect(await outdial.claim()).toEqual({ result: [], next_callable_at: tm_next_try });
    expect((await outdial.progress()).next_callable_at).toBe(tm_next_try);
  });

  test.each([[0], [1001], [-1], [1.5], ['10'], [null]])('is not given for a limit of %p', async (limit) => {
    const outdial = await newOutdial(api);
    const error = errorOf(await api.post(`${outdial.path}/leases`, { limit }), 400);
    expect(error.details.map(({ field }) => field)).toEqual(['limit']);
  });

  test.each([[0], [86_401], [-1], [0.5], ['60']])('is not given for %p seconds', async (lease_seconds) => {
    const outdial = await newOutdial(api);
    const error = errorOf(await api.post(`${outdial.path}/leases`, { limit: 1, lease_seconds }), 400);
    expect(error.details.map(({ field }) => field)).toEqual(['lease_seconds']);
  });

  test('may last a day', async () => {
    const outdial = await newOutdial(api);
    await outdial.add();
    const lease = await outdial.lease({ lease_seconds: 86_400 });
    expect(micros(lease.tm_expire) - micros(lease.tm_start)).toBe(86_400 * SECOND);
  });
});

describe('the destination that is dialed', () => {
  const dialUntilDone = async (outdial: Outdial, outcome = 'busy'): Promise<readonly (readonly [number, number])[]> => {
    const tries: (readonly [number, number])[] = [];
    for (let claim = await outdial.claim(); claim.result[0]; claim = await outdial.claim()) {
      tries.push([claim.result[0].destination_index, claim.result[0].try_count]);
      await outdial.report(claim.result[0], outcome);
    }
    return tries;
  };

  test('is the lowest that is configured: gaps are kept and passed over', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_1: 1, max_try_count_3: 2 });
    const target = await outdial.add({ destination_1: tel(nextPhone()), destination_3: tel(nextPhone()) });
    expect(target).toMatchObject({ destination_0: null, destination_2: null, destination_4: null });
    expect(await dialUntilDone(outdial)).toEqual([
      [1, 1],
      [3, 1],
      [3, 2],
    ]);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', done_reason: 'exhausted', try_count_1: 1, try_count_3: 2 });
  });

  test('is dialed three times when nobody set a limit', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.add(twoNumbers());
    expect(await dialUntilDone(outdial)).toEqual([
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
  });

  test('is limited by the target’s limit of that destination, else by the target’s, else by the outplan’s', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 1, max_try_count_1: 2, max_try_count_2: 4 });
    await outdial.add({ ...twoNumbers(), destination_2: tel(nextPhone()) });
    expect((await dialUntilDone(outdial)).map(([index]) => index)).toEqual([0, 1, 1, 2, 2, 2, 2]);
    await outdial.add({ ...twoNumbers(), try_count_max: 3, try_count_max_1: 1 });
    expect((await dialUntilDone(outdial)).map(([index]) => index)).toEqual([0, 0, 0, 1]);
  });

  test('is never one whose limit is 0', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 0, max_try_count_1: 1 });
    await outdial.add(twoNumbers());
    expect(await dialUntilDone(outdial)).toEqual([[1, 1]]);
    await outdial.add({ ...twoNumbers(), try_count_max_0: 1, try_count_max_1: 0 });
    expect(await dialUntilDone(outdial)).toEqual([[0, 1]]);
  });

  test('is none at all where every limit is 0: the target ends instead of being leased', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add({ try_count_max: 0 });
    const reachable = await outdial.add();
    expect((await outdial.claim({ limit: 10 })).result.map(({ target_id }) => target_id)).toEqual([reachable.id]);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', done_reason: 'exhausted', try_count_0: 0 });
  });

  test('is named with the limit that holds for it', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 9 });
    await outdial.add({ try_count_max: 5 });
    expect(await outdial.lease()).toMatchObject({ try_count: 1, try_count_max: 5 });
  });
});

describe('an outcome', () => {
  test('answered ends the target', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add(twoNumbers());
    const lease = await outdial.lease();
    expect(await outdial.report(lease, 'answered')).toEqual({
      attempt_id: lease.attempt_id,
      result: 'recorded',
      status: 'done',
      done_reason: 'answered',
    });
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', done_reason: 'answered', try_count_0: 1, tm_next_try: NEVER });
    expect((await outdial.claim()).result).toEqual([]);
  });

  test('invalid_number exhausts the destination: the next is due at once', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    const target = await outdial.add(twoNumbers());
    const lease = await outdial.lease();
    expect(await outdial.report(lease, 'invalid_number')).toMatchObject({ result: 'recorded', status: 'idle' });
    expect(await outdial.target(target.id)).toMatchObject({ exhausted: [true, false, false, false, false], try_count_0: 1 });
    const next = await outdial.lease();
    expect(next.destination_index).toBe(1);
    expect(await outdial.report(next, 'invalid_number')).toMatchObject({ status: 'done', done_reason: 'exhausted' });
  });

  test.each(['busy', 'no_answer', 'failed', 'canceled', 'rejected', 'machine', 'fax', 'congestion', 'unknown'])(
    '%s is not answered: idle until the interval has passed since the end of the attempt, then the next destination, then exhausted',
    async (outcome) => {
      const outdial = await newOutdial(api, {}, { try_interval: HOUR, max_try_count_0: 2, max_try_count_1: 1 });
      const target = await outdial.add(twoNumbers());
      const first = await outdial.lease();
      expect(await outdial.report(first, outcome)).toMatchObject({ result: 'recorded', status: 'idle', done_reason: null });
      const [attempt] = await outdial.attempts(target.id);
      const { tm_next_try } = await outdial.target(target.id);
      expect(micros(tm_next_try) - micros(String(attempt?.tm_end))).toBe(HOUR * 1000);
      expect((await outdial.claim()).result).toEqual([]);
      // A call-back brings the retry forward, so that the test need not wait for it.
      bodyOf(await api.put(`${outdial.path}/targets/${target.id}`, { tm_next_try: target.tm_create }));
      const second = await outdial.lease();
      expect(second).toMatchObject({ destination_index: 0, try_count: 2 });
      expect(await outdial.report(second, outcome)).toMatchObject({ status: 'idle' });
      const third = await outdial.lease();
      expect(third).toMatchObject({ destination_index: 1, try_count: 1 });
      expect(await outdial.report(third, outcome)).toMatchObject({ status: 'done', done_reason: 'exhausted' });
    },
  );

  test('of no known name is refused, and spoils no other', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.addAll([1, 2, 3].map(() => ({ destination: tel(nextPhone()) })));
    const [a, b, c] = refs(...(await outdial.claim({ limit: 3 })).result);
    const fates = await outcomes(outdial, [
      { ...a, outcome: 'busy' },
      { ...b, outcome: 'engaged' },
      { ...c, outcome: 'answered' },
    ]);
    expect(fates.map(({ result }) => result)).toEqual(['recorded', 'invalid', 'recorded']);
    expect(fates[1]?.attempt_id).toBe(b?.attempt_id);
    expect((await outdial.progress()).targets).toEqual({ total: 3, idle: 1, progressing: 1, done: 1 });
  });

  test('released cannot be reported: that is what release is for', async () => {
    const outdial = await newOutdial(api);
    await outdial.add();
    expect((await outdial.report(await outdial.lease(), 'released')).result).toBe('invalid');
  });

  test('of an attempt that nobody knows is not_found, also when it belongs to another target', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll([1, 2].map(() => ({ destination: tel(nextPhone()) })));
    const [a, b] = (await outdial.claim({ limit: 2 })).result;
    const fates = await outcomes(outdial, [
      { attempt_id: NOBODY, target_id: a?.target_id, outcome: 'busy' },
      { attempt_id: a?.attempt_id, target_id: b?.target_id, outcome: 'busy' },
      { attempt_id: a?.attempt_id, target_id: NOBODY, outcome: 'busy' },
    ]);
    expect(fates.map(({ result }) => result)).toEqual(['not_found', 'not_found', 'not_found']);
    expect((await outdial.progress()).targets.progressing).toBe(2);
  });

  test('reported again is repeated, and counts once', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    const lease = await outdial.lease();
    const [ref] = refs(lease);
    const fates = await outcomes(outdial, [
      { ...ref, outcome: 'busy' },
      { ...ref, outcome: 'busy' },
    ]);
    expect(fates.map(({ result }) => result)).toEqual(['recorded', 'repeated']);
    expect((await outdial.report(lease, 'busy')).result).toBe('repeated');
    expect(await outdial.target(target.id)).toMatchObject({ status: 'idle', try_count_0: 1 });
    expect((await outdial.progress()).attempts).toMatchObject({ total: 1, by_outcome: { busy: 1 } });
  });

  test('reported again with a new disposition or detail is recorded with it, and changes nothing else', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease();
    await outdial.report(lease, 'answered', { disposition: 'sale' });
    expect((await outdial.report(lease, 'answered', { disposition: 'sale' })).result).toBe('repeated');
    expect((await outdial.report(lease, 'answered', { disposition: 'sale', detail: 'two of the large ones' })).result).toBe('recorded');
    expect((await outdial.report(lease, 'answered')).result).toBe('repeated');
    expect(await outdial.attempts(target.id)).toMatchObject([{ outcome: 'answered', disposition: 'sale', note: 'two of the large ones' }]);
    expect((await outdial.progress()).attempts.total).toBe(1);
  });

  test('other than the one reported before is stale, and changes nothing', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    const target = await outdial.add();
    const lease = await outdial.lease();
    await outdial.report(lease, 'busy');
    const before = await api.get<WireTarget>(`${outdial.path}/targets/${target.id}`);
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'stale', status: 'idle', done_reason: null });
    expect(await outdial.report(lease, 'invalid_number', { disposition: 'x' })).toMatchObject({ result: 'stale' });
    const after = await api.get<WireTarget>(`${outdial.path}/targets/${target.id}`);
    expect(after.body).toEqual(before.body);
    expect(after.headers.get('etag')).toBe(before.headers.get('etag'));
    expect(await outdial.attempts(target.id)).toMatchObject([{ outcome: 'busy', disposition: null }]);
  });

  test('of an earlier attempt is not taken for the one under way', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    const first = await outdial.lease();
    await outdial.report(first, 'busy');
    const second = await outdial.lease();
    expect((await outdial.report(first, 'answered')).result).toBe('stale');
    expect((await outdial.report(first, 'busy')).result).toBe('repeated');
    expect(await outdial.target(target.id)).toMatchObject({ status: 'progressing', try_count_0: 2 });
    expect(await outdial.report(second, 'answered')).toMatchObject({ result: 'recorded', status: 'done' });
  });

  test('ends when it says, but not before its start nor in the future; the interval counts from there', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    await outdial.addAll([1, 2, 3].map(() => ({ destination: tel(nextPhone()) })));
    const leases = (await outdial.claim({ limit: 3 })).result;
    await pause(5);
    const [early, late, exact] = leases as [WireLease, WireLease, WireLease];
    const inside = exact.tm_start.slice(0, 20) + String(Number(exact.tm_start.slice(20)) + 1).padStart(6, '0');
    await outdial.report(early, 'busy', { tm_end: '2001-01-01 00:00:00.000000' });
    await outdial.report(late, 'busy', { tm_end: '2099-01-01T00:00:00Z' });
    await outdial.report(exact, 'busy', { tm_end: inside });
    const ends = await Promise.all(
      leases.map(async ({ target_id }) => ({
        attempt: (await outdial.attempts(target_id))[0] as WireAttempt,
        target: await outdial.target(target_id),
      })),
    );
    expect(ends[0]?.attempt.tm_end).toBe(early.tm_start);
    expect(micros(String(ends[1]?.attempt.tm_end))).toBeGreaterThan(micros(late.tm_start));
    expect(micros(String(ends[1]?.attempt.tm_end))).toBeLessThanOrEqual(Date.now() * 1000 + 999);
    expect(ends[2]?.attempt.tm_end).toBe(inside);
    for (const { attempt, target } of ends) expect(micros(target.tm_next_try)).toBe(micros(attempt.tm_end) + HOUR * 1000);
  });

  test('is taken for up to a thousand at once', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll(Array.from({ length: 1000 }, () => ({ destination: tel(nextPhone()) })));
    const leases = (await outdial.claim({ limit: 1000 })).result;
    const reports = refs(...leases).map((ref) => ({ ...ref, outcome: 'answered' }));
    const fates = await outcomes(outdial, reports);
    expect(fates.map(({ attempt_id }) => attempt_id)).toEqual(leases.map(({ attempt_id }) => attempt_id));
    expect(new Set(fates.map(({ result }) => result))).toEqual(new Set(['recorded']));
    const error = errorOf(await api.post(`${outdial.path}/outcomes`, { outcomes: [...reports, ...reports.slice(0, 1)] }), 400);
    expect(error.details[0]?.field).toBe('outcomes');
  });
});

describe('the outplan', () => {
  const setPlan = async (outdial: Outdial, changes: Fields): Promise<void> => {
    const { outplan_id } = await outdial.get();
    bodyOf(await api.put(`/outplans/${outplan_id}`, changes));
  };

  test('has VoIPBIN’s values where none are given', async () => {
    expect(await newOutplan(api, { name: 'plain' })).toEqual({
      id: expect.stringMatching(UUID) as string,
      name: 'plain',
      detail: '',
      source: null,
      dial_timeout: 60_000,
      try_interval: 600_000,
      max_try_count_0: 3,
      max_try_count_1: 3,
      max_try_count_2: 3,
      max_try_count_3: 3,
      max_try_count_4: 3,
      retry: {},
      tm_create: expect.stringMatching(TIMESTAMP) as string,
      tm_update: NEVER,
      tm_delete: NEVER,
    });
  });

  test('is changed in part, in whole, and by its dialing alone', async () => {
    const plan = await newOutplan(api, { name: 'plan', retry: { busy: { interval: 5 } } });
    bodyOf(await api.put(`/outplans/${plan.id}`, { name: 'other' }));
    bodyOf(await api.put(`/outplans/${plan.id}/dial_info`, { dial_timeout: 1000, try_interval: 0, max_try_count_4: 0 }));
    expect(bodyOf(await api.get(`/outplans/${plan.id}`))).toMatchObject({
      name: 'other',
      dial_timeout: 1000,
      try_interval: 0,
      max_try_count_3: 3,
      max_try_count_4: 0,
      retry: { busy: { interval: 5 } },
    });
  });

  test('that an attempt was started under decides its end', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR, max_try_count_0: 2 });
    const target = await outdial.add();
    const lease = await outdial.lease();
    await setPlan(outdial, { try_interval: 0, max_try_count_0: 1 });
    await outdial.report(lease, 'busy');
    const [attempt] = await outdial.attempts(target.id);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'idle' });
    expect(micros((await outdial.target(target.id)).tm_next_try)).toBe(micros(String(attempt?.tm_end)) + HOUR * 1000);
  });

  test('that is more generous now never revives a target that is done', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 1 });
    const target = await outdial.add();
    const lease = await outdial.lease();
    await setPlan(outdial, { max_try_count_0: 5 });
    expect(await outdial.report(lease, 'busy')).toMatchObject({ status: 'done', done_reason: 'exhausted' });
    expect((await outdial.claim()).result).toEqual([]);
    expect((await outdial.target(target.id)).status).toBe('done');
  });

  test('that is stricter now ends a target at its next claim instead of leasing it', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'busy');
    await setPlan(outdial, { max_try_count_0: 1 });
    expect((await outdial.target(target.id)).status).toBe('idle');
    expect((await outdial.claim()).result).toEqual([]);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', done_reason: 'exhausted', try_count_0: 1 });
    expect((await outdial.progress()).done.exhausted).toBe(1);
  });

  test('holds for attempts started after it was attached', async () => {
    const outdial = await newOutdial(api);
    const plan = await newOutplan(api, { dial_timeout: 1000, max_try_count_0: 9 });
    await outdial.add();
    bodyOf(await api.put(outdial.path, { outplan_id: plan.id }));
    expect(await outdial.lease()).toMatchObject({ dial_timeout: 1000, try_count_max: 9 });
  });

  test('still holds where it is attached when it is deleted', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 1, dial_timeout: 7000 });
    const { outplan_id } = await outdial.get();
    bodyOf(await api.del(`/outplans/${outplan_id}`));
    await outdial.add();
    const lease = await outdial.lease();
    expect(lease).toMatchObject({ dial_timeout: 7000, try_count_max: 1 });
    expect(await outdial.report(lease, 'busy')).toMatchObject({ status: 'done' });
  });

  test('may give an outcome an interval of its own', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR, retry: { busy: { interval: 0 }, no_answer: { interval: 2 * HOUR } } });
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'busy');
    const second = await outdial.lease();
    await outdial.report(second, 'no_answer', { tm_end: second.tm_start });
    expect(micros((await outdial.target(target.id)).tm_next_try)).toBe(micros(second.tm_start) + 2 * HOUR * 1000);
  });

  test('may exhaust the destination dialed by an outcome', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR, retry: { fax: { retry: false } } });
    const target = await outdial.add(twoNumbers());
    await outdial.report(await outdial.lease(), 'fax');
    expect((await outdial.target(target.id)).exhausted).toEqual([true, false, false, false, false]);
    const next = await outdial.lease();
    expect(next.destination_index).toBe(1);
    expect(await outdial.report(next, 'fax')).toMatchObject({ status: 'done', done_reason: 'exhausted' });
  });

  test('may go on to the next destination by an outcome, after an interval', async () => {
    const retry = { machine: { next_destination: true, interval: HOUR }, busy: { next_destination: true } };
    const outdial = await newOutdial(api, {}, { try_interval: 5 * HOUR, retry });
    const target = await outdial.add({ ...twoNumbers(), destination_2: tel(nextPhone()) });
    const first = await outdial.lease();
    await outdial.report(first, 'busy');
    const second = await outdial.lease();
    expect(second.destination_index).toBe(1);
    await outdial.report(second, 'machine', { tm_end: second.tm_start });
    expect(await outdial.target(target.id)).toMatchObject({ status: 'idle', exhausted: [true, true, false, false, false] });
    expect(micros((await outdial.target(target.id)).tm_next_try)).toBe(micros(second.tm_start) + HOUR * 1000);
    expect((await outdial.claim()).result).toEqual([]);
  });

  test('cannot grant more tries by its map than by its limits', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 1, retry: { busy: { retry: true, interval: 0 } } });
    await outdial.add();
    expect(await outdial.report(await outdial.lease(), 'busy')).toMatchObject({ status: 'done', done_reason: 'exhausted' });
  });

  test.each([
    [{ answered: { retry: true } }, 'answered'],
    [{ engaged: { retry: true } }, 'engaged'],
    [{ busy: { interval: -1 } }, 'interval'],
    [{ busy: { interval: '5' } }, 'interval'],
    [{ busy: { retry: 1 } }, 'retry'],
    [{ busy: { pause: 1 } }, 'pause'],
    [{ busy: 5 }, 'busy'],
    [[], 'retry'],
  ])('does not take the map %j', async (retry, field) => {
    const error = errorOf(await api.post('/outplans', { name: 'x', retry }), 400);
    expect(error.details[0]?.field).toContain(field);
  });

  test('of the lease skips what it would not allow, and ends nothing', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 3 });
    const strict = await newOutplan(api, { max_try_count_0: 1 });
    const [tried, fresh] = [await outdial.add({ priority: 10 }), await outdial.add()];
    await outdial.report(await outdial.lease(), 'busy');
    const narrowed = (await outdial.claim({ limit: 10, outplan_id: strict.id })).result;
    expect(narrowed.map(({ target_id }) => target_id)).toEqual([fresh.id]);
    expect(await outdial.target(tried.id)).toMatchObject({ status: 'idle', done_reason: null });
    expect((await outdial.lease()).target_id).toBe(tried.id);
  });

  test('of the lease must be one that there is', async () => {
    const outdial = await newOutdial(api);
    expect([400, 404]).toContain((await api.post(`${outdial.path}/leases`, { limit: 1, outplan_id: NOBODY })).status);
  });
});

describe('extending a lease', () => {
  test('moves its end to so many seconds from now, never nearer', async () => {
    const outdial = await newOutdial(api);
    await outdial.add();
    const lease = await outdial.lease({ lease_seconds: 10 });
    expect(await extend(outdial, refs(lease), 1000)).toEqual([{ attempt_id: lease.attempt_id, result: 'extended' }]);
    const [longer] = await open(outdial);
    const extended = micros(String(longer?.tm_expire)) - micros(lease.tm_start);
    expect(extended).toBeGreaterThanOrEqual(1000 * SECOND);
    expect(extended).toBeLessThan(1060 * SECOND);
    expect((await extend(outdial, refs(lease), 1))[0]?.result).toBe('extended');
    expect((await open(outdial))[0]?.tm_expire).toBe(longer?.tm_expire);
  });

  test('keeps it beyond the end that it had', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease({ lease_seconds: 1 });
    await extend(outdial, refs(lease), 60);
    await pause(2200);
    expect((await outdial.target(target.id)).status).toBe('progressing');
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'recorded', status: 'done' });
  });

  test('answers ended for an attempt that is over, and not_found for one that there is not', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.add();
    const lease = await outdial.lease();
    await outdial.report(lease, 'busy');
    const fates = await extend(outdial, [...refs(lease), { attempt_id: NOBODY, target_id: lease.target_id }], 60);
    expect(fates.map(({ result }) => result)).toEqual(['ended', 'not_found']);
  });
});

describe('releasing a lease', () => {
  test('takes the try back and leaves the target due as before', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    const [first] = [await outdial.add(), await outdial.add()];
    const lease = await outdial.lease();
    expect(await release(outdial, lease)).toEqual([{ attempt_id: lease.attempt_id, result: 'released' }]);
    expect(await outdial.target(first.id)).toMatchObject({ status: 'idle', try_count_0: 0, tm_next_try: first.tm_next_try });
    const again = await outdial.lease();
    expect(again).toMatchObject({ target_id: first.id, try_count: 1 });
    expect(again.attempt_id).not.toBe(lease.attempt_id);
  });

  test('is remembered among the attempts, and counted nowhere else', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    await release(outdial, await outdial.lease());
    expect(await outdial.attempts(target.id)).toMatchObject([{ outcome: 'released', late: false }]);
    expect(await outdial.progress()).toMatchObject({
      attempts: { total: 0, by_destination: [0, 0, 0, 0, 0] },
      penetration: 0,
      connect_rate: 0,
      callable: 1,
    });
  });

  test('is harmless when repeated, and does nothing to an attempt that is over', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    const lease = await outdial.lease();
    await release(outdial, lease);
    expect((await release(outdial, lease))[0]?.result).toBe('repeated');
    const second = await outdial.lease();
    await outdial.report(second, 'busy');
    expect((await release(outdial, second))[0]?.result).toBe('ended');
    expect((await release(outdial, { ...second, attempt_id: NOBODY }))[0]?.result).toBe('not_found');
    expect(await outdial.target(target.id)).toMatchObject({ status: 'idle', try_count_0: 1 });
  });

  test('ends it: what is reported afterwards is stale, and an extension comes too late', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease();
    await release(outdial, lease);
    expect((await outdial.report(lease, 'answered')).result).toBe('stale');
    expect((await extend(outdial, refs(lease), 60))[0]?.result).toBe('ended');
    expect(await outdial.target(target.id)).toMatchObject({ status: 'idle', try_count_0: 0 });
  });
});

describe('one attempt on one target', () => {
  test('is recorded where it is asked for, and reported by PUT', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const [, target] = [await outdial.add(), await outdial.add()];
    const started = await start(outdial, target.id, { dialer: 'by hand', lease_seconds: 60 });
    const attempt = bodyOf(started, 201);
    expect(attempt).toMatchObject({ target_id: target.id, destination_index: 0, try_count: 1, dialer: 'by hand', outcome: null });
    expect(micros(attempt.tm_expire) - micros(attempt.tm_start)).toBe(60 * SECOND);
    expect(await outdial.attempts(target.id)).toMatchObject([{ attempt_id: attempt.attempt_id, tm_end: NEVER }]);
    const ended = bodyOf(await finish(outdial, attempt, { outcome: 'answered', disposition: 'sale', detail: 'a note' }));
    expect(ended).toMatchObject({ id: target.id, status: 'done', done_reason: 'answered' });
    expect(await outdial.attempts(target.id)).toMatchObject([{ outcome: 'answered', disposition: 'sale', note: 'a note' }]);
  });

  test('that was reported otherwise is stale, the same again is fine, and an unknown one is not found', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    const attempt = bodyOf(await start(outdial, target.id), 201);
    bodyOf(await finish(outdial, attempt, { outcome: 'busy' }));
    expect(errorOf(await finish(outdial, attempt, { outcome: 'answered' }), 409)).toMatchObject({
      status: 'CONFLICT',
      reason: 'STALE_ATTEMPT',
    });
    expect(bodyOf(await finish(outdial, attempt, { outcome: 'busy' }))).toMatchObject({ status: 'idle', try_count_0: 1 });
    expect(errorOf(await finish(outdial, { ...attempt, attempt_id: NOBODY }, { outcome: 'busy' }), 404).status).toBe('NOT_FOUND');
    expect(errorOf(await finish(outdial, attempt, { outcome: 'engaged' }), 400).details[0]?.field).toBe('outcome');
  });

  test('is listed with all others of its target, oldest first', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 2 });
    const target = await outdial.add(twoNumbers());
    for (const outcome of ['busy', 'no_answer', 'failed']) await outdial.report(await outdial.lease(), outcome);
    await outdial.lease();
    const attempts = await outdial.attempts(target.id);
    expect(attempts.map(({ destination_index, try_count, outcome }) => [destination_index, try_count, outcome])).toEqual([
      [0, 1, 'busy'],
      [0, 2, 'no_answer'],
      [1, 1, 'failed'],
      [1, 2, null],
    ]);
    const starts = attempts.map(({ tm_start }) => tm_start);
    expect(starts).toEqual([...starts].sort());
  });

  const refusals: readonly (readonly [string, (outdial: Outdial, target: WireTarget) => Promise<unknown>, Fields?])[] = [
    ['progressing', async (outdial, target) => bodyOf(await start(outdial, target.id), 201)],
    ['done', async (outdial) => outdial.report(await outdial.lease(), 'answered')],
    ['not_due', async (outdial) => outdial.report(await outdial.lease(), 'busy')],
    ['deleted', async (outdial, target) => bodyOf(await api.del(`${outdial.path}/targets/${target.id}`))],
    ['paused', async (outdial) => changeMode(outdial, 'pause')],
    ['archived', async (outdial) => changeMode(outdial, 'archive')],
    ['deleted', async (outdial) => bodyOf(await api.del(outdial.path))],
    ['exhausted', async (outdial, target) => bodyOf(await exhaust(outdial, target.id, 0)), { destination_index: 0 }],
    ['no_destination', async () => undefined, { destination_index: 4 }],
    [
      'limit_reached',
      async (outdial) => {
        const plan = await newOutplan(api, { max_try_count_0: 0, max_try_count_1: 0 });
        bodyOf(await api.put(outdial.path, { outplan_id: plan.id }));
      },
    ],
  ];
  test.each(refusals.map(([reason, prepare, body = {}]) => ({ reason, prepare, body })))(
    'is refused with the reason $reason, and nothing is recorded',
    async ({ reason, prepare, body }) => {
      const outdial = await newOutdial(api, {}, { try_interval: HOUR });
      const target = await outdial.add(twoNumbers());
      await prepare(outdial, target);
      const before = await outdial.attempts(target.id);
      const error = errorOf(await start(outdial, target.id, body), 409);
      expect(error).toMatchObject({ status: 'CONFLICT', reason: 'NOT_CALLABLE' });
      expect(reasons(error)).toContain(reason);
      expect(await outdial.attempts(target.id)).toEqual(before);
    },
  );

  test('is not made on another destination than the next', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add(twoNumbers());
    expect(errorOf(await start(outdial, target.id, { destination_index: 1 }), 409).reason).toBe('NOT_CALLABLE');
    expect(bodyOf(await start(outdial, target.id, { destination_index: 0 }), 201).destination_index).toBe(0);
  });

  test('is won by one of many who ask at once', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const answers = await Promise.all(Array.from({ length: 10 }, () => start(outdial, target.id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
    expect(await outdial.target(target.id)).toMatchObject({ try_count_0: 1 });
  });
});

describe('what a restarted dialer still holds', () => {
  test('is told by the open attempts, of all dialers or of one', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.addAll(Array.from({ length: 6 }, () => ({ destination: tel(nextPhone()) })));
    const mine = (await outdial.claim({ limit: 2, dialer: 'mine' })).result;
    const yours = (await outdial.claim({ limit: 3, dialer: 'yours' })).result;
    const ids = (attempts: readonly WireAttempt[]): readonly string[] => attempts.map(({ attempt_id }) => attempt_id).sort();
    expect(ids(await open(outdial))).toEqual(ids([...mine, ...yours]));
    expect(ids(await open(outdial, '&dialer=mine'))).toEqual(ids(mine));
    expect(await open(outdial, '&dialer=nobody')).toEqual([]);
    const [ended] = mine;
    if (ended) await outdial.report(ended, 'busy');
    expect(ids(await open(outdial, '&dialer=mine'))).toEqual(ids(mine.slice(1)));
    expect((await open(outdial, '&dialer=yours'))[0]).toMatchObject({
      outdial_id: outdial.id,
      dialer: 'yours',
      outcome: null,
      tm_end: NEVER,
    });
  });
});

describe('exhausting a destination', () => {
  test('keeps it from being dialed', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add(twoNumbers());
    expect(bodyOf(await exhaust(outdial, target.id, 0))).toMatchObject({ status: 'idle', exhausted: [true, false, false, false, false] });
    expect((await outdial.lease()).destination_index).toBe(1);
  });

  test('ends the target when it was the last', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add(twoNumbers());
    await exhaust(outdial, target.id, 1);
    expect(bodyOf(await exhaust(outdial, target.id, 0))).toMatchObject({ status: 'done', done_reason: 'exhausted' });
    expect((await outdial.claim()).result).toEqual([]);
    expect((await outdial.progress()).done.exhausted).toBe(1);
  });

  test('waits for the attempt that is dialing it', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add(twoNumbers());
    const lease = await outdial.lease();
    expect(bodyOf(await exhaust(outdial, target.id, 0))).toMatchObject({ status: 'progressing' });
    expect(await outdial.report(lease, 'busy')).toMatchObject({ result: 'recorded', status: 'idle' });
    expect((await outdial.target(target.id)).exhausted[0]).toBe(true);
    expect((await outdial.lease()).destination_index).toBe(1);
  });

  test('takes nothing from an answer', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease();
    bodyOf(await exhaust(outdial, target.id, 0));
    expect(await outdial.report(lease, 'answered')).toMatchObject({ status: 'done', done_reason: 'answered' });
  });

  test('is harmless when repeated', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add(twoNumbers());
    const once = await exhaust(outdial, target.id, 0);
    const twice = await exhaust(outdial, target.id, 0);
    expect(bodyOf(twice)).toEqual(bodyOf(once));
  });

  test.each(['5', '-1', 'x', '1.5', '00'])('is refused for the destination %s', async (index) => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const answer = await api.post(`${outdial.path}/targets/${target.id}/destinations/${index}/exhaust`, { reason: 'x' });
    expect([400, 404]).toContain(answer.status);
  });

  test('is refused for one that is not configured', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    expect([400, 404, 409]).toContain((await exhaust(outdial, target.id, 3)).status);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'idle' });
  });
});

describe('canceling a target', () => {
  test('ends it at once when it is not being dialed', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    expect(bodyOf(await cancel(outdial, target.id))).toMatchObject({ status: 'done', done_reason: 'canceled', tm_next_try: NEVER });
    expect((await outdial.claim()).result).toEqual([]);
    expect((await outdial.progress()).done).toEqual({ answered: 0, exhausted: 0, canceled: 1 });
  });

  test('waits for the attempt under way, whose answer wins', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const targets = [await outdial.add(), await outdial.add()];
    const leases = (await outdial.claim({ limit: 2 })).result;
    for (const { id } of targets) expect(bodyOf(await cancel(outdial, id))).toMatchObject({ status: 'progressing', done_reason: null });
    const [answered, busy] = leases as [WireLease, WireLease];
    expect(await outdial.report(answered, 'answered')).toMatchObject({ status: 'done', done_reason: 'answered' });
    expect(await outdial.report(busy, 'busy')).toMatchObject({ status: 'done', done_reason: 'canceled' });
  });

  test('is not forgotten when the attempt under way is released', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease();
    bodyOf(await cancel(outdial, target.id));
    await release(outdial, lease);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', done_reason: 'canceled', try_count_0: 0 });
  });

  test('answers with the target as it is when repeated', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const once = bodyOf(await cancel(outdial, target.id));
    expect(bodyOf(await cancel(outdial, target.id))).toEqual(once);
  });
});

describe('a lease that expires', () => {
  /** Leased for a second, and waited for until the service has noticed the end of it. */
  async function expired(plan: Fields, fields: Fields = {}): Promise<{ outdial: Outdial; lease: WireLease; target: WireTarget }> {
    const outdial = await newOutdial(api, {}, plan);
    const { id } = await outdial.add(fields);
    const lease = await outdial.lease({ lease_seconds: 1 });
    await eventually(async () => expect((await outdial.attempts(id))[0]?.outcome).toBe('unknown'));
    return { outdial, lease, target: await outdial.target(id) };
  }

  test.concurrent('becomes unknown at the time of its expiry, counts, and rests for the interval', async () => {
    const { outdial, lease, target } = await expired({ try_interval: HOUR });
    expect(target).toMatchObject({ status: 'idle', try_count_0: 1 });
    expect(await outdial.attempts(target.id)).toMatchObject([
      { attempt_id: lease.attempt_id, outcome: 'unknown', tm_end: lease.tm_expire, late: false },
    ]);
    expect(micros(target.tm_next_try)).toBe(micros(lease.tm_expire) + HOUR * 1000);
    expect((await outdial.progress()).attempts).toMatchObject({ total: 1, by_outcome: { unknown: 1 } });
    expect(await open(outdial)).toEqual([]);
  });

  test.concurrent('can be the last try of a target', async () => {
    const { target } = await expired({ ...AT_ONCE, max_try_count_0: 1 });
    expect(target).toMatchObject({ status: 'done', done_reason: 'exhausted' });
  });

  test.concurrent('can be answered late: the target is done at once', async () => {
    const { outdial, lease, target } = await expired({ try_interval: HOUR });
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'late', status: 'done', done_reason: 'answered' });
    expect(await outdial.attempts(target.id)).toMatchObject([{ outcome: 'answered', late: true }]);
    expect((await outdial.progress()).attempts).toMatchObject({ total: 1, by_outcome: { answered: 1 } });
    expect((await outdial.progress()).attempts.by_outcome.unknown ?? 0).toBe(0);
    expect((await outdial.progress()).done.answered).toBe(1);
  });

  test.concurrent('can be answered late even when the target had ended otherwise', async () => {
    const { outdial, lease, target } = await expired({ ...AT_ONCE, max_try_count_0: 1 });
    expect(target.done_reason).toBe('exhausted');
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'late', status: 'done', done_reason: 'answered' });
    expect((await outdial.progress()).done).toEqual({ answered: 1, exhausted: 0, canceled: 0 });
  });

  test.concurrent('can be answered late while the next attempt is under way: that one stays open and changes only itself', async () => {
    const { outdial, lease, target } = await expired(AT_ONCE);
    const next = await outdial.lease();
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'late', status: 'done', done_reason: 'answered' });
    expect(await open(outdial)).toMatchObject([{ attempt_id: next.attempt_id, outcome: null }]);
    expect((await extend(outdial, refs(next), 60))[0]?.result).toBe('ended');
    expect(await outdial.report(next, 'busy')).toMatchObject({ result: 'recorded', status: 'done', done_reason: 'answered' });
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', done_reason: 'answered', try_count_0: 2 });
    expect((await outdial.attempts(target.id)).map(({ outcome }) => outcome)).toEqual(['answered', 'busy']);
    expect((await outdial.claim()).result).toEqual([]);
  });

  test.concurrent('can be reported late as an invalid number, which exhausts its destination', async () => {
    const { outdial, lease, target } = await expired({ try_interval: HOUR }, twoNumbers());
    expect(await outdial.report(lease, 'invalid_number')).toMatchObject({ result: 'late', status: 'idle' });
    expect((await outdial.target(target.id)).exhausted).toEqual([true, false, false, false, false]);
    expect((await outdial.attempts(target.id))[0]).toMatchObject({ outcome: 'invalid_number', late: true });
  });

  test.concurrent('can be reported late as anything else, which changes only the attempt', async () => {
    const { outdial, lease, target } = await expired({ try_interval: HOUR, retry: { fax: { retry: false } } });
    expect(await outdial.report(lease, 'fax', { disposition: 'a machine' })).toMatchObject({ result: 'late', status: 'idle' });
    const after = await outdial.target(target.id);
    expect({ ...after, tm_update: '' }).toEqual({ ...target, tm_update: '' });
    expect((await outdial.attempts(target.id))[0]).toMatchObject({
      outcome: 'fax',
      late: true,
      disposition: 'a machine',
      tm_end: lease.tm_expire,
    });
    expect((await outdial.progress()).attempts.by_outcome).toMatchObject({ fax: 1 });
  });

  test.concurrent('can be reported late once: the same again is repeated, another outcome stale', async () => {
    const { outdial, lease } = await expired({ try_interval: HOUR });
    expect((await outdial.report(lease, 'busy')).result).toBe('late');
    expect((await outdial.report(lease, 'busy')).result).toBe('repeated');
    expect((await outdial.report(lease, 'answered')).result).toBe('stale');
    expect((await outdial.progress()).attempts).toMatchObject({ total: 1, by_outcome: { busy: 1 } });
  });

  test.concurrent('cannot be extended or released any more', async () => {
    const { outdial, lease, target } = await expired({ try_interval: HOUR });
    expect((await extend(outdial, refs(lease), 60))[0]?.result).toBe('ended');
    expect((await release(outdial, lease))[0]?.result).toBe('ended');
    expect(await outdial.target(target.id)).toEqual(target);
  });

  test.concurrent('expires on a paused, an archived and a deleted outdial too', async () => {
    for (const end of ['pause', 'archive', 'delete'] as const) {
      const outdial = await newOutdial(api);
      const target = await outdial.add();
      await outdial.lease({ lease_seconds: 1 });
      bodyOf(await (end === 'delete' ? api.del(outdial.path) : api.post(`${outdial.path}/${end}`)));
      await eventually(async () => expect(await outdial.attempts(target.id)).toMatchObject([{ outcome: 'unknown' }]));
    }
  });

  test.concurrent('is given to somebody else afterwards, by the clock alone', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.addAll(Array.from({ length: 50 }, () => ({ destination: tel(nextPhone()) })));
    const first = (await outdial.claim({ limit: 50, lease_seconds: 1 })).result;
    const second = await eventually(async () => {
      const claim = await outdial.claim({ limit: 50 });
      expect(claim.result.length).toBeGreaterThan(0);
      return claim.result;
    });
    const expiry = new Map(first.map(({ target_id, tm_expire }) => [target_id, tm_expire]));
    for (const { target_id, tm_start } of second) expect(tm_start > String(expiry.get(target_id))).toBe(true);
  });
});

describe('an outdial', () => {
  test('hands out nothing while it is paused, and goes on where it was', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.addAll([1, 2, 3, 4].map(() => ({ destination: tel(nextPhone()) })));
    const [busy, kept, released] = (await outdial.claim({ limit: 3 })).result as [WireLease, WireLease, WireLease];
    expect((await changeMode(outdial, 'pause')).state).toBe('paused');
    expect((await outdial.claim({ limit: 10 })).result).toEqual([]);
    expect(await outdial.progress()).toMatchObject({ callable: 0, targets: { idle: 1, progressing: 3 } });
    expect(await outdial.report(busy, 'busy')).toMatchObject({ result: 'recorded', status: 'idle' });
    expect((await extend(outdial, refs(kept), 1000))[0]?.result).toBe('extended');
    expect((await release(outdial, released))[0]?.result).toBe('released');
    expect((await outdial.claim({ limit: 10 })).result).toEqual([]);
    await outdial.add();
    expect((await changeMode(outdial, 'resume')).state).toBe('active');
    expect((await outdial.claim({ limit: 10 })).result).toHaveLength(4);
  });

  test('answers with itself when it is paused or resumed again', async () => {
    const outdial = await newOutdial(api);
    const paused = await changeMode(outdial, 'pause');
    expect(await changeMode(outdial, 'pause')).toEqual(paused);
    const resumed = await changeMode(outdial, 'resume');
    expect(await changeMode(outdial, 'resume')).toEqual(resumed);
    const archived = await changeMode(outdial, 'archive');
    expect(await changeMode(outdial, 'archive')).toEqual(archived);
  });

  test('that is archived takes only outcomes, and changes of its data and detail', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    await outdial.add();
    const lease = await outdial.lease();
    expect((await changeMode(outdial, 'archive')).state).toBe('archived');
    expect((await outdial.claim()).result).toEqual([]);
    expect((await outdial.progress()).callable).toBe(0);
    const refused = [
      await api.post(`${outdial.path}/targets`, { destination: tel(nextPhone()) }),
      await api.post(`${outdial.path}/targets`, { targets: [{ destination: tel(nextPhone()) }] }),
      await api.put(outdial.path, { name: 'another name' }),
      await api.put(`${outdial.path}/campaign_id`, { campaign_id: NOBODY }),
      await api.post(`${outdial.path}/resume`),
    ];
    for (const answer of refused) expect(errorOf(answer, 409)).toMatchObject({ status: 'CONFLICT', reason: 'ARCHIVED' });
    expect(bodyOf(await api.put(outdial.path, { detail: 'done with it', data: '{}' }))).toMatchObject({
      detail: 'done with it',
      data: '{}',
    });
    expect(bodyOf(await api.put(`${outdial.path}/data`, { data: 'more' }))).toMatchObject({ data: 'more' });
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'recorded', status: 'done' });
    expect((await outdial.target(target.id)).done_reason).toBe('answered');
    expect((await outdial.progress()).targets).toEqual({ total: 2, idle: 1, progressing: 0, done: 1 });
  });

  test('that is deleted hands out nothing, and still takes what its dialers report', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll([1, 2].map(() => ({ destination: tel(nextPhone()) })));
    const lease = await outdial.lease();
    bodyOf(await api.del(outdial.path));
    const claim = await api.post<{ result: unknown[] }>(`${outdial.path}/leases`, { limit: 10 });
    if (claim.status === 200) expect(claim.body.result).toEqual([]);
    else expect(errorOf(claim, 409).reason).toBe('DELETED');
    expect((await extend(outdial, refs(lease), 500))[0]?.result).toBe('extended');
    expect(await outdial.report(lease, 'answered')).toMatchObject({ result: 'recorded', status: 'done' });
    expect((await outdial.progress()).attempts.by_outcome.answered).toBe(1);
  });

  test('gives no lease to a request that begins after its pause was acknowledged', async () => {
    const outdial = await newOutdial(api);
    await outdial.addAll(Array.from({ length: 2000 }, () => ({ destination: tel(nextPhone()) })));
    let paused = false;
    const dialers = Array.from({ length: 8 }, async () => {
      for (let round = 0; round < 25; round += 1) {
        const begunAfter = paused;
        const { result } = await outdial.claim({ limit: 3 });
        if (begunAfter) expect(result).toEqual([]);
      }
    });
    await pause(20);
    await changeMode(outdial, 'pause');
    paused = true;
    await Promise.all(dialers);
    expect((await outdial.claim()).result).toEqual([]);
  });
});

describe('progress', () => {
  test('counts targets, ends, attempts, outcomes and destinations exactly', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR, max_try_count_0: 1 });
    expect(await outdial.progress()).toMatchObject({
      targets: { total: 0, idle: 0, progressing: 0, done: 0 },
      done: { answered: 0, exhausted: 0, canceled: 0 },
      attempts: { total: 0, by_destination: [0, 0, 0, 0, 0] },
      callable: 0,
      waiting: 0,
      next_callable_at: NEVER,
      penetration: 0,
      connect_rate: 0,
    });
    const { result } = await outdial.addAll(Array.from({ length: 8 }, (_, n) => ({ name: String(n), ...twoNumbers() })));
    const leases = (await outdial.claim({ limit: 5 })).result as [WireLease, WireLease, WireLease, WireLease, WireLease];
    await outdial.report(leases[0], 'answered');
    await outdial.report(leases[1], 'busy');
    await outdial.report(leases[2], 'invalid_number');
    await release(outdial, leases[3]);
    const [sixth, seventh] = [String(result[5]?.id), String(result[6]?.id)];
    bodyOf(await cancel(outdial, sixth));
    bodyOf(await api.del(`${outdial.path}/targets/${seventh}`));
    // 0 answered; 1 and 2 wait for their second number; 3 released; 4 under way; 5 canceled; 6 deleted; 7 fresh.
    const progress = await outdial.progress();
    expect(progress).toMatchObject({
      targets: { total: 7, idle: 4, progressing: 1, done: 2 },
      done: { answered: 1, exhausted: 0, canceled: 1 },
      attempts: { total: 4, by_outcome: { answered: 1, busy: 1, invalid_number: 1, under_way: 1 }, by_destination: [4, 0, 0, 0, 0] },
      callable: 4,
      waiting: 0,
    });
    expect(progress.penetration).toBeCloseTo(4 / 7, 3);
    expect(progress.connect_rate).toBeCloseTo(1 / 3, 3);
    const second = await outdial.lease();
    await outdial.report(second, 'unknown');
    expect((await outdial.progress()).attempts).toMatchObject({ total: 5 });
  });

  test('has the same fields in the same order each time', async () => {
    const outdial = await newOutdial(api);
    expect(Object.keys(await outdial.progress())).toEqual(
      'targets done attempts callable waiting next_callable_at penetration connect_rate tm'.split(' '),
    );
  });
});
