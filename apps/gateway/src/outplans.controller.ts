import { Body, Controller, Delete, Get, Param, Post, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import { DEFAULT_POLICY, five } from '#dialing';
import type { Five, OutplanChanges as Changes, OutplanDetails } from '#dialing';
import { CreateOutplan, DeleteOutplan, GetOutplan, ListOutplans, UpdateOutplan } from '#application';
import type { PageRequest, RequestContext } from '#application';
import { Answer, created, page, resource } from './answer';
import { changeCurrent } from './changes';
import { DialInfoChanges, NewOutplan, OutplanAnswer, OutplanChanges, OutplanPage, readPolicy } from './dto/outplan.dto';
import type { PolicyChanges } from './dto/outplan.dto';
import { as, refused } from './dto/rules';
import type { Shape } from './dto/rules';
import { Operation } from './openapi';
import { Asked, Paged } from './request-context';
import { outplanWire } from './wire';

function policyOf(body: DialInfoChanges): PolicyChanges {
  const read = readPolicy(body);
  if ('details' in read) throw refused(read.details);
  return read.policy;
}

/** The limits that were sent, the others as they are. */
const completed = (sent: Five<number | undefined>, current: Five<number>): Five<number> => five((index) => sent[index] ?? current[index]);
const named = (limits: Five<number | undefined>): number => limits.filter((limit) => limit !== undefined).length;

@ApiTags('Outplans')
@Controller('v1.0/outplans')
export class OutplansController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @Operation({ summary: 'Creates an outplan.', answers: OutplanAnswer, status: 201, etag: true, writes: 'post' })
  async createOutplan(@Asked() context: RequestContext, @Body(as(NewOutplan)) body: NewOutplan): Promise<Answer> {
    const policy = policyOf(body);
    const details: OutplanDetails = {
      name: body.name,
      detail: body.detail ?? '',
      policy: { ...DEFAULT_POLICY, ...policy, maxTryCounts: completed(policy.maxTryCounts, DEFAULT_POLICY.maxTryCounts) },
    };
    return created(outplanWire, await this.commands.execute(new CreateOutplan(context, details)));
  }

  @Get()
  @Operation({ summary: 'Lists the outplans, newest first; deleted ones are left out.', answers: OutplanPage, reads: true, paged: true })
  async listOutplans(@Asked() context: RequestContext, @Paged() paged: PageRequest): Promise<Answer> {
    return page(outplanWire, await this.queries.execute(new ListOutplans(context, paged)));
  }

  @Get(':id')
  @Operation({ summary: 'Answers an outplan, a deleted one too.', answers: OutplanAnswer, etag: true, reads: true, errors: ['NOT_FOUND'] })
  async getOutplan(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return resource(outplanWire, await this.queries.execute(new GetOutplan(context, id)));
  }

  @Put(':id')
  @Operation({
    summary: 'Changes an outplan.',
    description: 'It applies to attempts that start later: those under way have theirs. It never revives a target that is done.',
    answers: OutplanAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async updateOutplan(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(OutplanChanges)) body: OutplanChanges,
  ): Promise<Answer> {
    const { name, detail } = body;
    const details = { ...(name === undefined ? {} : { name }), ...(detail === undefined ? {} : { detail }) };
    return this.change(context, id, body, OutplanChanges, details);
  }

  @Put(':id/dial_info')
  @Operation({ summary: 'Changes how an outplan dials.', answers: OutplanAnswer, etag: true, writes: 'put', errors: ['NOT_FOUND'] })
  async updateDialInfo(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(DialInfoChanges)) body: DialInfoChanges,
  ): Promise<Answer> {
    return this.change(context, id, body, DialInfoChanges, {});
  }

  @Delete(':id')
  @Operation({
    summary: 'Deletes an outplan.',
    description: 'It still applies where it is attached.',
    answers: OutplanAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async deleteOutplan(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return resource(outplanWire, await this.commands.execute(new DeleteOutplan(context, id)));
  }

  private async change<Body extends DialInfoChanges>(
    context: RequestContext,
    id: string,
    body: Body,
    shape: Shape<Body>,
    details: Omit<Changes, 'policy'>,
  ): Promise<Answer> {
    const { maxTryCounts, ...policy } = policyOf(body);
    const limits = named(maxTryCounts);
    const updated = await changeCurrent(context, {
      body,
      shape,
      wire: outplanWire,
      dependsOn: { needed: limits > 0 },
      read: (asked) => this.queries.execute(new GetOutplan(asked, id)),
      change: (asked, current) => {
        const all = current && limits > 0 ? { maxTryCounts: completed(maxTryCounts, current.policy.maxTryCounts) } : {};
        return this.commands.execute(new UpdateOutplan(asked, id, { ...details, policy: { ...policy, ...all } }));
      },
    });
    return resource(outplanWire, updated);
  }
}
