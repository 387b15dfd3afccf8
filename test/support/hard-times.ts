/** Dialing through faults, and what must hold of a list afterwards. */
import { bodyOf, differences, eventually, listAll, newOutdial, nextPhone, pause, tel } from './api';
import type { Client, Outdial, WireLease, WireTarget } from './api';
import { AT_ONCE, verify } from './dialed-list';

/** A list that is ready to be dialed: the read models show it, too. */
export async function aList(api: Client, count: number): Promise<Outdial> {
  const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 2 });
  for (let left = count; left > 0; left -= 5000) {
    await outdial.addAll(Array.from({ length: Math.min(left, 5000) }, () => ({ destination: tel(nextPhone()) })));
  }
  await eventually(async () => expect((await outdial.progress()).callable).toBe(count));
  return outdial;
}

/** Dials until nothing is left. Whatever is refused, or breaks off, is asked again under the same key, of the next gateway. */
export async function dial(
  apis: readonly Client[],
  outdial: Outdial,
  name: string,
  attempts: Map<string, WireLease>,
  { limit = 5, idle = 0 } = {},
): Promise<void> {
  let asked = 0;
  const ask = async <T>(path: string, body: object, key: string): Promise<T> => {
    for (let tries = 0; ; tries += 1) {
      const api = apis[asked % apis.length];
      if (api === undefined) throw new Error('nobody to ask');
      const answer = await api
        .post<T>(`${outdial.path}/${path}`, body, { headers: { 'idempotency-key': key } })
        .catch((error: unknown) => (tries > 400 ? Promise.reject(error as Error) : null));
      if (answer !== null && (answer.status !== 503 || tries > 400)) return bodyOf(answer);
      if (answer !== null) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      asked += 1;
      await pause(200);
    }
  };
  for (let round = 0, empty = 0; ; round += 1) {
    const { result } = await ask<{ result: readonly WireLease[] }>('leases', { limit, dialer: name }, `${name}-${round}-leases`);
    empty = result.length === 0 ? empty + 1 : 0;
    // What another one holds may come back: a busy line is due again at once.
    if (empty > idle) return;
    if (empty > 0) {
      await pause(100);
      continue;
    }
    for (const lease of result) {
      if (attempts.has(lease.attempt_id)) throw new Error(`${lease.attempt_id} was handed out twice`);
      attempts.set(lease.attempt_id, lease);
    }
    const outcomes = result.map(({ attempt_id, target_id }, at) => ({ attempt_id, target_id, outcome: at % 2 ? 'busy' : 'answered' }));
    await ask('outcomes', { outcomes }, `${name}-${round}-outcomes`);
  }
}

/** The read models as they must be, from the raw events alone: no projection, and no code of the service, has a part in it. */
async function foldOf(outdial: Outdial): Promise<{ statuses: Record<string, number>; outcomes: Record<string, number> }> {
  const statuses: Record<string, number> = { idle: 0, progressing: 0, done: 0 };
  const outcomes: Record<string, number> = {};
  const targets = [...(await listAll<WireTarget>(outdial.api, `${outdial.path}/targets`))];
  const one = async ({ id }: WireTarget): Promise<void> => {
    const { result } = bodyOf(await outdial.api.get<{ result: readonly RawEvent[] }>(`${outdial.path}/targets/${id}/events`));
    const status = result.findLast(({ data }) => data.change !== undefined)?.data.change?.after?.status ?? 'idle';
    statuses[status] = (statuses[status] ?? 0) + 1;
    const ended = new Map<string, string>();
    for (const { type, data } of result) {
      if (type === 'DialAttemptStarted' && data.attempt) ended.set(data.attempt.attempt_id, 'under_way');
      if (type === 'LeaseExpired' && data.attempt_id) ended.set(data.attempt_id, 'unknown');
      if (data.attempt_id && data.outcome) ended.set(data.attempt_id, data.outcome);
    }
    for (const outcome of ended.values()) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  };
  for (let at = 0; at < targets.length; at += 16) await Promise.all(targets.slice(at, at + 16).map(one));
  return { statuses, outcomes };
}

interface RawEvent {
  readonly type: string;
  readonly data: {
    readonly attempt_id?: string;
    readonly attempt?: { readonly attempt_id: string };
    readonly outcome?: string;
    readonly change?: { readonly after?: { readonly status: string } | null };
  };
}

/**
 * The record holds, the read models equal a fold of it that was computed apart from them, and each attempt that was handed out is in it exactly once, with what was
 * reported of it.
 */
export async function holds(outdial: Outdial, attempts: ReadonlyMap<string, WireLease>): Promise<void> {
  const { api } = outdial;
  await eventually(async () =>
    expect(await verify(api, outdial)).toMatchObject({ consistent: true, differences: [], chain: { ok: true } }),
  );
  const fold = await foldOf(outdial);
  await eventually(async () => {
    const { targets, attempts: counted } = await outdial.progress();
    const { total: _, ...statuses } = targets;
    expect(statuses).toEqual(fold.statuses);
    expect(Object.fromEntries(Object.entries(counted.by_outcome).filter(([, count]) => count > 0))).toEqual(fold.outcomes);
  });
  expect(await differences(outdial)).toEqual([]);
  const { result } = bodyOf(await api.get<{ result: readonly { attempt_id: string; outcome: string | null }[] }>(`${outdial.path}/audit`));
  const recorded = new Map(result.map(({ attempt_id, outcome }) => [attempt_id, outcome]));
  expect(recorded.size).toBe(result.length);
  expect([...attempts.keys()].filter((id) => !recorded.has(id))).toEqual([]);
  // A lease whose append was in doubt for longer than its request could wait was told to nobody: nobody dials it, and it ends by its time.
  const unheard = result.filter(({ attempt_id }) => !attempts.has(attempt_id));
  expect(unheard.filter(({ outcome }) => outcome !== null && outcome !== 'unknown')).toEqual([]);
}
