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
  fresh: false,
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
  /** Attempts that were looked after and that the read models still show as due. */
  private readonly settled = new Set<string>();

  /** `watches`: the leases are other processes', and are learned of from the read models as they fall due; else they are this process's own. */
  constructor(
    private readonly services: Services,
    private readonly watches = false,
  ) {
    if (watches) return;
    services.streams.onCommitted((committed) => {
      this.committed(committed);
    });
  }

  /** Begins with the leases that are open in the read models, which must have caught up with the log. */
  async start(): Promise<void> {
    if (!this.watches) await this.noteOpen();
    this.tick();
  }

  private async noteOpen(): Promise<void> {
    let after: { readonly expire: Micros; readonly id: string } | undefined;
    for (;;) {
      const { targets } = await expiringLeases(this.services.ports.reads, {
        upTo: Number.MAX_SAFE_INTEGER,
        limit: PAGE,
        ...(after ? { after } : {}),
      });
      // What was leased or reported meanwhile is known better already.
      for (const { state } of targets) if (!this.queue.has(state.id)) this.note(state);
      const last = targets.at(-1)?.state;
      const attempt = last ? attemptUnderWay(last) : null;
      if (targets.length < PAGE || !last || !attempt) break;
      after = { expire: attempt.tmExpire, id: last.id };
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelTick();
    await this.round;
  }

  private committed(committed: readonly Committed[]): void {
    for (const { kind, known } of committed) {
      // TARGET streams fold to targets; the list of committed streams is of mixed kinds.
      const target = kind === TARGET ? (known as Known<Target>).state : null;
      if (target) this.note(target);
    }
  }

  private note(target: Target): void {
    const attempt = attemptUnderWay(target);
    if (attempt === null) this.queue.remove(target.id);
    else
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
      const upTo = now - this.services.ports.clockSkew * 1000;
      if (this.watches) await this.noteDue(upTo);
      const due = this.queue.take(upTo, ROUND);
      if (due.length === 0) return;
      await this.expire(due, now);
    }
  }

  /** Takes up the leases that the read models show as due, but for those that were just ended: what they show lags a little behind. */
  private async noteDue(upTo: Micros): Promise<void> {
    const { targets } = await expiringLeases(this.services.ports.reads, { upTo, limit: ROUND + this.settled.size });
    const shown = new Set(targets.map(({ state }) => attemptUnderWay(state)?.attemptId ?? ''));
    for (const attemptId of this.settled) if (!shown.has(attemptId)) this.settled.delete(attemptId);
    for (const { state } of targets) if (!this.settled.has(attemptUnderWay(state)?.attemptId ?? '')) this.note(state);
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
        if (!lease) return;
        if (this.watches) this.settled.add(lease.attemptId);
        if (outcome.ok) return;
        this.services.ports.log.warn({ error: outcome.error, target_id: lease.targetId }, 'a lease could not be expired; trying again');
        // Unless it has ended after all and the target is leased anew.
        if (!this.queue.has(lease.targetId)) this.queue.add({ ...lease, expires: now + 1_000_000 });
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
