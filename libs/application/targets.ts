import { Command, CommandHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IQueryHandler } from '@nestjs/cqrs';
import { conflict, decideTarget, evolveTarget, OutdialError, streamOf } from '#dialing';
import type {
  DestinationIndex,
  DialPolicy,
  Micros,
  NewTarget,
  Target,
  TargetChanges,
  TargetCommand,
  TargetEvent,
  TargetStatus,
} from '#dialing';
import type { RecordedEvent } from '#event-store';
import { listTargets } from '#read-models';
import type { Page, PageRequest, RequestContext, Versioned } from './request';
import { notYet, Services, targetNotFound } from './services';
import { TARGET } from './streams';
import type { Known } from './streams';
import { addJob, addRows, refuseWhenArchived } from './target-rows';
import type { AddedRows, AddOptions, TargetRow } from './target-rows';

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
/** Many rows; one bad row spoils no other. Fates in the order of the rows. */
export class AddTargets extends Command<AddedRows> {
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
/** `at`: as it was then, its changes at that very time included. */
export class GetTarget extends Query<Versioned<Target>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly targetId: string,
    readonly at: Micros | null = null,
  ) {
    super();
  }
}
/** Everything that ever happened to a target, as it was stored, oldest first. */
export class GetTargetEvents extends Query<readonly RecordedEvent[]> {
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

/** Above this many rows a request is an import: interactive appends overtake it, and its targets are not kept in memory. */
const IMPORT_FROM = 100;

@CommandHandler(AddTarget)
export class AddTargetHandler implements ICommandHandler<AddTarget> {
  constructor(private readonly services: Services) {}

  async execute({
    context,
    outdialId,
    target,
    options,
  }: AddTarget): Promise<Versioned<Target> & { readonly result: 'created' | 'updated' }> {
    const outdial = await this.services.changeableOutdial(context, outdialId);
    refuseWhenArchived(outdial);
    const policy = await this.services.policyOf(outdial);
    const job = addJob(this.services, context, outdial, policy, target, options);
    const { result: fate, position } = await this.services.streams.runOne(job, { context });
    this.services.wrote(context, outdialId, position);
    const state = fate.after.state;
    if (!state) throw targetNotFound(job.targetId);
    // Nothing was written, yet it stands there because of this request: it ran before a crash, under the same Idempotency-Key.
    if (fate.result === 'duplicate') throw alreadyExists(state);
    return { value: state, revision: fate.after.head.revision, position, result: fate.result };
  }
}

const alreadyExists = (existing: Target): OutdialError =>
  conflict('ALREADY_EXISTS', `The outdial already has this target: ${existing.id}.`, [
    { field: 'target_id', reason: 'already exists', value: existing.id },
    ...(existing.tmDelete === null ? [] : [{ field: 'deleted', reason: 'deleted', value: true }]),
  ]);

@CommandHandler(AddTargets)
export class AddTargetsHandler implements ICommandHandler<AddTargets> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, rows, options }: AddTargets): Promise<AddedRows> {
    const isImport = rows.length > IMPORT_FROM;
    return addRows(this.services, context, outdialId, rows, options, { lane: isImport ? 'import' : 'interactive', remember: !isImport });
  }
}

/** One command on an existing target. `outdialId` must be the customer's. */
async function change(
  services: Services,
  context: RequestContext,
  outdialId: string,
  targetId: string,
  command: (policy: DialPolicy) => TargetCommand,
): Promise<Versioned<Target>> {
  const outdial = await services.changeableOutdial(context, outdialId);
  const asked = command(await services.policyOf(outdial));
  const { result, position } = await services.streams.runOne(
    {
      stream: streamOf.target(outdialId, targetId),
      kind: TARGET,
      decide: ({ state }): { events: readonly TargetEvent[]; result: (after: Known<Target>) => Known<Target> } => {
        if (!state) throw targetNotFound(targetId);
        return { events: decideTarget(asked, state), result: (after) => after };
      },
    },
    { context },
  );
  if (!result.state) throw targetNotFound(targetId);
  services.wrote(context, outdialId, position);
  return { value: result.state, revision: result.head.revision, position };
}

@CommandHandler(UpdateTarget)
export class UpdateTargetHandler implements ICommandHandler<UpdateTarget> {
  constructor(private readonly services: Services) {}

  execute({ context, outdialId, targetId, changes }: UpdateTarget): Promise<Versioned<Target>> {
    const now = this.services.ports.clock.now();
    return change(this.services, context, outdialId, targetId, (policy) => ({ type: 'UpdateTarget', now, changes, policy }));
  }
}

@CommandHandler(RemoveTarget)
export class RemoveTargetHandler implements ICommandHandler<RemoveTarget> {
  constructor(private readonly services: Services) {}

  execute({ context, outdialId, targetId }: RemoveTarget): Promise<Versioned<Target>> {
    return change(this.services, context, outdialId, targetId, () => ({ type: 'RemoveTarget', now: this.services.ports.clock.now() }));
  }
}

@CommandHandler(CancelTarget)
export class CancelTargetHandler implements ICommandHandler<CancelTarget> {
  constructor(private readonly services: Services) {}

  execute({ context, outdialId, targetId, reason }: CancelTarget): Promise<Versioned<Target>> {
    return change(this.services, context, outdialId, targetId, () => ({
      type: 'CancelTarget',
      now: this.services.ports.clock.now(),
      reason,
    }));
  }
}

@CommandHandler(ExhaustDestination)
export class ExhaustDestinationHandler implements ICommandHandler<ExhaustDestination> {
  constructor(private readonly services: Services) {}

  execute({ context, outdialId, targetId, destinationIndex, reason }: ExhaustDestination): Promise<Versioned<Target>> {
    const now = this.services.ports.clock.now();
    return change(this.services, context, outdialId, targetId, (policy) => ({
      type: 'ExhaustDestination',
      now,
      destinationIndex,
      reason,
      policy,
    }));
  }
}

@QueryHandler(GetTarget)
export class GetTargetHandler implements IQueryHandler<GetTarget> {
  constructor(private readonly services: Services) {}

  /** Folded from its stream, which is short: never behind, whatever the read models are. */
  async execute({ context, outdialId, targetId, at }: GetTarget): Promise<Versioned<Target>> {
    const { state, head } = await this.services.target(context, outdialId, targetId);
    if (at !== null) {
      const then = await this.services.at(streamOf.target(outdialId, targetId), at, evolveTarget);
      if (then === null) throw notYet('OUTDIAL_TARGET_NOT_FOUND', `The target ${targetId}`, at);
      return { value: then.state, revision: then.revision, position: null };
    }
    return { value: state, revision: head.revision, position: null };
  }
}

@QueryHandler(GetTargetEvents)
export class GetTargetEventsHandler implements IQueryHandler<GetTargetEvents> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, targetId }: GetTargetEvents): Promise<readonly RecordedEvent[]> {
    await this.services.target(context, outdialId, targetId);
    return this.services.ports.events.readStream(streamOf.target(outdialId, targetId));
  }
}

@QueryHandler(ListTargets)
export class ListTargetsHandler implements IQueryHandler<ListTargets> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, filter, page }: ListTargets): Promise<Page<Target>> {
    await this.services.outdial(context, outdialId);
    await this.services.fresh(context, outdialId);
    const { targets, nextPageToken } = await listTargets(this.services.ports.reads, { outdialId, ...filter, ...page });
    return { items: targets.map(({ state }) => state), nextPageToken };
  }
}

export const TARGET_HANDLERS = [
  AddTargetHandler,
  AddTargetsHandler,
  UpdateTargetHandler,
  RemoveTargetHandler,
  CancelTargetHandler,
  ExhaustDestinationHandler,
  GetTargetHandler,
  GetTargetEventsHandler,
  ListTargetsHandler,
];
