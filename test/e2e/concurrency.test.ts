/** Many at once: what must hold whoever comes first. */
import { bodyOf, differences, errorOf, eventually, listAll, newOutdial, nextPhone, pause, phone, tel } from '../support/api';
import type { Answer, Client, Fate, Outdial, WireLease, WireTarget } from '../support/api';
import { attemptNumber, dialOutcome, dialTotals, targetEnd, DESTINATIONS_EACH, TRIES_EACH } from '../support/dial-model';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

describe('a list of 20,000 targets and 50 dialers', () => {
  const TARGETS = 20_000;
  const DIALERS = 50;
  let outdial: Outdial;
  const violations: string[] = [];
  /** Target → the attempt that somebody has been given and has not begun to report. */
  const held = new Map<string, string>();
  const dialed = new Set<string>();
  let done = 0;

  const take = (lease: WireLease): void => {
    const other = held.get(lease.target_id);
    if (other !== undefined) violations.push(`${lease.target_id} is leased as ${other} and as ${lease.attempt_id}`);
    held.set(lease.target_id, lease.attempt_id);
    const what = `${lease.target_id} ${lease.destination_index} ${lease.try_count}`;
    if (dialed.has(what)) violations.push(`${what} was handed out twice`);
    dialed.add(what);
    if (lease.try_count > TRIES_EACH) violations.push(`${what} is beyond the limit`);
  };

  const outcomeOf = (lease: WireLease): string =>
    dialOutcome(Number(lease.external_id), attemptNumber(lease.destination_index, lease.try_count));

  async function dial(dialer: string): Promise<void> {
    while (done < TARGETS) {
      const { result } = await outdial.claim({ limit: 100, dialer, lease_seconds: 600 });
      if (result.length === 0) {
        await pause(20);
        continue;
      }
      result.forEach(take);
      const outcomes = result.map((lease) => ({ attempt_id: lease.attempt_id, target_id: lease.target_id, outcome: outcomeOf(lease) }));
      // As soon as the report is on its way the target may be leased to another, whose answer may arrive before ours.
      for (const { target_id } of outcomes) held.delete(target_id);
      const fates = bodyOf(await api.post<{ result: readonly Fate[] }>(`${outdial.path}/outcomes`, { outcomes })).result;
      for (const fate of fates) {
        if (fate.result !== 'recorded') violations.push(`${fate.attempt_id} was ${fate.result}`);
        if (fate.status === 'done') done += 1;
      }
    }
  }

  beforeAll(async () => {
    outdial = await newOutdial(api, {}, { try_interval: 0, max_try_count_0: TRIES_EACH, max_try_count_1: TRIES_EACH });
    for (let n = 0; n < TARGETS; n += 5000) {
      const rows = Array.from({ length: 5000 }, (_, k) => ({
        external_id: String(n + k),
        destination_0: tel(phone(n + k)),
        destination_1: tel(phone(n + k, '+1666')),
      }));
      expect((await outdial.addAll(rows)).summary.created).toBe(5000);
    }
    await Promise.all(Array.from({ length: DIALERS }, (_, n) => dial(`dialer-${n}`)));
    // Queries do not wait for ever for what was written: the lists below are read when all of it has arrived.
    await eventually(async () => expect((await outdial.progress()).targets.done).toBe(TARGETS), 60_000);
  }, 120_000);

  test('never lease a target twice at once, nor hand out a try twice', () => {
    expect(violations).toEqual([]);
    expect(held.size).toBe(0);
  });

  test('end every target as it would end alone', async () => {
    const pages = await listAll<WireTarget>(api, `${outdial.path}/targets`, { status: 'done' });
    expect(pages).toHaveLength(TARGETS);
    const wrong = pages.filter((target) => {
      const end = targetEnd(Number(target.external_id));
      return target.done_reason !== end.doneReason || target.try_count_0 !== end.tryCounts[0] || target.try_count_1 !== end.tryCounts[1];
    });
    expect(wrong).toEqual([]);
  }, 60_000);

  test('come to the totals that are computed without any engine', async () => {
    const totals = dialTotals(TARGETS);
    expect(dialed.size).toBe(totals.attempts);
    const progress = await outdial.progress();
    expect(progress).toMatchObject({
      targets: { total: TARGETS, idle: 0, progressing: 0, done: TARGETS },
      done: { answered: totals.answered, exhausted: totals.exhausted, canceled: 0 },
      attempts: { total: totals.attempts, by_outcome: { ...totals.byOutcome } },
      callable: 0,
      waiting: 0,
      penetration: 1,
    });
    expect(progress.attempts.by_destination.slice(0, DESTINATIONS_EACH)).toEqual(totals.byDestination);
    expect(progress.connect_rate).toBeCloseTo(totals.answered / totals.attempts, 3);
    expect(progress.attempts.by_outcome.under_way ?? 0).toBe(0);
  });
});

test('of many who add the same number one is told 201, the others 409 and the id of that one', async () => {
  for (let round = 0; round < 10; round += 1) {
    const outdial = await newOutdial(api);
    const spellings = ['+15551234567', '+1 555 1234567', '+1 (555) 123-4567', '+1-555-123-4567'];
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, n) =>
        api.post<WireTarget>(`${outdial.path}/targets`, { name: String(n), destination: tel(String(spellings[n % spellings.length])) }),
      ),
    );
    const winners = answers.filter(({ status }) => status === 201);
    expect(winners).toHaveLength(1);
    const id = winners[0]?.body.id;
    for (const answer of answers.filter(({ status }) => status !== 201)) {
      expect(errorOf(answer, 409).reason).toBe('ALREADY_EXISTS');
      expect(errorOf(answer, 409).details.map(({ value }) => value)).toContain(id);
    }
    expect((await outdial.progress()).targets.total).toBe(1);
  }
});

test('of many who import the same rows each is told the same ids, and each target is created once', async () => {
  const outdial = await newOutdial(api);
  const rows = Array.from({ length: 300 }, (_, n) => ({ destination: tel(phone(n)) }));
  const added = await Promise.all(Array.from({ length: 6 }, () => outdial.addAll(rows)));
  const created = added.flatMap(({ result }) => result.map(({ id }) => id));
  expect(new Set(created).size).toBe(300);
  expect(created).toHaveLength(300);
  for (const { summary, result, duplicates } of added) {
    expect(summary.created + summary.duplicates).toBe(300);
    for (const { id } of [...result, ...duplicates]) expect(created).toContain(id);
  }
  expect((await outdial.progress()).targets.total).toBe(300);
});

test('an outcome that is reported many times at once counts once', async () => {
  const outdial = await newOutdial(api, {}, { try_interval: 3_600_000 });
  await outdial.addAll(Array.from({ length: 20 }, () => ({ destination: tel(nextPhone()) })));
  for (const lease of (await outdial.claim({ limit: 20 })).result) {
    const fates = await Promise.all([1, 2, 3].map(() => outdial.report(lease, 'busy')));
    expect(fates.map(({ result }) => result).sort()).toEqual(['recorded', 'repeated', 'repeated']);
    expect((await outdial.target(lease.target_id)).try_count_0).toBe(1);
  }
  expect((await outdial.progress()).attempts).toMatchObject({ total: 20, by_outcome: { busy: 20 } });
});

test('of two different outcomes for one attempt the first holds, and the other changes nothing', async () => {
  const outdial = await newOutdial(api, {}, { try_interval: 3_600_000 });
  await outdial.addAll(Array.from({ length: 20 }, () => ({ destination: tel(nextPhone()) })));
  for (const lease of (await outdial.claim({ limit: 20 })).result) {
    const [answered, busy] = await Promise.all([outdial.report(lease, 'answered'), outdial.report(lease, 'busy')]);
    expect([answered.result, busy.result].sort()).toEqual(['recorded', 'stale']);
    const won = answered.result === 'recorded';
    expect(await outdial.target(lease.target_id)).toMatchObject({ status: won ? 'done' : 'idle', done_reason: won ? 'answered' : null });
    expect(await outdial.attempts(lease.target_id)).toMatchObject([{ outcome: won ? 'answered' : 'busy' }]);
  }
});

test('a claim, a deletion, a cancellation and a change of one target leave it in one piece', async () => {
  const outdial = await newOutdial(api, {}, { try_interval: 0 });
  const { result } = await outdial.addAll(Array.from({ length: 40 }, () => ({ destination: tel(nextPhone()) })));
  const answers: Answer<unknown>[] = [];
  const keep = async (asked: Promise<Answer<unknown>>): Promise<void> => void answers.push(await asked);
  const leases: WireLease[] = [];
  await Promise.all(
    result.flatMap(({ id }, n) => {
      const path = `${outdial.path}/targets/${id}`;
      return [
        outdial.claim({ limit: 2 }).then((claim) => void leases.push(...claim.result)),
        keep(api.put(path, { name: `renamed ${n}`, priority: n })),
        ...(n % 3 === 0 ? [keep(api.del(path))] : []),
        ...(n % 3 === 1 ? [keep(api.post(`${path}/cancel`, { reason: 'x' }))] : []),
      ];
    }),
  );
  for (const { status } of answers) expect([200, 409]).toContain(status);
  expect(new Set(leases.map(({ target_id }) => target_id)).size).toBe(leases.length);
  await Promise.all(leases.map((lease) => outdial.report(lease, 'busy')));
  expect(await differences(outdial)).toEqual([]);
  const targets = await Promise.all(result.map(({ id }) => outdial.target(id)));
  targets.forEach((target, n) => {
    if (n % 3 === 1) expect(target).toMatchObject({ status: 'done', done_reason: 'canceled' });
    if (n % 3 === 2) expect(target).toMatchObject({ status: 'idle', name: `renamed ${n}` });
  });
  expect((await outdial.progress()).targets).toMatchObject({ total: 26, progressing: 0, done: 13 });
});
