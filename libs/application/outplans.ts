import { Command, CommandHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IQueryHandler } from '@nestjs/cqrs';
import { decideOutplan, streamOf } from '#dialing';
import type { Outplan, OutplanChanges, OutplanCommand, OutplanDetails } from '#dialing';
import { listOutplans } from '#read-models';
import { derivedId } from './derived-id';
import type { Page, PageRequest, RequestContext, Versioned } from './request';
import { outplanNotFound, Services } from './services';
import { OUTPLAN } from './streams';

export class CreateOutplan extends Command<Versioned<Outplan>> {
  constructor(
    readonly context: RequestContext,
    readonly details: OutplanDetails,
  ) {
    super();
  }
}
export class UpdateOutplan extends Command<Versioned<Outplan>> {
  constructor(
    readonly context: RequestContext,
    readonly outplanId: string,
    readonly changes: OutplanChanges,
  ) {
    super();
  }
}
export class DeleteOutplan extends Command<Versioned<Outplan>> {
  constructor(
    readonly context: RequestContext,
    readonly outplanId: string,
  ) {
    super();
  }
}
export class GetOutplan extends Query<Versioned<Outplan>> {
  constructor(
    readonly context: RequestContext,
    readonly outplanId: string,
  ) {
    super();
  }
}
export class ListOutplans extends Query<Page<Outplan>> {
  constructor(
    readonly context: RequestContext,
    readonly page: PageRequest,
  ) {
    super();
  }
}

const LISTS = 'outplans';

async function change(
  services: Services,
  context: RequestContext,
  outplanId: string,
  command: OutplanCommand,
): Promise<Versioned<Outplan>> {
  const { result, position } = await services.streams.runOne(
    {
      stream: streamOf.outplan(outplanId),
      kind: OUTPLAN,
      decide: ({ state }) => {
        if (state?.customerId !== context.customerId) throw outplanNotFound(outplanId);
        return { events: decideOutplan(command, state), result: (after) => after };
      },
    },
    { context },
  );
  if (!result.state) throw outplanNotFound(outplanId);
  services.wrote(context, LISTS, position);
  return { value: result.state, revision: result.head.revision, position };
}

@CommandHandler(CreateOutplan)
export class CreateOutplanHandler implements ICommandHandler<CreateOutplan> {
  constructor(private readonly services: Services) {}

  async execute({ context, details }: CreateOutplan): Promise<Versioned<Outplan>> {
    const outplanId = derivedId(context.commandId, 'outplan');
    const now = this.services.ports.clock.now();
    const { result, position } = await this.services.streams.runOne(
      {
        stream: streamOf.outplan(outplanId),
        kind: OUTPLAN,
        assumeNew: true,
        // The id derives from the command: an outplan that is there already was made by this very request, before a crash.
        decide: ({ state }) => ({
          events: state ? [] : decideOutplan({ type: 'CreateOutplan', now, outplanId, customerId: context.customerId, ...details }, null),
          result: (after) => after,
        }),
      },
      { context },
    );
    if (!result.state) throw outplanNotFound(outplanId);
    this.services.wrote(context, LISTS, position);
    return { value: result.state, revision: result.head.revision, position };
  }
}

@CommandHandler(UpdateOutplan)
export class UpdateOutplanHandler implements ICommandHandler<UpdateOutplan> {
  constructor(private readonly services: Services) {}

  execute({ context, outplanId, changes }: UpdateOutplan): Promise<Versioned<Outplan>> {
    return change(this.services, context, outplanId, { type: 'UpdateOutplan', now: this.services.ports.clock.now(), changes });
  }
}

@CommandHandler(DeleteOutplan)
export class DeleteOutplanHandler implements ICommandHandler<DeleteOutplan> {
  constructor(private readonly services: Services) {}

  execute({ context, outplanId }: DeleteOutplan): Promise<Versioned<Outplan>> {
    return change(this.services, context, outplanId, { type: 'DeleteOutplan', now: this.services.ports.clock.now() });
  }
}

@QueryHandler(GetOutplan)
export class GetOutplanHandler implements IQueryHandler<GetOutplan> {
  constructor(private readonly services: Services) {}

  async execute({ context, outplanId }: GetOutplan): Promise<Versioned<Outplan>> {
    const { state, head } = await this.services.streams.load(OUTPLAN, streamOf.outplan(outplanId));
    if (state?.customerId !== context.customerId) throw outplanNotFound(outplanId);
    return { value: state, revision: head.revision, position: null };
  }
}

@QueryHandler(ListOutplans)
export class ListOutplansHandler implements IQueryHandler<ListOutplans> {
  constructor(private readonly services: Services) {}

  async execute({ context, page }: ListOutplans): Promise<Page<Outplan>> {
    await this.services.fresh(context, LISTS);
    const { outplans, nextPageToken } = await listOutplans(this.services.ports.reads, { customerId: context.customerId, ...page });
    return { items: outplans.map(({ state }) => state), nextPageToken };
  }
}

export const OUTPLAN_HANDLERS = [CreateOutplanHandler, UpdateOutplanHandler, DeleteOutplanHandler, GetOutplanHandler, ListOutplansHandler];
