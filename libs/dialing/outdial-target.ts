import type { Address } from './address';
import type { DestinationIndex, Five } from './five';
import type { Outcome, ReportedOutcome } from './outcomes';
import type { DialPolicy } from './outplan';
import type { Micros } from './time';

// ---------------------------------------------------------------- words

export type TargetStatus = 'idle' | 'progressing' | 'done';
export type DoneReason = 'answered' | 'exhausted' | 'canceled';

/** A target's own limits: they win over its outplan's; null where it has none. */
export interface TargetLimits {
  readonly tryCountMax: number | null;
  readonly tryCountMaxes: Five<number | null>;
}

/**
 * What projections and streams need to know of a target before and after an event that changes it, so that neither needs
 * another document (architecture.md, rule 6).
 */
export interface Standing {
  readonly status: TargetStatus;
  readonly doneReason: DoneReason | null;
  readonly tryCounts: Five<number>;
  readonly exhausted: Five<boolean>;
  /** When an idle target may be dialed next; null when it is not idle, or deleted. */
  readonly due: Micros | null;
  readonly priority: number;
  /** Deleted with no attempt under way: it no longer counts. (While its last attempt runs a deleted target counts as existing.) */
  readonly gone: boolean;
}

// ---------------------------------------------------------------- events

/** `before` is null for a target that did not exist (or was gone and is added again). */
export interface Change {
  readonly before: Standing | null;
  readonly after: Standing;
}

export interface TargetProfile {
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly priority: number;
}

type Happened = { readonly tm: Micros; readonly outdialId: string; readonly targetId: string };

export type TargetEvent =
  /** `life` is 1, and one more each time a deleted target is added again: counts start afresh, attempts of earlier lives are history. */
  | (Happened & { readonly type: 'TargetAdded'; readonly customerId: string; readonly life: number; readonly externalId: string | null;
      readonly destinations: Five<Address | null>; readonly limits: TargetLimits; readonly change: Change } & TargetProfile)
  /** Only what changed. `due`: a call-back time set by hand. */
  | (Happened & { readonly type: 'TargetUpdated'; readonly change: Change; readonly changes: TargetChanges })
  | (Happened & { readonly type: 'DialAttemptStarted'; readonly change: Change; readonly attempt: StartedAttempt; readonly policy: PinnedPolicy })
  | (Happened & { readonly type: 'LeaseExtended'; readonly attemptId: string; readonly tmExpire: Micros })
  | (Happened & { readonly type: 'OutcomeRecorded'; readonly change: Change } & ReportedEnd)
  /** Expired before it was reported: outcome `unknown`, tm_end = tm_expire. */
  | (Happened & { readonly type: 'LeaseExpired'; readonly change: Change; readonly attemptId: string; readonly destinationIndex: DestinationIndex; readonly tmEnd: Micros })
  | (Happened & { readonly type: 'LeaseReleased'; readonly change: Change; readonly attemptId: string; readonly destinationIndex: DestinationIndex; readonly tmEnd: Micros })
  /** A report after the expiry: the attempt's outcome becomes `outcome`; `previousOutcome` is what it was counted as. */
  | (Happened & { readonly type: 'LateOutcomeRecorded'; readonly change: Change; readonly previousOutcome: Outcome } & ReportedEnd)
  /** The same outcome again, with a new disposition or note. */
  | (Happened & { readonly type: 'OutcomeAnnotated'; readonly attemptId: string; readonly disposition: string | null; readonly note: string | null })
  /** `change` shows no exhaustion yet while that destination is being dialed: it is exhausted when the attempt ends. */
  | (Happened & { readonly type: 'DestinationExhausted'; readonly change: Change; readonly destinationIndex: DestinationIndex; readonly reason: string })
  /** `change` shows no end yet while an attempt is under way: the target is canceled when that ends without an answer. */
  | (Happened & { readonly type: 'TargetCanceled'; readonly change: Change; readonly reason: string })
  /** A claim found that today's limits leave nothing to dial: done, exhausted. */
  | (Happened & { readonly type: 'TargetEnded'; readonly change: Change })
  | (Happened & { readonly type: 'TargetRemoved'; readonly change: Change });

export interface TargetChanges extends Partial<TargetProfile> {
  /** Only the changed ones; null: removed. */
  readonly destinations?: Readonly<Partial<Record<DestinationIndex, Address | null>>>;
  readonly limits?: TargetLimits;
  readonly due?: Micros;
}

export interface StartedAttempt {
  readonly attemptId: string;
  readonly destinationIndex: DestinationIndex;
  readonly destination: Address;
  /** This try's number on this destination, from 1, and the limit it was decided under. */
  readonly tryCount: number;
  readonly tryCountMax: number;
  readonly dialer: string;
  readonly tmStart: Micros;
  readonly tmExpire: Micros;
}

/** The policy an attempt was decided under: the outplan's, with the target's own limits already applied. Its end and its retry use this one. */
export type PinnedPolicy = DialPolicy;

export interface ReportedEnd {
  readonly attemptId: string;
  readonly destinationIndex: DestinationIndex;
  readonly outcome: ReportedOutcome;
  readonly disposition: string | null;
  readonly note: string | null;
  readonly tmEnd: Micros;
}

// ---------------------------------------------------------------- state: the fold; also the read model's document, as it is

export interface Attempt extends StartedAttempt {
  readonly life: number;
  readonly dialTimeout: number;
  readonly source: Address | null;
  /** null while under way. */
  readonly tmEnd: Micros | null;
  readonly outcome: Outcome | null;
  readonly disposition: string | null;
  readonly note: string | null;
  /** Its outcome came after its lease had expired. */
  readonly late: boolean;
  /** Ended by expiry: what a late report may still change. */
  readonly expired: boolean;
}

export interface Target extends TargetProfile, Standing {
  readonly id: string;
  readonly outdialId: string;
  readonly customerId: string;
  readonly externalId: string | null;
  readonly destinations: Five<Address | null>;
  readonly limits: TargetLimits;
  readonly life: number;
  /** Every attempt, oldest first, of all lives; at most one has no outcome: the one under way. */
  readonly attempts: readonly Attempt[];
  /** The policy that the newest attempt pinned; null before the first. */
  readonly policy: PinnedPolicy | null;
  /** Asked for while an attempt is under way, done when it ends. */
  readonly cancelRequested: boolean;
  readonly exhaustRequested: Five<boolean>;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros;
  readonly tmDelete: Micros | null;
  readonly tmLast: Micros;
}

// ---------------------------------------------------------------- commands

type Asked = { readonly now: Micros };

export interface NewTarget extends TargetProfile {
  readonly externalId: string | null;
  readonly destinations: Five<Address | null>;
  readonly limits: TargetLimits;
}

export type TargetCommand =
  /** `readd`: a deleted, ended target is added again; without it that is a conflict like any other duplicate. */
  | (Asked & { readonly type: 'AddTarget'; readonly outdialId: string; readonly targetId: string; readonly customerId: string; readonly target: NewTarget; readonly readd: boolean })
  | (Asked & { readonly type: 'UpdateTarget'; readonly changes: TargetChanges; readonly policy: DialPolicy })
  | (Asked & { readonly type: 'RemoveTarget' })
  /**
   * The claim. `policy` is today's (the outdial's outplan); `allow`, a lease's own outplan, only narrows: what it would not allow is refused as
   * `limit_reached`, never ended. `destinationIndex` given: refused unless it is the one that is next. `leaseMillis` from now. `ifDue`: false lets nothing
   * be dialed early either; it exists only so that the refusal is named.
   */
  | (Asked & { readonly type: 'RecordDialAttempt'; readonly attemptId: string; readonly dialer: string; readonly leaseMillis: number; readonly policy: DialPolicy;
      readonly allow?: DialPolicy; readonly destinationIndex?: DestinationIndex })
  | (Asked & { readonly type: 'RecordOutcome'; readonly attemptId: string; readonly outcome: ReportedOutcome; readonly disposition: string | null;
      readonly note: string | null; readonly tmEnd: Micros | null })
  | (Asked & { readonly type: 'ExtendLease'; readonly attemptId: string; readonly leaseMillis: number })
  | (Asked & { readonly type: 'ReleaseLease'; readonly attemptId: string })
  /** Appended when `now` ≥ tm_expire of that attempt; nothing otherwise. */
  | (Asked & { readonly type: 'ExpireLease'; readonly attemptId: string })
  | (Asked & { readonly type: 'ExhaustDestination'; readonly destinationIndex: DestinationIndex; readonly reason: string; readonly policy: DialPolicy })
  | (Asked & { readonly type: 'CancelTarget'; readonly reason: string });

/** What became of a report (api.md: outcomes). */
export type ReportResult = 'recorded' | 'repeated' | 'late' | 'stale' | 'not_found';
/** What became of an extension or a release. */
export type LeaseResult = 'extended' | 'released' | 'repeated' | 'ended' | 'not_found';
/** Why a target cannot be dialed now, as far as the target knows (`paused`, `archived` are its outdial's). */
export type NotCallable = 'not_due' | 'deleted' | 'done' | 'progressing' | 'limit_reached' | 'exhausted' | 'no_destination';
