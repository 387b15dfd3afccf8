/** Live changes of targets, as those who listen hear them. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { bodyOf, errorOf, newOutdial, nextPhone, pause, tel } from '../support/api';
import type { Ask, Client, Outdial, WireLease } from '../support/api';
import { prepareService, useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

const AT_ONCE = { try_interval: 0 };

/** Three targets: one answered at the second try, one exhausted, one under way. */
async function dialed(): Promise<{ outdial: Outdial }> {
  const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 2 });
  await outdial.addAll(['a', 'b', 'c'].map((external_id) => ({ external_id, destination: tel(nextPhone()) })));
  for (const outcome of ['busy', 'busy', '', 'answered', 'no_answer']) {
    const lease = await outdial.lease();
    if (outcome !== '') await outdial.report(lease, outcome);
  }
  return { outdial };
}

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
  const connect = (): Promise<Response> =>
    fetch(api.locate(path, ask.query), { headers: { authorization: `Bearer ${api.token}`, ...ask.headers }, signal: away.signal });
  let response = await connect();
  // Too many are being told of the past at once: a client comes back when it was told to.
  for (let tries = 1; response.status === 503 && tries < 10; tries += 1) {
    await response.body?.cancel();
    await pause(Number(response.headers.get('retry-after')) * 1000);
    response = await connect();
  }
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

/** Dials a list with several dialers at once, some attempts released; ends when nothing is left. */
async function dialAll(outdial: Outdial, dialers: number): Promise<void> {
  const outcomes = ['answered', 'busy', 'no_answer', 'failed'];
  await Promise.all(
    Array.from({ length: dialers }, async (_, dialer) => {
      for (let n = dialer; ; n += 1) {
        const { result } = bodyOf(await api.post<{ result: readonly WireLease[] }>(`${outdial.path}/leases`, { limit: 7 }));
        if (result.length === 0) return;
        const reports = result.map((lease, at) => ({
          attempt_id: lease.attempt_id,
          target_id: lease.target_id,
          outcome: outcomes[(n + at) % outcomes.length],
        }));
        bodyOf(await api.post(`${outdial.path}/outcomes`, { outcomes: reports }));
      }
    }),
  );
}

describe('nobody misses anything', () => {
  test('who is cut off 200 times at random hears every change once, in order', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.addAll(Array.from({ length: 300 }, () => ({ destination: tel(nextPhone()) })));
    const path = `${outdial.path}/targets/stream`;
    const heard: string[] = [];
    let [after, cuts, enough] = ['start', 0, false];
    const listening = (async () => {
      while (cuts < 200 || !enough) {
        const listener = await listen(path, after === 'start' ? { query: { after } } : { headers: { 'last-event-id': after } });
        // Anything from at once to long enough for several ticks.
        await pause((cuts * 7919) % 60);
        listener.stop();
        heard.push(...listener.messages.map(({ id, data }) => `${id} ${JSON.stringify(data)}`));
        after = listener.ids.at(-1) ?? after;
        cuts += 1;
      }
    })();
    await dialAll(outdial, 3);
    enough = true;
    await listening;
    const whole = await listen(path, { query: { after: 'start' } });
    for (let n = 0; n < 100 && whole.ids.length === whole.messages.length; n += 1) await pause(50);
    whole.stop();
    expect(whole.messages.length).toBeGreaterThan(1500);
    expect(heard).toEqual(whole.messages.map(({ id, data }) => `${id} ${JSON.stringify(data)}`));
    const before = new Map<string, string>();
    for (const { data } of whole.messages) {
      expect(data.previous_status).toBe(before.get(data.target_id) ?? null);
      before.set(data.target_id, data.status);
    }
    expect(new Set(before.values())).toEqual(new Set(['done']));
  });

  test('a hundred listeners hear a list being dialed, each the same and all of it', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    await outdial.addAll(Array.from({ length: 200 }, () => ({ destination: tel(nextPhone()) })));
    const listeners = await Promise.all(Array.from({ length: 100 }, () => listen(`${outdial.path}/targets/stream`)));
    await dialAll(outdial, 3);
    const { attempts } = await outdial.progress();
    const all = await Promise.all(listeners.map((listener) => listener.heard(2 * attempts.total)));
    listeners.forEach((listener) => listener.stop());
    for (const messages of all) expect(messages).toEqual(all[0]);
  });

  test('a listener that takes nothing is cut off, and can resume', async () => {
    const outdial = await newOutdial(api);
    const asked = request(api.locate(`${outdial.path}/targets/stream`), { headers: { authorization: `Bearer ${api.token}` } });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const [first] = (await once(response, 'data')) as [Buffer];
    response.pause();
    const id = /^id: (.*)$/m.exec(first.toString())?.[1] ?? '';
    // Several times what is let pile up, and what the sockets between take.
    const rows = 4000;
    for (let n = 0; n < 9; n += 1) {
      await outdial.addAll(Array.from({ length: rows }, () => ({ destination: tel(nextPhone()) })));
    }
    // What had been sent can still be read; then comes no orderly end.
    response.resume();
    await expect(once(response, 'end')).rejects.toThrow('aborted');
    const resumed = await listen(`${outdial.path}/targets/stream`, { headers: { 'last-event-id': id } });
    expect(await resumed.heard(9 * rows)).toHaveLength(9 * rows);
    resumed.stop();
  });

  test('a service that ends lets its listeners go at once', async () => {
    const other = await prepareService();
    try {
      await other.start();
      const outdial = await newOutdial(other.admin);
      const answer = await fetch(other.admin.locate(`${outdial.path}/targets/stream`), {
        headers: { authorization: `Bearer ${other.admin.token}` },
      });
      const text = answer.text();
      expect(await other.stop()).toBe(0);
      expect(await text).toMatch(/^id: /);
    } finally {
      await other.dispose();
    }
  });

  test('a stranger hears nothing of it', async () => {
    const outdial = await newOutdial(api);
    const stranger = await service.customer();
    expect(errorOf(await stranger.get(`${outdial.path}/targets/stream`), 404).reason).toBe('OUTDIAL_NOT_FOUND');
    expect(errorOf(await api.get(`${outdial.path}/targets/stream`, { query: { status: 'over' } }), 400).details[0]?.field).toBe('status');
  });
});
