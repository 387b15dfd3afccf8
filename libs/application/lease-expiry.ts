import { attemptUnderWay, decideTarget, streamOf } from '#dialing';
import type { Micros, Target } from '#dialing';
import { expiringLeases } from '#read-models';
import { derivedId } from './derived-id';
import { LeaseQueue } from './lease-queue';
import type { OpenLease } from './lease-queue';
import type { RequestContext } from './request';
import type { Services } from './services';
import { TARGET } from './streams';
import type { Committed, Job, Known } from './streams';

/** How often the queue is looked at: an expiry is appended within a second of tm_expire (the API contract, Dialing). */
const TICK_MILLIS = 200;
/** Expiries a round: a crashed dialer fleet leaves thousands, and other requests go on meanwhile. */
const ROUND = 500;
const PAGE = 1000;

/** Who expiries are appended by. */
const systemContext = (customerId: string, commandId: string): RequestContext => ({
  customerId,
  actor: 'system',
  admin: false,
  requestId: commandId,
  commandId,
});

/**
 * Ends the leases that nobody reported on. The event, not the timer, is the fact: whether a lease has expired is decided again at the append, so that a report or
 * an extension that came first wins, and two expirers do no harm. After a restart the open leases are read from the read model; nothing is lost with the process.
 */
export class LeaseExpiry {
  private readonly queue = new LeaseQueue();
  private stopped = false;
  private cancelTick: () => void = () => undefined;
  private round: Promise<void> = Promise.resolve();

  constructor(private readonly services: Services) {
    services.streams.onCommitted((committed) => {
      this.committed(committed);
    });
  }

  /** Begins with the leases that are open in the read models, which must have caught up with the log. */
  async start(): Promise<void> {
    let after: { readonly expire: Micros; readonly id: string } | undefined;
    for (;;) {
      const { targets } = await expiringLeases(this.services.ports.reads, {
        upTo: Number.MAX_SAFE_INTEGER,
        limit: PAGE,
        ...(after ? { after } : {}),
      });
      for (const { state } of targets) this.note(state);
      const last = targets.at(-1)?.state;
      const attempt = last ? attemptUnderWay(last) : null;
      if (targets.length < PAGE || !last || !attempt) break;
      after = { expire: attempt.tmExpire, id: last.id };
    }
    this.tick();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelTick();
    await this.round;
  }

  private committed(committed: readonly Committed[]): void {
    for (const { kind, known } of committed) {
      // TARGET streams fold to targets; the list of committed streams is of mixed kinds.
      if (kind === TARGET) this.note((known as Known<Target>).state);
    }
  }

  private note(target: Target | null): void {
    const attempt = target && attemptUnderWay(target);
    if (attempt)
      this.queue.add({
        expires: attempt.tmExpire,
        outdialId: target.outdialId,
        targetId: target.id,
        attemptId: attempt.attemptId,
        customerId: target.customerId,
      });
  }

  private tick(): void {
    if (this.stopped) return;
    this.cancelTick = this.services.ports.scheduler.after(TICK_MILLIS, () => {
      this.round = this.expireDue()
        .catch((error: unknown) => {
          this.services.ports.log.error({ error }, 'leases could not be expired; trying again');
        })
        .finally(() => {
          this.tick();
        });
    });
  }

  private async expireDue(): Promise<void> {
    while (!this.stopped) {
      const now = this.services.ports.clock.now();
      const due = this.queue.take(now - this.services.ports.clockSkew * 1000, ROUND);
      if (due.length === 0) return;
      await this.expire(due, now);
    }
  }

  private async expire(due: readonly OpenLease[], now: Micros): Promise<void> {
    const byCustomer = new Map<string, OpenLease[]>();
    for (const lease of due) byCustomer.set(lease.customerId, [...(byCustomer.get(lease.customerId) ?? []), lease]);
    for (const [customerId, leases] of byCustomer) {
      const commandId = derivedId(EXPIRY, leases.map(({ attemptId }) => attemptId).join());
      const outcomes = await this.services.streams.run(
        leases.map((lease) => expiryJob(lease, now)),
        { context: systemContext(customerId, commandId) },
      );
      outcomes.forEach((outcome, at) => {
        const lease = leases[at];
        if (!lease || outcome.ok) return;
        this.services.ports.log.warn({ error: outcome.error, target_id: lease.targetId }, 'a lease could not be expired; trying again');
        this.queue.add({ ...lease, expires: now + 1_000_000 });
      });
    }
  }
}

/** Namespace of the command ids of expiries: the same leases expired twice are the same command. */
const EXPIRY = '6f1c1f0e-6f0a-5a55-9b5e-0d8f0f3a7c11';

function expiryJob({ outdialId, targetId, attemptId }: OpenLease, now: Micros): Job<Target, null> {
  return {
    stream: streamOf.target(outdialId, targetId),
    kind: TARGET,
    decide: ({ state }) => ({ events: state ? decideTarget({ type: 'ExpireLease', now, attemptId }, state) : [], result: () => null }),
  };
}
