import { decideTarget, streamOf } from '#dialing';
import type { Target } from '#dialing';
import { derivedId } from './derived-id';
import type { Ports } from './engine';
import type { RequestContext } from './request';
import { TARGET } from './streams';
import type { Job, Streams } from './streams';

/** An attempt that was to be started; whether it was, the store did not say. */
export interface DoubtfulClaim {
  readonly outdialId: string;
  readonly targetId: string;
  readonly attemptId: string;
}

interface StillDoubtful {
  readonly claim: DoubtfulClaim;
  /** The store could not be asked. */
  readonly away: boolean;
}

/** When it is looked for, after the store stopped answering: also one that was still under way then is in the log, or never will be, by the last of them. */
const LOOKS_MILLIS = [1000, 4000, 10_000, 30_000];
/** Looks that fail because the store is still away are repeated as often as this. */
const MOST_LOOKS = 200;

/**
 * Releases leases that nobody was told of: the append of a claim whose outcome stayed unknown may have been made. Its target would be nobody's until the
 * lease expires. Not for claims under an Idempotency-Key: who sends that again is told of them.
 */
export class DoubtfulClaims {
  private stopped = false;

  constructor(
    private readonly ports: Pick<Ports, 'scheduler' | 'clock' | 'log'>,
    private readonly streams: Streams,
  ) {}

  releaseLater(context: RequestContext, claims: readonly DoubtfulClaim[]): void {
    if (claims.length > 0) this.look(context, claims, 0, 0);
  }

  stop(): void {
    this.stopped = true;
  }

  private look(context: RequestContext, claims: readonly DoubtfulClaim[], at: number, looks: number): void {
    const wait = LOOKS_MILLIS[at];
    if (wait === undefined || looks === MOST_LOOKS || this.stopped) return;
    this.ports.scheduler.after(wait, () => {
      void this.release(context, claims, looks).then((left) => {
        if (left.length > 0)
          this.look(
            context,
            left.map(({ claim }) => claim),
            left.some(({ away }) => away) ? at : at + 1,
            looks + 1,
          );
      });
    });
  }

  /** Answers those that were not found, or could not be looked for. */
  private async release(context: RequestContext, claims: readonly DoubtfulClaim[], looks: number): Promise<readonly StillDoubtful[]> {
    const commandId = derivedId(context.commandId, `release ${looks}`);
    const outcomes = await this.streams.run(
      claims.map((claim) => releaseJob(claim, this.ports.clock.now())),
      { context: { ...context, commandId } },
    );
    const left: StillDoubtful[] = [];
    claims.forEach((claim, at) => {
      const outcome = outcomes[at];
      if (!outcome?.ok) left.push({ claim, away: true });
      else if (!outcome.result) left.push({ claim, away: false });
      else this.ports.log.info({ target_id: claim.targetId }, 'a lease that nobody was told of was released');
    });
    return left;
  }
}

/** Result: whether the attempt was there. */
function releaseJob({ outdialId, targetId, attemptId }: DoubtfulClaim, now: number): Job<Target, boolean> {
  return {
    stream: streamOf.target(outdialId, targetId),
    kind: TARGET,
    decide: ({ state }) => {
      const there = state?.attempts.some((attempt) => attempt.attemptId === attemptId) ?? false;
      return { events: there && state ? decideTarget({ type: 'ReleaseLease', now, attemptId }, state) : [], result: () => there };
    },
  };
}
