import { Body, Controller, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import { DESTINATIONS, formatMicros } from '#dialing';
import type { ErrorDetail } from '#dialing';
import { ChangeLeases, ClaimTargets, ListAttempts, ListOpenAttempts, RecordDialAttempt, RecordOutcome, RecordOutcomes } from '#application';
import type { OutcomeReport, PageRequest, ReportFate, RequestContext } from '#application';
import { Answer, page, resource } from './answer';
import {
  AttemptAnswer,
  AttemptsAnswer,
  AttemptStart,
  LeaseChanges,
  LeaseFates,
  LeasePage,
  LeaseRequest,
  LeasesAnswer,
  OutcomeBody,
  OutcomeFates,
  OutcomeReports,
  readLeases,
  readOutcome,
  readReport,
} from './dto/dialing.dto';
import { accept, as, isObject, maybe } from './dto/rules';
import { TargetAnswer } from './dto/target.dto';
import { Operation } from './openapi';
import { Asked, invalidParameter, Paged, QueryText } from './request-context';
import { attemptWire, leaseWire, targetWire } from './wire';

@ApiTags('Dialing')
@Controller('v1.0/outdials/:id')
export class LeasesController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post('leases')
  @HttpCode(200)
  @Operation({
    summary: 'Hands out targets to dial.',
    description:
      'Each is leased to nobody else until it is reported, released or the lease expires. Report `answered` when it is answered, not at hang-up, or extend.',
    answers: LeasesAnswer,
    writes: 'post',
    errors: ['NOT_FOUND'],
  })
  async claimTargets(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(LeaseRequest)) body: LeaseRequest,
  ): Promise<Answer> {
    const outplanId = body.outplan_id?.toLowerCase() ?? null;
    const claim = new ClaimTargets(context, id, body.limit, body.dialer ?? '', body.lease_seconds ?? null, outplanId);
    const { leases, nextCallableAt, position } = await this.commands.execute(claim);
    return new Answer(200, { result: leases.map(leaseWire), next_callable_at: formatMicros(nextCallableAt) }, null, position);
  }

  @Post('outcomes')
  @HttpCode(200)
  @Operation({
    summary: 'Reports what attempts came to.',
    description: 'In order; a report that is wrong is `invalid` and spoils no other. The same outcome again is `repeated`.',
    answers: OutcomeFates,
    writes: 'post',
    errors: ['NOT_FOUND'],
  })
  async recordOutcomes(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(OutcomeReports)) body: OutcomeReports,
  ): Promise<Answer> {
    const rows = body.outcomes.map((row, index) => readReport(row, `outcomes[${index}].`));
    const reports = rows.flatMap((row): OutcomeReport[] => ('value' in row ? [row.value] : []));
    const { fates, position } = await this.commands.execute(new RecordOutcomes(context, id, reports));
    const told = fates.values();
    const result = rows.map((row, index) =>
      'value' in row ? fateWire(told.next().value) : invalidFate(body.outcomes[index], row.details),
    );
    return new Answer(200, { result }, null, position);
  }

  @Post('leases/extend')
  @HttpCode(200)
  @Operation({ summary: 'Prolongs leases; never shortens one.', answers: LeaseFates, writes: 'post', errors: ['NOT_FOUND'] })
  async extendLeases(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(LeaseChanges)) body: LeaseChanges,
  ): Promise<Answer> {
    return this.changeLeases(context, id, body, { kind: 'extend', leaseSeconds: body.lease_seconds ?? null });
  }

  @Post('leases/release')
  @HttpCode(200)
  @Operation({
    summary: 'Gives leases back that were never dialed.',
    description: 'The try is taken back and the target is due as before.',
    answers: LeaseFates,
    writes: 'post',
    errors: ['NOT_FOUND'],
  })
  async releaseLeases(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Body(as(LeaseChanges)) body: LeaseChanges,
  ): Promise<Answer> {
    return this.changeLeases(context, id, body, { kind: 'release' });
  }

  @Get('attempts')
  @Operation({
    summary: 'Lists the leases under way, those that expire first first: what a restarted dialer still holds.',
    answers: LeasePage,
    reads: true,
    paged: true,
    query: [
      { name: 'open', required: true, description: 'Only attempts under way are listed here.', schema: { type: 'string', enum: ['true'] } },
      { name: 'dialer', description: 'Only those of this dialer.', schema: { type: 'string' } },
    ],
    errors: ['NOT_FOUND'],
  })
  async listOpenAttempts(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Paged() paged: PageRequest,
    @QueryText('open') open: string | undefined,
    @QueryText('dialer') dialer: string | undefined,
  ): Promise<Answer> {
    if (open !== 'true')
      throw invalidParameter('open', 'must be true: attempts that have ended are read target by target, or in the audit', open);
    return page(leaseWire, await this.queries.execute(new ListOpenAttempts(context, id, dialer ?? null, paged)));
  }

  @Post('targets/:target_id/attempts')
  @Operation({
    summary: 'Starts an attempt on one target.',
    description:
      '409 NOT_CALLABLE when it cannot be dialed now, with why in its details: not_due, paused, archived, deleted, done, progressing, limit_reached, exhausted or no_destination.',
    answers: AttemptAnswer,
    status: 201,
    writes: 'post',
    optionalBody: AttemptStart,
    errors: ['NOT_FOUND'],
  })
  async startAttempt(
    @Param('id') id: string,
    @Param('target_id') targetId: string,
    @Asked() context: RequestContext,
    @Body(maybe(AttemptStart)) body: AttemptStart,
  ): Promise<Answer> {
    const index = DESTINATIONS.find((known) => known === body.destination_index) ?? null;
    const start = new RecordDialAttempt(context, id, targetId, body.dialer ?? '', index, body.lease_seconds ?? null);
    const { attempt, value, position } = await this.commands.execute(start);
    return new Answer(201, attemptWire(attempt, value), null, position);
  }

  @Get('targets/:target_id/attempts')
  @Operation({ summary: 'Lists all attempts on a target, oldest first.', answers: AttemptsAnswer, reads: true, errors: ['NOT_FOUND'] })
  async listAttempts(@Param('id') id: string, @Param('target_id') targetId: string, @Asked() context: RequestContext): Promise<Answer> {
    const attempts = await this.queries.execute(new ListAttempts(context, id, targetId));
    return new Answer(200, { result: attempts.map(({ attempt, target }) => attemptWire(attempt, target)) });
  }

  @Put('targets/:target_id/attempts/:attempt_id')
  @Operation({
    summary: 'Reports what one attempt came to.',
    description: '409 STALE_ATTEMPT when it was reported before with another outcome.',
    answers: TargetAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async recordOutcome(
    @Param('id') id: string,
    @Param('target_id') targetId: string,
    @Param('attempt_id') attemptId: string,
    @Asked() context: RequestContext,
    @Body(as(OutcomeBody)) body: OutcomeBody,
  ): Promise<Answer> {
    const report: OutcomeReport = { attemptId, targetId, ...readOutcome(body) };
    return resource(targetWire, await this.commands.execute(new RecordOutcome(context, id, report)));
  }

  private async changeLeases(context: RequestContext, id: string, body: LeaseChanges, change: ChangeLeases['change']): Promise<Answer> {
    const attempts = accept(readLeases(body.attempts));
    const { fates, position } = await this.commands.execute(new ChangeLeases(context, id, attempts, change));
    return new Answer(200, { result: fates.map(({ attemptId, result }) => ({ attempt_id: attemptId, result })) }, null, position);
  }
}

function fateWire(fate: ReportFate | undefined): object {
  if (!fate) throw new Error('a report was left without a fate');
  return { attempt_id: fate.attemptId, result: fate.result, status: fate.status, done_reason: fate.doneReason };
}

function invalidFate(sent: unknown, details: readonly ErrorDetail[]): object {
  const id = isObject(sent) && typeof sent.attempt_id === 'string' ? sent.attempt_id.slice(0, 200) : null;
  return { attempt_id: id, result: 'invalid', status: null, done_reason: null, details };
}
