import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, Lease, Outcome } from '#client';

/** What simulated callees do, as shares of 1; the rest does not answer. */
const HABITS: readonly (readonly [outcome: string, share: number])[] = [
  ['answered', 0.34],
  ['busy', 0.2],
  ['machine', 0.08],
  ['failed', 0.05],
  ['rejected', 0.03],
  ['invalid_number', 0.02],
];

export interface DialerOptions {
  readonly client: Client;
  readonly outdialId: string;
  readonly dialers: number;
  /** Leases a request. */
  readonly batch: number;
  /** How long the calls of a batch last, at most. */
  readonly callMillis: number;
  readonly leaseSeconds: number;
}

export interface Dialers {
  /** What the dialers themselves saw, by outcome. `unknown`: leases that were lost and must have expired. */
  readonly counted: ReadonlyMap<string, number>;
  /** A dialer that crashes while it holds leases: nobody will report those. */
  crashOne(): void;
  /** Until the last dialer has stopped; rejects with the first error that one met. */
  readonly working: Promise<unknown>;
  /** Lets calls under way end. */
  stop(): Promise<unknown>;
}

/** Sets simulated dialers to work: each leases targets, "calls" them, reports what came of it, and begins again until it is stopped. */
export function startDialers(options: DialerOptions): Dialers {
  const counted = new Map<string, number>();
  const count = (outcome: string, by: number): void => void counted.set(outcome, (counted.get(outcome) ?? 0) + by);
  let stopped = false;
  let crashes = 0;

  async function dial(dialer: string): Promise<void> {
    while (!stopped) {
      const leases = await lease(options, dialer);
      if (leases.length > 0 && crashes > 0) {
        crashes--;
        count('unknown', leases.length);
        return;
      }
      const reports = leases.map(call);
      await sleep(leases.length > 0 ? Math.random() * options.callMillis : 100);
      await report(options, reports);
      for (const { outcome } of reports) count(outcome, 1);
    }
  }

  const working = Promise.all(Array.from({ length: options.dialers }, (_, n) => dial(`dialer-${n + 1}`)));
  return {
    counted,
    working,
    crashOne: () => {
      crashes++;
    },
    stop: () => {
      stopped = true;
      return working;
    },
  };
}

async function lease({ client, outdialId, batch, leaseSeconds }: DialerOptions, dialer: string): Promise<readonly Lease[]> {
  const request = { limit: batch, dialer, lease_seconds: leaseSeconds };
  const { result } = await client.claim(outdialId, request);
  return result;
}

async function report({ client, outdialId }: DialerOptions, outcomes: readonly Outcome[]): Promise<void> {
  if (outcomes.length === 0) return;
  const result = await client.report(outdialId, outcomes);
  // On a machine that is busy elsewhere a lease may expire under its dialer: its report is late then, but it counts.
  const lost = result.find((row) => row.result !== 'recorded' && row.result !== 'late');
  if (lost !== undefined) throw new Error(`the report on attempt ${lost.attempt_id} is ${lost.result}`);
}

/** The same number answers alike at the same try in every run, whoever dials it and when. */
function call({ attempt_id, target_id, destination, try_count }: Lease): Outcome {
  const hash = createHash('sha256').update(`${destination.target} ${try_count}`).digest();
  let left = hash.readUInt32BE(0) / 2 ** 32;
  const habit = HABITS.find(([, share]) => (left -= share) < 0);
  return { attempt_id, target_id, outcome: habit?.[0] ?? 'no_answer' };
}
