import { Command, Query } from '@nestjs/cqrs';
import type {
  Attempt,
  DestinationIndex,
  DoneReason,
  LeaseResult,
  Micros,
  ReportedOutcome,
  ReportResult,
  Target,
  TargetStatus,
} from '#dialing';
import type { Position } from '#event-store';
import type { Page, PageRequest, RequestContext, Versioned } from './request';

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
