import type { ServerResponse } from 'node:http';
import { Controller, Get, Headers, Inject, Param, Res } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiHeader, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { OutdialError } from '#dialing';
import type { TargetStatus } from '#dialing';
import { FeedBusy, GetOutdial } from '#application';
import type { Listener, RequestContext, Topic } from '#application';
import { START } from '#event-store';
import type { Position } from '#event-store';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';
import { Operation } from './openapi';
import { Asked, invalidParameter, QueryText, readPosition } from './request-context';

/** A listener that leaves more than this unread is cut off: it can come back and resume. */
const UNSENT_BYTES = 1_000_000;
/** A replay waits this long for its listener to take anything. */
const STALLED_MILLIS = 30_000;

const STATUSES: readonly TargetStatus[] = ['idle', 'progressing', 'done'];

const QUERY = [
  { name: 'status', description: 'Only changes to this status.', schema: { type: 'string', enum: [...STATUSES] } },
  {
    name: 'after',
    description: 'The id of the last message heard, or `start` for everything that ever happened.',
    schema: { type: 'string' },
  },
] as const;

const DESCRIPTION =
  'Server-sent events: `event: target`, `id`, `data` as JSON, one for each event that changes a status, a count, exhaustion or deletion, in order. `Last-Event-ID` (it wins) or `after` resumes with no gap and no repeat; without, it begins now. A block with an `id` alone moves that point on. Who reads too slowly is cut off, and may resume.';

const LAST_EVENT_ID = ApiHeader({
  name: 'Last-Event-ID',
  required: false,
  description: 'The id of the last message heard: what a browser sends by itself.',
  schema: { type: 'string' },
});

/** Live changes of targets (the API contract, Reading what happened). */
@ApiTags('Streams')
@Controller('v1.0/outdials')
export class StreamsController {
  constructor(
    private readonly queries: QueryBus,
    @Inject(ENGINE) private readonly engine: Engine,
  ) {}

  @Get('stream')
  @ApiProduces('text/event-stream')
  @LAST_EVENT_ID
  @Operation({
    summary: 'Tells the changes of all targets, live.',
    description: DESCRIPTION,
    answers: String,
    reads: true,
    query: QUERY,
    errors: ['GONE', 'UNAVAILABLE'],
  })
  async streamOutdials(
    @Asked() context: RequestContext,
    @QueryText('status') status: string | undefined,
    @QueryText('after') after: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { customerId } = context;
    await this.stream(reply, { of: { customerId }, status: statusOf(status) }, lastEventId, after);
  }

  @Get(':id/targets/stream')
  @ApiProduces('text/event-stream')
  @LAST_EVENT_ID
  @Operation({
    summary: 'Tells the changes of an outdial’s targets, live.',
    description: DESCRIPTION,
    answers: String,
    reads: true,
    query: QUERY,
    errors: ['NOT_FOUND', 'GONE', 'UNAVAILABLE'],
  })
  async streamTargets(
    @Param('id') id: string,
    @Asked() context: RequestContext,
    @QueryText('status') status: string | undefined,
    @QueryText('after') after: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.queries.execute(new GetOutdial(context, id));
    await this.stream(reply, { of: { outdialId: id }, status: statusOf(status) }, lastEventId, after);
  }

  private async stream(reply: FastifyReply, topic: Topic, lastEventId: string | undefined, after: string | undefined): Promise<void> {
    const { feed, ports } = this.engine;
    const [name, asked] = lastEventId === undefined ? (['after', after] as const) : (['Last-Event-ID', lastEventId] as const);
    const place = await feed.enter(startOf(name, asked, ports.events.logId)).catch((error: unknown) => {
      throw error instanceof FeedBusy ? new OutdialError('UNAVAILABLE', 'TOO_MANY_REPLAYS', error.message, [], 1) : error;
    });
    const { raw } = reply;
    const gone = new AbortController();
    raw.once('close', () => {
      gone.abort();
    });
    // Who went while a place was found for it closed before anybody listened for that.
    if (raw.destroyed) gone.abort();
    reply.hijack();
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      // Proxies must neither keep it nor wait for its end.
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-request-id': reply.request.id,
    });
    raw.flushHeaders();
    await feed.run(topic, place, responseListener(raw, ports.scheduler), gone.signal);
  }
}

function statusOf(text: string | undefined): TargetStatus | null {
  if (text === undefined) return null;
  const status = STATUSES.find((known) => known === text);
  if (status === undefined) throw invalidParameter('status', `must be one of ${STATUSES.join(', ')}`, text);
  return status;
}

function startOf(name: string, asked: string | undefined, logId: string): Position | null {
  if (asked === undefined || asked === '') return null;
  return asked === 'start' ? START : readPosition(name, asked, logId);
}

/** A response that stays open. What it does not take is bounded. */
function responseListener(raw: ServerResponse, scheduler: Engine['ports']['scheduler']): Listener {
  return {
    write(piece) {
      if (raw.destroyed || raw.writableEnded) return;
      if (raw.writableLength > UNSENT_BYTES) raw.destroy();
      else raw.write(piece);
    },
    drained: () =>
      new Promise((resolve) => {
        if (!raw.writableNeedDrain || raw.destroyed) {
          resolve();
          return;
        }
        const over = (): void => {
          cancel();
          raw.off('drain', over);
          raw.off('close', over);
          resolve();
        };
        const cancel = scheduler.after(STALLED_MILLIS, () => raw.destroy());
        raw.on('drain', over);
        raw.on('close', over);
      }),
    end: () => {
      raw.end();
    },
  };
}
