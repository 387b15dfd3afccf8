import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import { NO_ID } from '#dialing';
import type { Micros, OutdialDetails } from '#dialing';
import { ChangeOutdialMode, CreateOutdial, GetOutdial, GetProgress, ListOutdials, UpdateOutdial } from '#application';
import type { PageRequest, RequestContext } from '#application';
import { Answer, created, page, resource } from './answer';
import { changeCurrent } from './changes';
import { CampaignChange, DataChange, NewOutdial, OutdialAnswer, OutdialChanges, OutdialPage, ProgressAnswer } from './dto/outdial.dto';
import { as, maybe, NoFields } from './dto/rules';
import { AT, Operation } from './openapi';
import { Asked, Paged, QueryMoment } from './request-context';
import { outdialWire, progressWire } from './wire';

const lower = (id: string | undefined): string | undefined => id?.toLowerCase();

/** Only what was sent. */
const changesOf = (body: OutdialChanges): Partial<OutdialDetails> => ({
  ...(body.name === undefined ? {} : { name: body.name }),
  ...(body.detail === undefined ? {} : { detail: body.detail }),
  ...(body.data === undefined ? {} : { data: body.data }),
  ...(body.campaign_id === undefined ? {} : { campaignId: body.campaign_id.toLowerCase() }),
  ...(body.outplan_id === undefined ? {} : { outplanId: body.outplan_id.toLowerCase() }),
});

@ApiTags('Outdials')
@Controller('v1.0/outdials')
export class OutdialsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @Operation({ summary: 'Creates an outdial.', answers: OutdialAnswer, status: 201, etag: true, writes: 'post', errors: ['NOT_FOUND'] })
  async createOutdial(@Asked() context: RequestContext, @Body(as(NewOutdial)) body: NewOutdial): Promise<Answer> {
    const details: OutdialDetails = {
      name: body.name,
      detail: body.detail ?? '',
      data: body.data ?? '',
      campaignId: lower(body.campaign_id) ?? NO_ID,
      outplanId: lower(body.outplan_id) ?? NO_ID,
    };
    return created(outdialWire, await this.commands.execute(new CreateOutdial(context, details)));
  }

  @Get()
  @Operation({ summary: 'Lists the outdials, newest first; deleted ones are left out.', answers: OutdialPage, reads: true, paged: true })
  async listOutdials(@Asked() context: RequestContext, @Paged() paged: PageRequest): Promise<Answer> {
    return page(outdialWire, await this.queries.execute(new ListOutdials(context, paged)));
  }

  @Get(':id')
  @Operation({
    summary: 'Answers an outdial, a deleted one too.',
    answers: OutdialAnswer,
    etag: true,
    reads: true,
    query: [AT],
    errors: ['NOT_FOUND'],
  })
  async getOutdial(@Param('id') id: string, @Asked() context: RequestContext, @QueryMoment('at') at: Micros | null): Promise<Answer> {
    return resource(outdialWire, await this.queries.execute(new GetOutdial(context, id, at)));
  }

  @Put(':id')
  @Operation({
    summary: 'Changes an outdial.',
    description: 'An archived outdial takes changes of `detail` and `data` only.',
    answers: OutdialAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async updateOutdial(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(OutdialChanges)) body: OutdialChanges,
  ): Promise<Answer> {
    const updated = await changeCurrent(context, {
      body,
      shape: OutdialChanges,
      wire: outdialWire,
      read: (asked) => this.queries.execute(new GetOutdial(asked, id)),
      change: (asked) => this.commands.execute(new UpdateOutdial(asked, id, changesOf(body))),
    });
    return resource(outdialWire, updated);
  }

  @Put(':id/campaign_id')
  @Operation({ summary: 'Attaches an outdial to a campaign.', answers: OutdialAnswer, etag: true, writes: 'put', errors: ['NOT_FOUND'] })
  async updateCampaign(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(CampaignChange)) body: CampaignChange,
  ): Promise<Answer> {
    const changes = { campaignId: body.campaign_id.toLowerCase() };
    return resource(outdialWire, await this.commands.execute(new UpdateOutdial(context, id, changes)));
  }

  @Put(':id/data')
  @Operation({ summary: 'Changes an outdial’s data.', answers: OutdialAnswer, etag: true, writes: 'put', errors: ['NOT_FOUND'] })
  async updateData(@Param('id') id: string, @Asked() context: RequestContext, @Body(as(DataChange)) body: DataChange): Promise<Answer> {
    return resource(outdialWire, await this.commands.execute(new UpdateOutdial(context, id, { data: body.data })));
  }

  @Delete(':id')
  @Operation({
    summary: 'Deletes an outdial.',
    description: 'It is no longer listed and hands nothing out; it can still be read by its id. Again, it answers what is there.',
    answers: OutdialAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async deleteOutdial(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return this.mode(context, id, 'DeleteOutdial');
  }

  @Post(':id/pause')
  @HttpCode(200)
  @Operation({
    summary: 'Pauses an outdial: no leases, no new attempts.',
    answers: OutdialAnswer,
    etag: true,
    writes: 'post',
    optionalBody: NoFields,
    errors: ['NOT_FOUND'],
  })
  async pauseOutdial(@Param('id') id: string, @Asked() context: RequestContext, @Body(maybe(NoFields)) _: NoFields): Promise<Answer> {
    return this.mode(context, id, 'PauseOutdial');
  }

  @Post(':id/resume')
  @HttpCode(200)
  @Operation({
    summary: 'Lets a paused outdial go on.',
    answers: OutdialAnswer,
    etag: true,
    writes: 'post',
    optionalBody: NoFields,
    errors: ['NOT_FOUND'],
  })
  async resumeOutdial(@Param('id') id: string, @Asked() context: RequestContext, @Body(maybe(NoFields)) _: NoFields): Promise<Answer> {
    return this.mode(context, id, 'ResumeOutdial');
  }

  @Post(':id/archive')
  @HttpCode(200)
  @Operation({
    summary: 'Archives an outdial, for good.',
    answers: OutdialAnswer,
    etag: true,
    writes: 'post',
    optionalBody: NoFields,
    errors: ['NOT_FOUND'],
  })
  async archiveOutdial(@Param('id') id: string, @Asked() context: RequestContext, @Body(maybe(NoFields)) _: NoFields): Promise<Answer> {
    return this.mode(context, id, 'ArchiveOutdial');
  }

  @Get(':id/progress')
  @Operation({
    summary: 'Tells how far an outdial is: exact, and cheap at any size.',
    answers: ProgressAnswer,
    reads: true,
    errors: ['NOT_FOUND'],
  })
  async getProgress(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return new Answer(200, progressWire(await this.queries.execute(new GetProgress(context, id))));
  }

  private async mode(context: RequestContext, id: string, change: ChangeOutdialMode['change']): Promise<Answer> {
    return resource(outdialWire, await this.commands.execute(new ChangeOutdialMode(context, id, change)));
  }
}
