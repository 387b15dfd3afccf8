/** Reading what happened: the audit, events, states of the past, and the live stream. */
import { bodyOf, errorOf, micros, newOutdial, newOutplan, nextPhone, pause, tel, NEVER, UUID } from '../support/api';
import type { Answer, Ask, Client, Outdial, WireAttempt, WireLease, WireOutdial, WireTarget } from '../support/api';
import { prepareService, useService } from '../support/service';

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

interface Message {
  readonly id: string;
  readonly data: {
    readonly target_id: string;
    readonly outdial_id: string;
    readonly status: string;
    readonly previous_status: string | null;
    readonly done_reason: string | null;
    readonly destination_index: number | null;
    readonly try_count_0: number;
    readonly outcome: string | null;
    readonly deleted: boolean;
    readonly tm: string;
  };
}

/** One who listens to a stream of server-sent events. */
async function listen(
  path: string,
  ask: Ask = {},
): Promise<{ messages: Message[]; ids: string[]; stop(): void; heard(count: number): Promise<readonly Message[]> }> {
  const away = new AbortController();
  const response = await fetch(api.locate(path, ask.query), {
    headers: { authorization: `Bearer ${api.token}`, ...ask.headers },
    signal: away.signal,
  });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const messages: Message[] = [];
  const ids: string[] = [];
  const take = (block: string): void => {
    const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    const id = fields.get('id');
    if (id !== undefined) ids.push(id);
    if (fields.get('event') === 'target') messages.push({ id: id ?? '', data: JSON.parse(fields.get('data') ?? '') as Message['data'] });
  };
  const read = async (): Promise<void> => {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      blocks.forEach(take);
    }
  };
  // Ends by being aborted.
  read().catch(() => undefined);
  return {
    messages,
    ids,
    stop: () => away.abort(),
    heard: async (count) => {
      for (let n = 0; n < 200 && messages.length < count; n += 1) await pause(25);
      if (messages.length < count) throw new Error(`only ${messages.length} of ${count} messages came`);
      // One that comes without being expected shall have the time to come.
      await pause(50);
      return messages;
    },
  };
}

describe('the stream', () => {
  const said = (messages: readonly Message[]): readonly unknown[] =>
    messages.map(({ data }) => [data.previous_status, data.status, data.try_count_0, data.outcome, data.done_reason]);

  test('tells each change of a target, in order, from now on', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const early = await outdial.add();
    const listener = await listen(`${outdial.path}/targets/stream`);
    const target = await outdial.add({ priority: 1 });
    await outdial.report(await outdial.lease(), 'busy');
    bodyOf(await api.put(`${outdial.path}/targets/${target.id}`, { name: 'a change of no count' }));
    await outdial.report(await outdial.lease(), 'answered');
    bodyOf(await api.del(`${outdial.path}/targets/${early.id}`));
    const messages = await listener.heard(6);
    listener.stop();
    expect(said(messages.slice(0, 5))).toEqual([
      [null, 'idle', 0, null, null],
      ['idle', 'progressing', 1, null, null],
      ['progressing', 'idle', 1, 'busy', null],
      ['idle', 'progressing', 2, null, null],
      ['progressing', 'done', 2, 'answered', 'answered'],
    ]);
    for (const { data } of messages.slice(0, 5))
      expect(data).toMatchObject({ outdial_id: outdial.id, target_id: target.id, deleted: false });
    expect(messages[5]?.data).toMatchObject({ target_id: early.id, deleted: true });
    expect(messages).toHaveLength(6);
    const ids = messages.map(({ id }) => id);
    expect(new Set(ids).size).toBe(6);
  });

  test('can be replayed from the start, and resumed after any message with no gap and no repeat', async () => {
    const { outdial } = await dialed();
    const path = `${outdial.path}/targets/stream`;
    const all = await listen(path, { query: { after: 'start' } });
    const messages = [...(await all.heard(12))];
    all.stop();
    expect(messages).toHaveLength(12);
    for (const n of [0, 5, 10]) {
      const id = String(messages[n]?.id);
      const byQuery = await listen(path, { query: { after: id } });
      const byHeader = await listen(path, { headers: { 'last-event-id': id }, query: { after: 'start' } });
      for (const resumed of [byQuery, byHeader]) {
        expect(await resumed.heard(11 - n)).toEqual(messages.slice(n + 1));
        resumed.stop();
      }
    }
  });

  test('goes on from the past into the present without a seam', async () => {
    const outdial = await newOutdial(api);
    const enough = new AbortController();
    const added: string[] = [];
    const adder = (async () => {
      while (!enough.signal.aborted) added.push((await outdial.add()).id);
    })();
    await pause(100);
    const listener = await listen(`${outdial.path}/targets/stream`, { query: { after: 'start' } });
    await pause(300);
    enough.abort();
    await adder;
    const messages = await listener.heard(added.length);
    listener.stop();
    expect(messages.map(({ data }) => data.target_id)).toEqual(added);
  });

  test('gives a point to resume from at once, also where nothing happens', async () => {
    const outdial = await newOutdial(api);
    const path = `${outdial.path}/targets/stream`;
    const listener = await listen(path);
    for (let n = 0; n < 100 && listener.ids.length === 0; n += 1) await pause(20);
    listener.stop();
    const [point] = listener.ids;
    const target = await outdial.add();
    const resumed = await listen(path, { headers: { 'last-event-id': String(point) } });
    expect((await resumed.heard(1)).map(({ data }) => data.target_id)).toEqual([target.id]);
    resumed.stop();
  });

  test('is filtered by the new status', async () => {
    const { outdial } = await dialed();
    const listener = await listen(`${outdial.path}/targets/stream`, { query: { after: 'start', status: 'done' } });
    const messages = await listener.heard(2);
    listener.stop();
    expect(messages.map(({ data }) => data.done_reason).sort()).toEqual(['answered', 'exhausted']);
  });

  test('of a customer tells of all its outdials, and of nobody else’s', async () => {
    const [one, other] = [await newOutdial(api), await newOutdial(api)];
    const listener = await listen('/outdials/stream');
    const strangers = await newOutdial(await service.customer());
    await strangers.add();
    const targets = [await one.add(), await other.add()];
    const messages = await listener.heard(2);
    listener.stop();
    expect(messages.map(({ data }) => [data.outdial_id, data.target_id])).toEqual([
      [one.id, targets[0]?.id],
      [other.id, targets[1]?.id],
    ]);
  });

  test('is told by many listeners the same', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const listeners = await Promise.all(Array.from({ length: 20 }, () => listen(`${outdial.path}/targets/stream`)));
    await outdial.addAll(Array.from({ length: 100 }, () => ({ destination: tel(nextPhone()) })));
    const [first, ...others] = await Promise.all(listeners.map((listener) => listener.heard(100)));
    for (const other of others) expect(other).toEqual(first);
    listeners.forEach((listener) => listener.stop());
  });

  test('does not resume from another log’s point, nor from none at all', async () => {
    const outdial = await newOutdial(api);
    await outdial.add();
    const listener = await listen(`${outdial.path}/targets/stream`, { query: { after: 'start' } });
    const [message] = await listener.heard(1);
    listener.stop();
    const stranger = await prepareService();
    try {
      await stranger.start();
      const path = `${(await newOutdial(stranger.admin)).path}/targets/stream`;
      expect(errorOf(await stranger.admin.get(path, { query: { after: String(message?.id) } }), 410).status).toBe('GONE');
    } finally {
      await stranger.dispose();
    }
    for (const after of ['yesterday', '0', '-']) {
      expect(errorOf(await api.get(`${outdial.path}/targets/stream`, { query: { after } }), 400).status).toBe('INVALID_ARGUMENT');
    }
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
