import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Post, Put, Req } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBody, ApiTags, getSchemaPath } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { addressKey, DESTINATIONS, five, NEVER, normaliseTarget, OutdialError, parseMicros, readAddressType } from '#dialing';
import type { Address, DestinationIndex, ErrorDetail, Five, Micros, Target, TargetChanges, TargetStatus } from '#dialing';
import {
  AddTarget,
  AddTargets,
  CancelTarget,
  ExhaustDestination,
  ExportTargets,
  GetTarget,
  ListTargets,
  RemoveTarget,
  UpdateTarget,
} from '#application';
import type { AddOptions, PageRequest, RequestContext, RowFate, TargetFilter } from '#application';
import { mapInTurns } from '#platform';
import { Answer, page, resource } from './answer';
import type { Streamed } from './answer';
import { changeCurrent } from './changes';
import { Reason } from './dto/dialing.dto';
import { IMPORT_DESCRIPTION, IMPORT_QUERY, ImportModels } from './dto/import.dto';
import { accept, as, check, detail, isObject, maybe, NOT_A_MOMENT, refused } from './dto/rules';
import {
  AddedTargets,
  NewTargetBody,
  NewTargetModels,
  NewTargets,
  readDestinations,
  readLimits,
  readTarget,
  STATUSES,
  TargetAnswer,
  TargetChangesBody,
  TargetPage,
} from './dto/target.dto';
import { exportAnswer, wantsCsv } from './exports';
import { CSV_TYPE, importFormat, Imports, NDJSON_TYPE, readResults } from './imports';
import { AT, Operation } from './openapi';
import { Asked, invalidParameter, Paged, QueryFlag, QueryMoment, QueryText } from './request-context';
import { targetWire } from './wire';

const NOT_AN_OBJECT = 'This request needs a JSON object as its body, with Content-Type: application/json.';

@ApiTags('Targets')
@Controller('v1.0/outdials/:id/targets')
export class TargetsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly imports: Imports,
  ) {}

  @Post()
  @NewTargetModels
  @ImportModels
  @ApiBody({ schema: { oneOf: [{ $ref: getSchemaPath(NewTargetBody) }, { $ref: getSchemaPath(NewTargets) }] } })
  @Operation({
    summary: 'Adds one target, up to 10,000, or a file of any size.',
    description:
      'One target: 201, or 409 ALREADY_EXISTS with the existing id in its details. An array: 200 with the fate of each row; a bad one spoils no other. ' +
      'The same external_id, else the same lowest destination, in the same outdial is a duplicate. ' +
      IMPORT_DESCRIPTION,
    answers: TargetAnswer,
    or: AddedTargets,
    status: [200, 201],
    etag: true,
    writes: 'post',
    query: [
      {
        name: 'on_duplicate',
        description: 'A duplicate takes over name, detail, data, priority and limits.',
        schema: { type: 'string', enum: ['update'] },
      },
      {
        name: 'readd',
        description: 'In an array or a file: a deleted target is added again. (A single one always is.)',
        schema: { type: 'boolean', default: false },
      },
      ...IMPORT_QUERY,
    ],
    errors: ['NOT_FOUND'],
  })
  async addTargets(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @QueryText('on_duplicate') onDuplicate: string | undefined,
    @QueryFlag('readd') readd: boolean,
    @QueryFlag('dry_run') dryRun: boolean,
    @QueryFlag('ignore_unknown') ignoreUnknown: boolean,
    @QueryText('results') results: string | undefined,
    @Req() request: FastifyRequest,
    @Body() body: unknown,
  ): Promise<Answer | Streamed> {
    if (onDuplicate !== undefined && onDuplicate !== 'update') throw invalidParameter('on_duplicate', 'must be update', onDuplicate);
    const format = importFormat(request);
    const options: AddOptions = { readd, updateDuplicates: onDuplicate === 'update' };
    if (format !== null) {
      const query = { options: { ...options, dryRun }, ignoreUnknown, results: readResults(results) };
      return this.imports.begin(context, id, request, format, query);
    }
    // Who asks for a dry run must not get a wet one.
    if (dryRun) throw invalidParameter('dry_run', `is for files: send ${NDJSON_TYPE} or ${CSV_TYPE}`, 'true');
    if (!isObject(body)) throw new OutdialError('INVALID_ARGUMENT', 'INVALID_JSON_BODY', NOT_AN_OBJECT);
    return 'targets' in body ? this.addMany(context, id, body, options) : this.addOne(context, id, body, options);
  }

  @Get()
  @Operation({
    summary: 'Lists an outdial’s targets, newest first; deleted ones are left out.',
    answers: TargetPage,
    reads: true,
    paged: true,
    query: [
      { name: 'status', description: 'Only these.', schema: { type: 'string', enum: [...STATUSES] } },
      { name: 'external_id', description: 'Only the one with this id of the caller’s own.', schema: { type: 'string' } },
      {
        name: 'destination',
        description: 'Only those with this address, however it is spelled.',
        schema: { type: 'string' },
        example: '+1 (555) 123-4567',
      },
    ],
    errors: ['NOT_FOUND'],
  })
  async listTargets(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Paged() paged: PageRequest,
    @QueryText('status') status: string | undefined,
    @QueryText('external_id') externalId: string | undefined,
    @QueryText('destination') destination: string | undefined,
  ): Promise<Answer> {
    const filter: TargetFilter = {
      ...(status === undefined ? {} : { status: statusOf(status) }),
      ...(externalId === undefined ? {} : { externalId }),
      ...(destination === undefined ? {} : { address: addressOf(destination) }),
    };
    return page(targetWire, await this.queries.execute(new ListTargets(context, id, filter, paged)));
  }

  @Get('export')
  @Operation({
    summary: 'Answers an outdial’s targets as a file that can be imported again, oldest first; deleted ones are left out.',
    description: 'CSV when Accept asks for text/csv, else JSON lines: what was said of each target, not what became of it.',
    answers: NewTargetBody,
    reads: true,
    errors: ['NOT_FOUND'],
  })
  async exportTargets(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @Headers('accept') accept: string | undefined,
  ): Promise<Streamed> {
    return exportAnswer(await this.queries.execute(new ExportTargets(context, id)), wantsCsv(accept));
  }

  @Get(':target_id')
  @Operation({
    summary: 'Answers a target, a deleted one too.',
    answers: TargetAnswer,
    etag: true,
    reads: true,
    query: [AT],
    errors: ['NOT_FOUND'],
  })
  async getTarget(
    @Param('id') id: string,
    @Param('target_id') targetId: string,
    @Asked() context: RequestContext,
    @QueryMoment('at') at: Micros | null,
  ): Promise<Answer> {
    return resource(targetWire, await this.queries.execute(new GetTarget(context, id, targetId, at)));
  }

  @Put(':target_id')
  @Operation({
    summary: 'Changes a target.',
    description:
      'Destinations that were not tried yet, limits, and when an idle target is dialed next. What identifies a target cannot change: delete it and add another.',
    answers: TargetAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async updateTarget(
    @Param('id') id: string,
    @Param('target_id') targetId: string,
    @Asked() context: RequestContext,
    @Body(as(TargetChangesBody)) body: TargetChangesBody,
  ): Promise<Answer> {
    const { limits, ...changes } = readChanges(body);
    const updated = await changeCurrent(context, {
      body,
      shape: TargetChangesBody,
      wire: targetWire,
      dependsOn: { needed: limits !== null || body.tm_next_try === NEVER, check: (current) => wrongCallBack(body, current) },
      read: (asked) => this.queries.execute(new GetTarget(asked, id, targetId)),
      change: (asked, current) => {
        const all = limits && current ? { limits: completed(limits, current) } : {};
        return this.commands.execute(new UpdateTarget(asked, id, targetId, { ...changes, ...all }));
      },
    });
    return resource(targetWire, updated);
  }

  @Delete(':target_id')
  @Operation({
    summary: 'Deletes a target: it is never handed out again.',
    description: 'An attempt under way is let end. Again, it answers what is there.',
    answers: TargetAnswer,
    etag: true,
    writes: 'put',
    errors: ['NOT_FOUND'],
  })
  async deleteTarget(@Param('id') id: string, @Param('target_id') targetId: string, @Asked() context: RequestContext): Promise<Answer> {
    return resource(targetWire, await this.commands.execute(new RemoveTarget(context, id, targetId)));
  }

  @Post(':target_id/cancel')
  @HttpCode(200)
  @Operation({
    summary: 'Ends a target: done, canceled.',
    description: 'At the end of the attempt under way, unless that is answered.',
    answers: TargetAnswer,
    etag: true,
    writes: 'post',
    optionalBody: Reason,
    errors: ['NOT_FOUND'],
  })
  async cancelTarget(
    @Param('id') id: string,
    @Param('target_id') targetId: string,
    @Asked() context: RequestContext,
    @Body(maybe(Reason)) body: Reason,
  ): Promise<Answer> {
    return resource(targetWire, await this.commands.execute(new CancelTarget(context, id, targetId, body.reason ?? '')));
  }

  @Post(':target_id/destinations/:n/exhaust')
  @HttpCode(200)
  @Operation({
    summary: 'Exhausts a destination: it is never dialed again.',
    description: 'The one being dialed, when its attempt ends. Ends the target when it was the last.',
    answers: TargetAnswer,
    etag: true,
    writes: 'post',
    optionalBody: Reason,
    errors: ['NOT_FOUND'],
  })
  async exhaustDestination(
    @Param('id') id: string,
    @Param('target_id') targetId: string,
    @Param('n') n: string,
    @Asked() context: RequestContext,
    @Body(maybe(Reason)) body: Reason,
  ): Promise<Answer> {
    const command = new ExhaustDestination(context, id, targetId, destinationIndex(n), body.reason ?? '');
    return resource(targetWire, await this.commands.execute(command));
  }

  private async addOne(context: RequestContext, id: string, body: unknown, options: AddOptions): Promise<Answer> {
    const row = readTarget(body, '');
    if ('details' in row) throw refused(row.details);
    const added = await this.commands.execute(new AddTarget(context, id, row.target, { ...options, readd: true }));
    return new Answer(added.result === 'created' ? 201 : 200, targetWire(added.value), added.revision, added.position);
  }

  private async addMany(context: RequestContext, id: string, body: unknown, options: AddOptions): Promise<Answer> {
    const { targets } = accept(check(NewTargets, body));
    const rows = await mapInTurns(targets, (row, index) => readTarget(row, `targets[${index}].`));
    const { fates, position } = await this.commands.execute(new AddTargets(context, id, rows, options));
    return new Answer(200, await addedWire(fates), null, position);
  }
}

async function addedWire(fates: readonly RowFate[]): Promise<object> {
  const result = await mapInTurns(
    fates.flatMap((fate) => (fate.result === 'created' && fate.target ? [fate.target] : [])),
    targetWire,
  );
  const duplicates = fates
    .filter((fate) => fate.result === 'duplicate' || fate.result === 'updated')
    .map(({ index, targetId, deleted, result: fate }) => ({
      index,
      id: targetId,
      ...(deleted ? { deleted } : {}),
      ...(fate === 'updated' ? { updated: true } : {}),
    }));
  const errors = fates.flatMap(({ index, result: fate, details = [] }) => (fate === 'invalid' ? [{ index, details }] : []));
  const summary = { total: fates.length, created: result.length, duplicates: duplicates.length, invalid: errors.length };
  return { result, duplicates, errors, summary };
}

function statusOf(text: string): TargetStatus {
  const status = STATUSES.find((known) => known === text);
  if (status === undefined) throw invalidParameter('status', `must be one of ${STATUSES.join(', ')}`, text);
  return status;
}

/** A filter says no type: it is read off the address, as in a CSV file. A `+` of a query that was not encoded is a space by now. */
function addressOf(text: string): string {
  const type = readAddressType(text);
  const written = type === 'tel' && /^ \d/.test(text) ? `+${text.slice(1)}` : text;
  const read = normaliseTarget(type, written);
  if ('reason' in read) throw invalidParameter('destination', read.reason, text);
  return addressKey({ type, target: read.target });
}

function destinationIndex(text: string): DestinationIndex {
  const index = DESTINATIONS.find((known) => String(known) === text);
  if (index === undefined) throw invalidParameter('n', 'must be a destination from 0 to 4', text);
  return index;
}

type SentLimits = ReturnType<typeof readLimits>;

/** What a PUT says, limits as far as it names them; null when it names none. */
function readChanges(body: TargetChangesBody): Omit<TargetChanges, 'limits'> & { readonly limits: SentLimits | null } {
  const read = readDestinations(body, '');
  const due = readCallBack(body.tm_next_try);
  const details: readonly ErrorDetail[] = [...('details' in read ? read.details : []), ...('details' in due ? due.details : [])];
  if ('details' in read || 'details' in due) throw refused(details);
  const { name, detail: about, data, priority } = body;
  const sent = readLimits(body);
  const destinations = changedDestinations(read.destinations);
  return {
    ...(name === undefined ? {} : { name }),
    ...(about === undefined ? {} : { detail: about }),
    ...(data === undefined ? {} : { data }),
    ...(priority === undefined ? {} : { priority }),
    ...(Object.keys(destinations).length === 0 ? {} : { destinations }),
    ...due,
    limits: [sent.all, ...sent.each].some((limit) => limit !== undefined) ? sent : null,
  };
}

const changedDestinations = (destinations: Five<Address | null | undefined>): Partial<Record<DestinationIndex, Address | null>> =>
  Object.fromEntries(DESTINATIONS.flatMap((index) => (destinations[index] === undefined ? [] : [[index, destinations[index]]])));

/** Never is what a target answers that is not waiting: as such it may be sent back, and says nothing. */
function readCallBack(sent: unknown): { readonly due?: number } | { readonly details: readonly ErrorDetail[] } {
  if (sent === undefined || sent === NEVER) return {};
  const due = typeof sent === 'string' ? parseMicros(sent) : undefined;
  if (due !== undefined) return { due };
  return { details: [detail('tm_next_try', NOT_A_MOMENT, sent)] };
}

const wrongCallBack = (body: TargetChangesBody, current: Target): readonly ErrorDetail[] =>
  body.tm_next_try === NEVER && current.due !== null
    ? [detail('tm_next_try', 'cannot be never: cancel the target, or pause the outdial', NEVER)]
    : [];

const completed = ({ all, each }: SentLimits, { limits }: Target): Target['limits'] => ({
  tryCountMax: all === undefined ? limits.tryCountMax : all,
  tryCountMaxes: five((index) => {
    const sent = each[index];
    return sent === undefined ? limits.tryCountMaxes[index] : sent;
  }),
});
