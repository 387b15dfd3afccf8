import { Command, CommandHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IQueryHandler } from '@nestjs/cqrs';
import { attemptUnderWay, classifyLease, classifyReport, conflict, decideTarget, notFound, OutdialError, streamOf } from '#dialing';
import type {
  Attempt,
  DestinationIndex,
  DialPolicy,
  DoneReason,
  LeaseResult,
  Micros,
  Outdial,
  ReportedOutcome,
  ReportResult,
  Target,
  TargetStatus,
} from '#dialing';
import { StoreUnavailable } from '#event-store';
import type { Position } from '#event-store';
import { openAttempts } from '#read-models';
import { derivedId } from './derived-id';
import type { Candidate } from './hopper';
import { candidateOf } from './hoppers';
import type { Page, PageRequest, RequestContext, Versioned } from './request';
import { Services, targetNotFound } from './services';
import { TARGET } from './streams';
import type { Job, Known } from './streams';

/** An attempt as it was started, with the target it belongs to. */
export interface Lease {
  readonly target: Target;
  readonly attempt: Attempt;
}
/** POST leases. `leaseSeconds` null: the outplan's dial_timeout plus 30 s. `outplanId`: the lease's own, which only narrows. */
export class ClaimTargets extends Command<{
  readonly leases: readonly Lease[];
  readonly nextCallableAt: Micros | null;
  readonly position: Position | null;
}> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly limit: number,
    readonly dialer: string,
    readonly leaseSeconds: number | null,
    readonly outplanId: string | null,
  ) {
    super();
  }
}
export interface OutcomeReport {
  readonly attemptId: string;
  readonly targetId: string;
  readonly outcome: ReportedOutcome;
  readonly disposition: string | null;
  readonly detail: string | null;
  readonly tmEnd: Micros | null;
}
export interface ReportFate {
  readonly attemptId: string;
  readonly result: ReportResult;
  readonly status: TargetStatus | null;
  readonly doneReason: DoneReason | null;
}
/** POST outcomes: in order; a fate each. (Rows that do not validate never get here.) */
export class RecordOutcomes extends Command<{ readonly fates: readonly ReportFate[]; readonly position: Position | null }> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly reports: readonly OutcomeReport[],
  ) {
    super();
  }
}
export interface LeaseRef {
  readonly attemptId: string;
  readonly targetId: string;
}
/** POST leases/extend (with `leaseSeconds`) and leases/release (null). */
export class ChangeLeases extends Command<{
  readonly fates: readonly { readonly attemptId: string; readonly result: LeaseResult }[];
  readonly position: Position | null;
}> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly attempts: readonly LeaseRef[],
    readonly change: { readonly kind: 'extend'; readonly leaseSeconds: number | null } | { readonly kind: 'release' },
  ) {
    super();
  }
}
/** POST targets/{id}/attempts: 409 NOT_CALLABLE with the reason in its details. */
export class RecordDialAttempt extends Command<Versioned<Target> & { readonly attempt: Attempt }> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
    readonly dialer: string,
    readonly destinationIndex: DestinationIndex | null,
    readonly leaseSeconds: number | null,
  ) {
    super();
  }
}
/** PUT targets/{id}/attempts/{attempt_id}: 409 STALE_ATTEMPT, 404 ATTEMPT_NOT_FOUND. */
export class RecordOutcome extends Command<Versioned<Target> & { readonly result: ReportResult }> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly report: OutcomeReport,
  ) {
    super();
  }
}
/** GET targets/{id}/attempts: all, oldest first. */
export class ListAttempts extends Query<readonly { readonly attempt: Attempt; readonly target: Target }[]> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
  ) {
    super();
  }
}
/** GET outdials/{id}/attempts?open=true: leases under way, by tm_expire; page.after.value is a tm_expire here. */
export class ListOpenAttempts extends Query<Page<Lease>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly dialer: string | null,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** What a lease lasts beyond its outplan's dial_timeout when the dialer does not say. */
const GRACE_MILLIS = 30_000;

const latest = (one: Position | null, other: Position | null): Position | null =>
  one === null || (other !== null && other > one) ? other : one;

// ---------------------------------------------------------------- claiming

interface Claim {
  readonly context: RequestContext;
  readonly outdial: Outdial;
  readonly policy: DialPolicy;
  /** The lease's own outplan: it only narrows. */
  readonly allow: DialPolicy | null;
  readonly dialer: string;
  readonly leaseMillis: number;
  readonly now: Micros;
}

/** What a claim under an Idempotency-Key notes before each append: run again after a crash, it finds its own attempts instead of taking others. */
interface Chosen {
  readonly targetId: string;
  readonly attemptId: string;
}

interface Claimed {
  readonly known: Known<Target>;
  readonly lease: Lease | null;
}

interface Round {
  readonly leases: readonly Lease[];
  readonly after: ReadonlyMap<string, Candidate | null>;
  readonly position: Position | null;
  /** Of those whose append failed; and which they are. */
  readonly failure: Error | null;
  readonly doubtful: readonly Chosen[];
}

function claimJob(claim: Claim, targetId: string, attemptId: string, known: Known<Target> | null): Job<Target, Claimed> {
  const { context, outdial, policy, allow, dialer, leaseMillis, now } = claim;
  return {
    stream: streamOf.target(outdial.id, targetId),
    kind: TARGET,
    ...(known ? { known } : {}),
    decide: ({ state }) => {
      const result = (after: Known<Target>): Claimed => ({ known: after, lease: leaseOf(after.state, attemptId) });
      if (state?.customerId !== context.customerId || state.attempts.some((attempt) => attempt.attemptId === attemptId)) {
        return { events: [], result };
      }
      try {
        const command = { type: 'RecordDialAttempt', now, attemptId, dialer, leaseMillis, policy, ...(allow ? { allow } : {}) } as const;
        return { events: decideTarget(command, state), result };
      } catch (error) {
        // Somebody was faster, or it is not due any more: the claim takes another one.
        if (error instanceof OutdialError && error.status === 'CONFLICT') return { events: [], result };
        throw error;
      }
    },
  };
}

function leaseOf(target: Target | null, attemptId: string): Lease | null {
  const attempt = target?.attempts.findLast((one) => one.attemptId === attemptId);
  return target && attempt ? { target, attempt } : null;
}

@CommandHandler(ClaimTargets)
export class ClaimTargetsHandler implements ICommandHandler<ClaimTargets> {
  constructor(private readonly services: Services) {}

  async execute(
    command: ClaimTargets,
  ): Promise<{ readonly leases: readonly Lease[]; readonly nextCallableAt: Micros | null; readonly position: Position | null }> {
    const { context, outdialId, limit, dialer, leaseSeconds, outplanId } = command;
    const { state: outdial } = await this.services.outdial(context, outdialId);
    const policy = await this.services.policyOf(outdial);
    const allow = outplanId === null ? null : await this.services.namedPolicy(context, outplanId);
    if (outdial.mode !== 'active' || outdial.tmDelete !== null) return { leases: [], nextCallableAt: null, position: null };
    const leaseMillis = leaseSeconds === null ? policy.dialTimeout + GRACE_MILLIS : leaseSeconds * 1000;
    const claim: Claim = { context, outdial, policy, allow, dialer, leaseMillis, now: this.services.ports.clock.now() };
    const leases: Lease[] = [];
    const chosen: Chosen[] = context.intent?.noted ? readChosen(context.intent.noted) : [];
    let position: Position | null = null;
    if (chosen.length > 0) position = await this.again(claim, chosen, leases);
    position = latest(position, await this.claim(claim, limit, chosen, leases));
    this.services.wrote(context, outdialId, position);
    return { leases, nextCallableAt: await this.services.hoppers.of(outdialId).nextDue(), position };
  }

  /** Takes candidates until the limit is reached or nothing more is due. What another claim was faster with is replaced by the next. */
  private async claim(claim: Claim, limit: number, chosen: Chosen[], leases: Lease[]): Promise<Position | null> {
    const hopper = this.services.hoppers.of(claim.outdial.id);
    const unsettled = new Map<string, Candidate | null>();
    let position: Position | null = null;
    try {
      while (leases.length < limit) {
        const taken = await hopper.take(limit - leases.length, claim.now);
        if (taken.length === 0) break;
        for (const candidate of taken) unsettled.set(candidate.targetId, candidate);
        const round = await this.round(claim, taken, chosen);
        position = latest(position, round.position);
        leases.push(...round.leases);
        for (const [targetId, candidate] of round.after) {
          unsettled.set(targetId, candidate);
          // Due and yet not dialed: the lease's own outplan passes it over. It is offered again when this claim is through, or it would be taken for ever.
          if (candidate !== null && candidate.due <= claim.now) continue;
          unsettled.delete(targetId);
          hopper.settle(targetId, candidate);
        }
        if (!claim.context.intent)
          this.services.doubtful.releaseLater(
            claim.context,
            round.doubtful.map((one) => ({ outdialId: claim.outdial.id, ...one })),
          );
        // What was won is answered; only a claim that won nothing reports that the store is away.
        if (round.failure !== null && leases.length === 0) throw round.failure;
        if (round.failure !== null) break;
      }
    } finally {
      for (const [targetId, candidate] of unsettled) hopper.settle(targetId, candidate);
    }
    return position;
  }

  /** Decides and appends the claim of each candidate. `after`: what each of them is now, where that is known. */
  private async round(claim: Claim, taken: readonly Candidate[], chosen: Chosen[]): Promise<Round> {
    const picked = taken.map(({ targetId }) => ({ targetId, attemptId: this.services.ports.randomness.uuid() }));
    if (claim.context.intent) {
      chosen.push(...picked);
      await claim.context.intent.note(JSON.stringify(chosen));
    }
    const jobs = picked.map(({ targetId, attemptId }, at) => claimJob(claim, targetId, attemptId, taken[at]?.known ?? null));
    const outcomes = await this.services.streams.run(jobs, { context: claim.context });
    const after = new Map<string, Candidate | null>();
    const leases: Lease[] = [];
    let position: Position | null = null;
    const doubtful: Chosen[] = [];
    let failure: Error | null = null;
    outcomes.forEach((outcome, at) => {
      const targetId = picked[at]?.targetId ?? '';
      if (!outcome.ok) {
        if (outcome.error instanceof StoreUnavailable) doubtful.push(picked[at] ?? { targetId, attemptId: '' });
        failure = outcome.error instanceof Error ? outcome.error : new Error(String(outcome.error));
        return;
      }
      position = latest(position, outcome.position);
      if (outcome.result.lease) leases.push(outcome.result.lease);
      after.set(targetId, candidateOf(outcome.result.known));
    });
    return { leases, after, position, failure, doubtful };
  }

  /** The same request, run again after a crash: the attempts it had chosen are appended if they are not there, and answered as they were. */
  private async again(claim: Claim, chosen: readonly Chosen[], leases: Lease[]): Promise<Position | null> {
    const jobs = chosen.map(({ targetId, attemptId }) => claimJob(claim, targetId, attemptId, null));
    const outcomes = await this.services.streams.run(jobs, { context: claim.context });
    let position: Position | null = null;
    for (const outcome of outcomes) {
      if (!outcome.ok) throw outcome.error;
      position = latest(position, outcome.position);
      if (outcome.result.lease) leases.push(outcome.result.lease);
    }
    return position;
  }
}

const readChosen = (noted: string): Chosen[] => JSON.parse(noted) as Chosen[];

@CommandHandler(RecordDialAttempt)
export class RecordDialAttemptHandler implements ICommandHandler<RecordDialAttempt> {
  constructor(private readonly services: Services) {}

  async execute(command: RecordDialAttempt): Promise<Versioned<Target> & { readonly attempt: Attempt }> {
    const { context, outdialId, targetId, dialer, destinationIndex, leaseSeconds } = command;
    const { state: outdial } = await this.services.outdial(context, outdialId);
    const policy = await this.services.policyOf(outdial);
    const now = this.services.ports.clock.now();
    const attemptId = derivedId(context.commandId, `attempt ${targetId}`);
    const leaseMillis = leaseSeconds === null ? policy.dialTimeout + GRACE_MILLIS : leaseSeconds * 1000;
    const { result, position } = await this.services.streams.runOne(
      {
        stream: streamOf.target(outdialId, targetId),
        kind: TARGET,
        decide: ({ state }) => {
          if (!state) throw targetNotFound(targetId);
          const answer = (after: Known<Target>): Known<Target> => after;
          // The id derives from the command: it is there already when this very request ran before a crash.
          if (state.attempts.some((attempt) => attempt.attemptId === attemptId)) return { events: [], result: answer };
          refuseUnlessActive(outdial, targetId);
          const asked = { type: 'RecordDialAttempt', now, attemptId, dialer, leaseMillis, policy } as const;
          const events = decideTarget(destinationIndex === null ? asked : { ...asked, destinationIndex }, state);
          return { events, result: answer };
        },
      },
      { context },
    );
    this.services.wrote(context, outdialId, position);
    const lease = leaseOf(result.state, attemptId);
    // Today's limits left nothing to dial: the decider ended the target instead of leasing it.
    if (!lease) throw notCallableNow(targetId, 'limit_reached');
    return { value: lease.target, revision: result.head.revision, position, attempt: lease.attempt };
  }
}

const notCallableNow = (targetId: string, reason: string): OutdialError =>
  conflict('NOT_CALLABLE', `The target ${targetId} cannot be dialed now: ${reason}.`, [{ field: 'target_id', reason }]);

function refuseUnlessActive(outdial: Outdial, targetId: string): void {
  if (outdial.tmDelete !== null) throw notCallableNow(targetId, 'deleted');
  if (outdial.mode !== 'active') throw notCallableNow(targetId, outdial.mode);
}

// ---------------------------------------------------------------- reporting

function reportJob(
  context: RequestContext,
  outdialId: string,
  report: OutcomeReport,
  now: Micros,
): Job<Target, ReportFate & { readonly known: Known<Target> }> {
  const { attemptId, targetId, outcome, disposition, detail: note, tmEnd } = report;
  const command = { type: 'RecordOutcome', now, attemptId, outcome, disposition, note, tmEnd } as const;
  return {
    stream: streamOf.target(outdialId, targetId),
    kind: TARGET,
    decide: ({ state }) => {
      const mine = state?.customerId === context.customerId ? state : null;
      const classified = classifyReport(mine, command);
      const changes = classified === 'recorded' || classified === 'late';
      return {
        events: changes ? decideTarget(command, mine) : [],
        result: (known) => ({
          attemptId,
          result: classified,
          status: mine && known.state ? known.state.status : null,
          doneReason: mine && known.state ? known.state.doneReason : null,
          known,
        }),
      };
    },
  };
}

@CommandHandler(RecordOutcomes)
export class RecordOutcomesHandler implements ICommandHandler<RecordOutcomes> {
  constructor(private readonly services: Services) {}

  async execute({
    context,
    outdialId,
    reports,
  }: RecordOutcomes): Promise<{ readonly fates: readonly ReportFate[]; readonly position: Position | null }> {
    await this.services.outdial(context, outdialId);
    const now = this.services.ports.clock.now();
    const jobs = reports.map((report) => reportJob(context, outdialId, report, now));
    const outcomes = await this.services.streams.run(jobs, { context });
    let position: Position | null = null;
    const fates = outcomes.map((outcome): ReportFate => {
      // All or some may be recorded by now; sent again, the recorded ones are `repeated`.
      if (!outcome.ok) throw outcome.error;
      position = latest(position, outcome.position);
      const { attemptId, result, status, doneReason } = outcome.result;
      return { attemptId, result, status, doneReason };
    });
    this.services.wrote(context, outdialId, position);
    return { fates, position };
  }
}

@CommandHandler(RecordOutcome)
export class RecordOutcomeHandler implements ICommandHandler<RecordOutcome> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, report }: RecordOutcome): Promise<Versioned<Target> & { readonly result: ReportResult }> {
    await this.services.target(context, outdialId, report.targetId);
    const job = reportJob(context, outdialId, report, this.services.ports.clock.now());
    const { result: fate, position } = await this.services.streams.runOne(job, { context });
    this.services.wrote(context, outdialId, position);
    const { state, head } = fate.known;
    if (!state) throw targetNotFound(report.targetId);
    if (fate.result === 'not_found') throw notFound('ATTEMPT_NOT_FOUND', `The target has no attempt ${report.attemptId}.`);
    if (fate.result === 'stale') {
      throw conflict(
        'STALE_ATTEMPT',
        `The attempt ${report.attemptId} has been reported already, or was superseded: nothing was changed.`,
        [{ field: 'attempt_id', reason: 'stale', value: report.attemptId }],
      );
    }
    return { value: state, revision: head.revision, position, result: fate.result };
  }
}

// ---------------------------------------------------------------- extending, releasing

type LeaseFate = { readonly attemptId: string; readonly result: LeaseResult };

function leaseJob(
  services: Services,
  command: ChangeLeases,
  policy: DialPolicy,
  { attemptId, targetId }: LeaseRef,
): Job<Target, LeaseFate> {
  const { context, outdialId, change } = command;
  const now = services.ports.clock.now();
  const asked =
    change.kind === 'release'
      ? ({ type: 'ReleaseLease', now, attemptId } as const)
      : ({
          type: 'ExtendLease',
          now,
          attemptId,
          leaseMillis: change.leaseSeconds === null ? policy.dialTimeout + GRACE_MILLIS : change.leaseSeconds * 1000,
        } as const);
  return {
    stream: streamOf.target(outdialId, targetId),
    kind: TARGET,
    decide: ({ state }) => {
      const mine = state?.customerId === context.customerId ? state : null;
      const result = classifyLease(mine, asked);
      const changes = result === 'extended' || result === 'released';
      return { events: changes ? decideTarget(asked, mine) : [], result: () => ({ attemptId, result }) };
    },
  };
}

@CommandHandler(ChangeLeases)
export class ChangeLeasesHandler implements ICommandHandler<ChangeLeases> {
  constructor(private readonly services: Services) {}

  async execute(command: ChangeLeases): Promise<{ readonly fates: readonly LeaseFate[]; readonly position: Position | null }> {
    const { context, outdialId, attempts } = command;
    const { state: outdial } = await this.services.outdial(context, outdialId);
    const policy = await this.services.policyOf(outdial);
    const jobs = attempts.map((attempt) => leaseJob(this.services, command, policy, attempt));
    const outcomes = await this.services.streams.run(jobs, { context });
    let position: Position | null = null;
    const fates = outcomes.map((outcome) => {
      if (!outcome.ok) throw outcome.error;
      position = latest(position, outcome.position);
      return outcome.result;
    });
    this.services.wrote(context, outdialId, position);
    return { fates, position };
  }
}

// ---------------------------------------------------------------- asking

@QueryHandler(ListAttempts)
export class ListAttemptsHandler implements IQueryHandler<ListAttempts> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, targetId }: ListAttempts): Promise<readonly Lease[]> {
    const { state: target } = await this.services.target(context, outdialId, targetId);
    return target.attempts.map((attempt) => ({ attempt, target }));
  }
}

@QueryHandler(ListOpenAttempts)
export class ListOpenAttemptsHandler implements IQueryHandler<ListOpenAttempts> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, dialer, page }: ListOpenAttempts): Promise<Page<Lease>> {
    await this.services.outdial(context, outdialId);
    await this.services.fresh(context, outdialId);
    const { targets, nextPageToken } = await openAttempts(this.services.ports.reads, {
      outdialId,
      ...page,
      ...(dialer === null ? {} : { dialer }),
    });
    const leases = targets.flatMap(({ state: target }) => {
      const attempt = attemptUnderWay(target);
      return attempt ? [{ target, attempt }] : [];
    });
    return { items: leases, nextPageToken };
  }
}

export const DIALING_HANDLERS = [
  ClaimTargetsHandler,
  RecordDialAttemptHandler,
  RecordOutcomesHandler,
  RecordOutcomeHandler,
  ChangeLeasesHandler,
  ListAttemptsHandler,
  ListOpenAttemptsHandler,
];
