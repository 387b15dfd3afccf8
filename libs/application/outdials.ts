import { Command, CommandHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IQueryHandler } from '@nestjs/cqrs';
import { decideOutdial, evolveOutdial, NO_ID, streamOf } from '#dialing';
import type { Micros, Outdial, OutdialCommand, OutdialDetails } from '#dialing';
import { getProgress, listOutdials } from '#read-models';
import type { Progress } from '#read-models';
import { derivedId } from './derived-id';
import type { Page, PageRequest, RequestContext, Versioned } from './request';
import { notYet, outdialNotFound, outplanNotFound, Services } from './services';
import { OUTDIAL, OUTPLAN } from './streams';

/** Result: the outdial. */
export class CreateOutdial extends Command<Versioned<Outdial>> {
  constructor(
    readonly context: RequestContext,
    readonly details: OutdialDetails,
  ) {
    super();
  }
}
/** PUT of any subset of the writable fields, and its two narrow forms (campaign_id, data). `at`: revision from If-Match. */
export class UpdateOutdial extends Command<Versioned<Outdial>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly changes: Partial<OutdialDetails>,
  ) {
    super();
  }
}
/** Pause, resume, archive, delete. */
export class ChangeOutdialMode extends Command<Versioned<Outdial>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly change: 'PauseOutdial' | 'ResumeOutdial' | 'ArchiveOutdial' | 'DeleteOutdial',
  ) {
    super();
  }
}
/** `at`: as it was then, its changes at that very time included. */
export class GetOutdial extends Query<Versioned<Outdial>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly at: Micros | null = null,
  ) {
    super();
  }
}
export class ListOutdials extends Query<Page<Outdial>> {
  constructor(
    readonly context: RequestContext,
    readonly page: PageRequest,
  ) {
    super();
  }
}
export class GetProgress extends Query<Progress> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
  ) {
    super();
  }
}

/** One command on an existing outdial of this customer. */
async function change(
  services: Services,
  context: RequestContext,
  outdialId: string,
  command: OutdialCommand,
): Promise<Versioned<Outdial>> {
  const { result, position } = await services.streams.runOne(
    {
      stream: streamOf.outdial(outdialId),
      kind: OUTDIAL,
      decide: ({ state }) => {
        if (state?.customerId !== context.customerId) throw outdialNotFound(outdialId);
        return { events: decideOutdial(command, state), result: (after) => after };
      },
    },
    { context },
  );
  if (!result.state) throw outdialNotFound(outdialId);
  services.wrote(context, outdialId, position);
  services.wrote(context, LISTS, position);
  return { value: result.state, revision: result.head.revision, position };
}

/** Lists are of no single outdial; their queries wait for the credential's writes under this key. */
const LISTS = '';

async function refuseUnknownOutplan(services: Services, context: RequestContext, outplanId: string | undefined): Promise<void> {
  if (outplanId === undefined || outplanId === NO_ID) return;
  const { state } = await services.streams.load(OUTPLAN, streamOf.outplan(outplanId));
  if (state?.customerId !== context.customerId || state.tmDelete !== null) throw outplanNotFound(outplanId);
}

@CommandHandler(CreateOutdial)
export class CreateOutdialHandler implements ICommandHandler<CreateOutdial> {
  constructor(private readonly services: Services) {}

  async execute({ context, details }: CreateOutdial): Promise<Versioned<Outdial>> {
    await refuseUnknownOutplan(this.services, context, details.outplanId);
    const outdialId = derivedId(context.commandId, 'outdial');
    const now = this.services.ports.clock.now();
    const { result, position } = await this.services.streams.runOne(
      {
        stream: streamOf.outdial(outdialId),
        kind: OUTDIAL,
        assumeNew: true,
        // The id derives from the command: an outdial that is there already was made by this very request, before a crash.
        decide: ({ state }) => ({
          events: state ? [] : decideOutdial({ type: 'CreateOutdial', now, outdialId, customerId: context.customerId, ...details }, null),
          result: (after) => after,
        }),
      },
      { context },
    );
    if (!result.state) throw outdialNotFound(outdialId);
    this.services.wrote(context, outdialId, position);
    this.services.wrote(context, LISTS, position);
    return { value: result.state, revision: result.head.revision, position };
  }
}

@CommandHandler(UpdateOutdial)
export class UpdateOutdialHandler implements ICommandHandler<UpdateOutdial> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, changes }: UpdateOutdial): Promise<Versioned<Outdial>> {
    const { state } = await this.services.outdial(context, outdialId);
    if (changes.outplanId !== state.outplanId) await refuseUnknownOutplan(this.services, context, changes.outplanId);
    const now = this.services.ports.clock.now();
    const { campaignId, ...others } = changes;
    const onlyCampaign = campaignId !== undefined && Object.keys(others).length === 0;
    const command: OutdialCommand = onlyCampaign ? { type: 'AttachCampaign', now, campaignId } : { type: 'UpdateOutdial', now, changes };
    return change(this.services, context, outdialId, command);
  }
}

@CommandHandler(ChangeOutdialMode)
export class ChangeOutdialModeHandler implements ICommandHandler<ChangeOutdialMode> {
  constructor(private readonly services: Services) {}

  execute({ context, outdialId, change: type }: ChangeOutdialMode): Promise<Versioned<Outdial>> {
    return change(this.services, context, outdialId, { type, now: this.services.ports.clock.now() });
  }
}

@QueryHandler(GetOutdial)
export class GetOutdialHandler implements IQueryHandler<GetOutdial> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, at }: GetOutdial): Promise<Versioned<Outdial>> {
    const { state, head } = await this.services.outdial(context, outdialId);
    if (at !== null) {
      const then = await this.services.at(streamOf.outdial(outdialId), at, evolveOutdial);
      if (then === null) throw notYet('OUTDIAL_NOT_FOUND', `The outdial ${outdialId}`, at);
      return { value: then.state, revision: then.revision, position: null };
    }
    return { value: state, revision: head.revision, position: null };
  }
}

@QueryHandler(ListOutdials)
export class ListOutdialsHandler implements IQueryHandler<ListOutdials> {
  constructor(private readonly services: Services) {}

  async execute({ context, page }: ListOutdials): Promise<Page<Outdial>> {
    await this.services.fresh(context, LISTS);
    const { outdials, nextPageToken } = await listOutdials(this.services.ports.reads, { customerId: context.customerId, ...page });
    return { items: outdials.map(({ state }) => state), nextPageToken };
  }
}

@QueryHandler(GetProgress)
export class GetProgressHandler implements IQueryHandler<GetProgress> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId }: GetProgress): Promise<Progress> {
    const { state } = await this.services.outdial(context, outdialId);
    await this.services.fresh(context, outdialId);
    const mode = state.tmDelete === null ? state.mode : 'archived';
    return getProgress(this.services.ports.reads, { outdialId, mode, now: this.services.ports.clock.now() });
  }
}

export const OUTDIAL_HANDLERS = [
  CreateOutdialHandler,
  UpdateOutdialHandler,
  ChangeOutdialModeHandler,
  GetOutdialHandler,
  ListOutdialsHandler,
  GetProgressHandler,
];
