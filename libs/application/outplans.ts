import { Command, Query } from '@nestjs/cqrs';
import type { Outplan, OutplanChanges, OutplanDetails } from '#dialing';
import type { Page, PageRequest, RequestContext, Versioned } from './request';

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
