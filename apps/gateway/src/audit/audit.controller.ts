import { Readable } from 'node:stream';
import { Controller, Get, Headers, Inject, Param, Res } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { formatMicros } from '#dialing';
import type { Outdial } from '#dialing';
import { GetOutdial, GetTargetEvents } from '#application';
import type { AuditPeriod, RequestContext } from '#application';
import { getProgressDocument } from '#read-models';
import { Answer } from '../answer';
import { ENGINE } from '../engine/engine';
import type { Engine } from '../engine/engine';
import { JSON_TYPE } from '../http-errors';
import { Operation } from '../openapi';
import { Asked, Period } from '../request-context';
import { storedEventWire } from '../wire';
import type { AuditFormat, AuditTask } from './audit-text';
import { AuditAnswer, AuditSummaryAnswer, StoredEvents, VerificationAnswer } from './audit.dto';

const PERIOD = [
  { name: 'from', description: 'Attempts that started at this time or later.', schema: { type: 'string' } },
  { name: 'to', description: 'Attempts that started before this time.', schema: { type: 'string' } },
] as const;

const TYPES: Readonly<Record<AuditFormat, string>> = { json: JSON_TYPE, ndjson: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' };

/** The first that the caller names of those there are; JSON when it names none. */
function formatOf(accept: string | undefined): AuditFormat {
  const types = (accept ?? '').split(',').map((type) => type.split(';', 1)[0]?.trim());
  const named = types.find((type) => type === 'text/csv' || type === 'application/x-ndjson' || type === 'application/json');
  if (named === 'text/csv') return 'csv';
  return named === 'application/x-ndjson' ? 'ndjson' : 'json';
}

/** What happened, by replay (the API contract, Reading what happened). */
@ApiTags('Audit')
@Controller('v1.0/outdials/:id')
export class AuditController {
  constructor(
    private readonly queries: QueryBus,
    @Inject(ENGINE) private readonly engine: Engine,
  ) {}

  @Get('audit')
  @ApiProduces('application/json', 'application/x-ndjson', 'text/csv')
  @Operation({
    summary: 'Reports every attempt, by replay.',
    description:
      'As JSON, lines of JSON or CSV, by `Accept`; streamed at any size. Target by target in the order they were added, a target’s attempts in the order they started. `chain_ok` says whether the chain of the target’s events holds.',
    answers: AuditAnswer,
    reads: true,
    query: PERIOD,
    errors: ['NOT_FOUND'],
  })
  async getAudit(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Period() period: AuditPeriod,
    @Headers('accept') accept: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { task } = await this.taskOf(context, id, period);
    const format = formatOf(accept);
    await this.stream(reply, TYPES[format], { ...task, kind: 'attempts', format }, await this.attemptsOf(id));
  }

  @Get('audit/summary')
  @Operation({ summary: 'Totals, by replay.', answers: AuditSummaryAnswer, reads: true, query: PERIOD, errors: ['NOT_FOUND'] })
  async getAuditSummary(@Param('id') id: string, @Asked() context: RequestContext, @Period() period: AuditPeriod): Promise<Answer> {
    const { task } = await this.taskOf(context, id, period);
    return this.whole({ ...task, kind: 'summary' });
  }

  @Get('audit/verify')
  @Operation({
    summary: 'Replays the events, checks their chain and compares them with the read models.',
    answers: VerificationAnswer,
    reads: true,
    errors: ['NOT_FOUND'],
  })
  async verifyAudit(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    const { task } = await this.taskOf(context, id, ALWAYS);
    const { projections } = this.engine.ports;
    // What is compared is what the read models have folded: they are given the time to fold what was there when this was asked.
    await projections.reached(task.upTo, 10_000);
    return this.whole({ ...task, kind: 'verify' });
  }

  @Get('audit/report')
  @ApiProduces('text/html')
  @Operation({
    summary: 'The report as a page that a person can read and print.',
    answers: String,
    reads: true,
    query: PERIOD,
    errors: ['NOT_FOUND'],
  })
  async getAuditReport(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Period() period: AuditPeriod,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { task, outdial } = await this.taskOf(context, id, period);
    const { name, detail } = outdial;
    const madeAt = formatMicros(this.engine.ports.clock.now());
    // Nothing of a name that somebody gave can run in the page, whatever becomes of the escaping.
    reply.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    await this.stream(reply, 'text/html; charset=utf-8', { ...task, kind: 'page', name, detail, madeAt });
  }

  @Get('targets/:target_id/events')
  @Operation({
    summary: 'Everything that happened to a target, as it was stored.',
    answers: StoredEvents,
    reads: true,
    errors: ['NOT_FOUND'],
  })
  async getTargetEvents(@Param('id') id: string, @Param('target_id') targetId: string, @Asked() context: RequestContext): Promise<Answer> {
    const events = await this.queries.execute(new GetTargetEvents(context, id, targetId));
    const { logId } = this.engine.ports.events;
    return new Answer(200, { result: events.map((event) => storedEventWire(event, logId)) });
  }

  private async taskOf(
    context: RequestContext,
    outdialId: string,
    { from, to }: AuditPeriod,
  ): Promise<{ readonly outdial: Outdial; readonly task: AuditPeriod & Pick<AuditTask, 'outdialId' | 'upTo'> }> {
    const { value: outdial } = await this.queries.execute(new GetOutdial(context, outdialId));
    return { outdial, task: { outdialId, from, to, upTo: await this.engine.ports.events.head() } };
  }

  /** As the read model has them: enough to know whether it is much work. A report does not depend on it. */
  private async attemptsOf(outdialId: string): Promise<number | undefined> {
    try {
      const { document } = await getProgressDocument(this.engine.ports.reads, outdialId);
      return Object.values(document.outcomes).reduce((sum, count) => sum + count, 0);
    } catch {
      return undefined;
    }
  }

  private async whole(task: AuditTask): Promise<Answer> {
    const parts: Uint8Array[] = [];
    for await (const text of this.engine.audits.text(task)) parts.push(text);
    return new Answer(200, JSON.parse(Buffer.concat(parts).toString()) as object);
  }

  /** Begins when the first piece is there: what goes wrong before is still an error with a status. */
  private async stream(reply: FastifyReply, type: string, task: AuditTask, attempts?: number): Promise<void> {
    const text = this.engine.audits.text(task, attempts);
    const first = await text.next();
    const body = Readable.from(following(first, text), { objectMode: false });
    await reply.type(type).send(body);
  }
}

const ALWAYS: AuditPeriod = { from: 0, to: Number.MAX_SAFE_INTEGER };

/** Ended early when the caller leaves; ends the replay with it. */
async function* following(first: IteratorResult<Uint8Array>, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (first.done) return;
    yield first.value;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
