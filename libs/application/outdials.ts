import { Command, Query } from '@nestjs/cqrs';
import type { Outdial, OutdialCommand, OutdialDetails } from '#dialing';
import type { Progress } from '#read-models';
import type { Page, PageRequest, RequestContext, Versioned } from './request';

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
export class GetOutdial extends Query<Versioned<Outdial>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
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
