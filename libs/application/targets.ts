import { Command, Query } from '@nestjs/cqrs';
import type { Attempt, DestinationIndex, ErrorDetail, NewTarget, Target, TargetChanges, TargetStatus } from '#dialing';
import type { Position } from '#event-store';
import type { Page, PageRequest, RequestContext, Versioned } from './request';

export interface AddOptions {
  /** A deleted, ended target is added again instead of being a duplicate. Always so for a single add. */
  readonly readd: boolean;
  /** A duplicate takes over name, detail, data, priority and limits. */
  readonly updateDuplicates: boolean;
}
/** Result: the target; 409 ALREADY_EXISTS with the existing id in the details (200 with the updated one when duplicates are updated). */
export class AddTarget extends Command<Versioned<Target> & { readonly result: 'created' | 'updated' }> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly target: NewTarget,
    readonly options: AddOptions,
  ) {
    super();
  }
}
/** A row of an import: valid, or why not. */
export type TargetRow = { readonly target: NewTarget } | { readonly details: readonly ErrorDetail[] };
export interface RowFate {
  /** Position in the request's rows, from 0. */
  readonly index: number;
  readonly result: 'created' | 'duplicate' | 'updated' | 'invalid';
  readonly target?: Target;
  readonly targetId?: string;
  readonly deleted?: boolean;
  readonly details?: readonly ErrorDetail[];
}
/** Many rows; one bad row spoils no other. Fates in the order of the rows. */
export class AddTargets extends Command<{ readonly fates: readonly RowFate[]; readonly position: Position | null }> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly rows: readonly TargetRow[],
    readonly options: AddOptions,
  ) {
    super();
  }
}
export class UpdateTarget extends Command<Versioned<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
    readonly changes: TargetChanges,
  ) {
    super();
  }
}
export class RemoveTarget extends Command<Versioned<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
  ) {
    super();
  }
}
export class CancelTarget extends Command<Versioned<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
    readonly reason: string,
  ) {
    super();
  }
}
export class ExhaustDestination extends Command<Versioned<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
    readonly destinationIndex: DestinationIndex,
    readonly reason: string,
  ) {
    super();
  }
}
export class GetTarget extends Query<Versioned<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
  ) {
    super();
  }
}
export interface TargetFilter {
  readonly status?: TargetStatus;
  readonly externalId?: string;
  /** As addressKey() gives it. */
  readonly address?: string;
}
export class ListTargets extends Query<Page<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly filter: TargetFilter,
    readonly page: PageRequest,
  ) {
    super();
  }
}
