/** Reading what happened: the audit, events, and states of the past. */
import { bodyOf, errorOf, micros, newOutdial, newOutplan, nextPhone, tel, NEVER, UUID } from '../support/api';
import type { Answer, Ask, Client, Outdial, WireAttempt, WireLease, WireOutdial, WireTarget } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

const AT_ONCE = { try_interval: 0 };
const audit = (outdial: Outdial, accept: string, query: Ask['query'] = {}): Promise<Answer<unknown>> =>
  api.get(`${outdial.path}/audit`, { headers: { accept }, query });
const auditLines = async (outdial: Outdial, query: Ask['query'] = {}): Promise<readonly WireLease[]> => {
  const answer = await audit(outdial, 'application/x-ndjson', query);
  bodyOf(answer);
  return answer.text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as WireLease);
};

/** Three targets: one answered at the second try, one exhausted, one under way. */
async function dialed(): Promise<{ outdial: Outdial; attempts: readonly WireLease[] }> {
  const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 2 });
  await outdial.addAll(
    ['a', 'b', 'c'].map((external_id) => ({ external_id, name: `name of ${external_id}`, destination: tel(nextPhone()) })),
  );
  const attempts: WireLease[] = [];
  for (const outcome of ['busy', 'busy']) {
    const lease = await outdial.lease();
    attempts.push(lease);
    await outdial.report(lease, outcome, { disposition: 'a, "b"' });
  }
  for (const outcome of ['', 'answered', 'no_answer']) {
    const lease = await outdial.lease();
    attempts.push(lease);
    if (outcome !== '') await outdial.report(lease, outcome);
  }
  return { outdial, attempts };
}

describe('the audit', () => {
  test('has a row for each attempt, with the target, the limits in force and the events', async () => {
    const { outdial, attempts } = await dialed();
    const rows = await auditLines(outdial);
    expect(rows.map(({ attempt_id }) => attempt_id).sort()).toEqual(attempts.map(({ attempt_id }) => attempt_id).sort());
    const row = rows.find(({ attempt_id }) => attempt_id === attempts[0]?.attempt_id);
    const { data: _data, detail: _detail, ...lease } = attempts[0] as WireLease;
    expect(row).toMatchObject({ ...lease, outcome: 'busy', disposition: 'a, "b"', tm_end: row?.tm_end });
    expect(micros(String(row?.tm_end))).toBeGreaterThan(micros(lease.tm_start));
    expect(rows.find(({ attempt_id }) => attempt_id === attempts[2]?.attempt_id)).toMatchObject({ outcome: null, tm_end: NEVER });
  });

  test('is the same as JSON, as lines and as CSV', async () => {
    const { outdial } = await dialed();
    const lines = await auditLines(outdial);
    const json = bodyOf(await audit(outdial, 'application/json')) as { result: readonly WireAttempt[] };
    expect(json.result).toEqual(lines);
    const csv = await audit(outdial, 'text/csv');
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
    const [header = '', ...rows] = csv.text.trimEnd().split(/\r?\n/);
    expect(header.split(',')).toEqual(
      expect.arrayContaining(['attempt_id', 'target_id', 'try_count', 'outcome', 'tm_start', 'tm_end', 'external_id']),
    );
    expect(rows).toHaveLength(lines.length);
    expect(csv.text).toContain('"a, ""b"""');
  });

  test('is limited to attempts started from one time, up to before another', async () => {
    const { outdial, attempts } = await dialed();
    const [, second, third, fourth] = attempts.map(({ tm_start }) => tm_start);
    const rows = await auditLines(outdial, { from: String(second), to: String(fourth) });
    expect(rows.map(({ tm_start }) => tm_start).sort()).toEqual([second, third]);
    const rfc = `${String(second).replace(' ', 'T')}Z`;
    expect(await auditLines(outdial, { from: rfc, to: String(fourth) })).toEqual(rows);
    expect(await auditLines(outdial, { from: '2199-01-01T00:00:00Z' })).toEqual([]);
  });

  test('of an outdial where nothing happened is empty', async () => {
    const outdial = await newOutdial(api);
    expect(bodyOf(await audit(outdial, 'application/json'))).toMatchObject({ result: [] });
    expect(await auditLines(outdial)).toEqual([]);
    expect((await audit(outdial, 'text/csv')).text.trimEnd().split('\n')).toHaveLength(1);
  });

  test('sums up to what progress says', async () => {
    const { outdial } = await dialed();
    const summary = JSON.stringify(bodyOf(await api.get(`${outdial.path}/audit/summary`)));
    const { attempts } = await outdial.progress();
    expect(attempts).toMatchObject({ total: 5, by_outcome: { busy: 2, answered: 1, no_answer: 1, under_way: 1 } });
    expect(summary).toContain('"total":5');
    expect(summary).toContain('"busy":2');
  });

  test('finds the read models as the events would make them', async () => {
    const { outdial } = await dialed();
    expect(bodyOf(await api.get(`${outdial.path}/audit/verify`))).toMatchObject({ targets: 3, consistent: true, differences: [] });
  });
});

describe('the past', () => {
  test('of a target is told by its events, as they were stored', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'busy');
    const { result } = bodyOf(
      await api.get<{ result: readonly { id: string; type: string; revision: number }[] }>(`${outdial.path}/targets/${target.id}/events`),
    );
    expect(result).toHaveLength(3);
    expect(result.map(({ revision }) => revision)).toEqual([0, 1, 2]);
    for (const { id, type } of result) {
      expect(id).toMatch(UUID);
      expect(type).not.toBe('');
    }
  });

  test('is read with the time: what was known up to and including it', async () => {
    const outdial = await newOutdial(api, { name: 'first' }, AT_ONCE);
    const created = await outdial.get();
    const target = await outdial.add({ name: 'first' });
    const renamed = bodyOf(await api.put<WireOutdial>(outdial.path, { name: 'second' }));
    const lease = await outdial.lease();
    await outdial.report(lease, 'answered');
    const ended = await outdial.target(target.id);
    bodyOf(await api.del(outdial.path));
    const then = async <T>(path: string, at: string): Promise<T> => bodyOf(await api.get<T>(path, { query: { at } }));
    const before = (time: string): string => new Date(micros(time) / 1000 - 1).toISOString();
    expect(await then<WireOutdial>(outdial.path, created.tm_create)).toEqual(created);
    expect(await then<WireOutdial>(outdial.path, before(renamed.tm_update))).toMatchObject({ name: 'first', tm_delete: NEVER });
    expect(await then<WireOutdial>(outdial.path, renamed.tm_update)).toEqual(renamed);
    const path = `${outdial.path}/targets/${target.id}`;
    expect(await then<WireTarget>(path, target.tm_create)).toEqual(target);
    expect(await then<WireTarget>(path, lease.tm_start)).toMatchObject({ status: 'progressing', try_count_0: 1 });
    expect(await then<WireTarget>(path, ended.tm_update)).toEqual(ended);
    expect(errorOf(await api.get(path, { query: { at: '2001-01-01T00:00:00Z' } }), 404).status).toBe('NOT_FOUND');
    expect(errorOf(await api.get(outdial.path, { query: { at: '2001-01-01T00:00:00Z' } }), 404).status).toBe('NOT_FOUND');
    expect(errorOf(await api.get(outdial.path, { query: { at: '2999-01-01T00:00:00Z' } }), 400).details[0]?.field).toBe('at');
  });
});

test('an outplan of the past is not asked for: what was pinned is in the attempts', async () => {
  const plan = await newOutplan(api, { dial_timeout: 1000, max_try_count_0: 5, try_interval: 0 });
  const outdial = await newOutdial(api, { outplan_id: plan.id });
  await outdial.add();
  const lease = await outdial.lease();
  bodyOf(await api.put(`/outplans/${plan.id}`, { dial_timeout: 9000, max_try_count_0: 1 }));
  await outdial.report(lease, 'busy');
  expect(await auditLines(outdial)).toMatchObject([{ dial_timeout: 1000, try_count_max: 5 }]);
});
