import { bodyOf, newOutdial, nextPhone, tel } from './api';
import type { Client, Outdial, WireLease } from './api';

export const AT_ONCE = { try_interval: 0 };
const OUTCOMES = ['answered', 'busy', 'no_answer', 'failed'] as const;
/** What the dialers kept themselves of each attempt. */
export interface Kept {
  readonly target: string;
  readonly number: string;
  readonly outcome: string;
}

async function dial(api: Client, outdial: Outdial): Promise<ReadonlyMap<string, Kept>> {
  const kept = new Map<string, Kept>();
  for (let n = 0; ; n += 1) {
    const { result } = bodyOf(
      await api.post<{ result: readonly WireLease[] }>(`${outdial.path}/leases`, { limit: 20, dialer: `d${n % 3}` }),
    );
    if (result.length === 0) return kept;
    const outcomes = result.map((lease, at) => {
      const outcome = OUTCOMES[(n + at * 7) % OUTCOMES.length] ?? 'busy';
      kept.set(lease.attempt_id, { target: lease.target_id, number: lease.destination.target, outcome });
      return { attempt_id: lease.attempt_id, target_id: lease.target_id, outcome };
    });
    bodyOf(await api.post(`${outdial.path}/outcomes`, { outcomes }));
  }
}

export async function aDialedList(api: Client): Promise<{ outdial: Outdial; kept: ReadonlyMap<string, Kept> }> {
  const outdial = await newOutdial(api, { name: '<script>alert(1)</script> & co' }, { ...AT_ONCE, max_try_count_0: 2, max_try_count_1: 1 });
  await outdial.addAll(
    Array.from({ length: 30 }, (_, n) => ({
      external_id: `crm-${n}`,
      name: n === 0 ? '=cmd|"<b>' : `name ${n}`,
      destination_0: tel(nextPhone()),
      destination_1: tel(nextPhone()),
    })),
  );
  return { outdial, kept: await dial(api, outdial) };
}

export interface Chain {
  readonly ok: boolean;
  readonly events: number;
  readonly flaws: readonly { readonly stream: string; readonly revision: number }[];
}
interface Verification {
  readonly consistent: boolean;
  readonly targets: number;
  readonly events: number;
  readonly differences: readonly { readonly id: string; readonly field: string }[];
  readonly chain: Chain;
}
export const verify = async (api: Client, outdial: Outdial): Promise<Verification> =>
  bodyOf(await api.get<Verification>(`${outdial.path}/audit/verify`));
