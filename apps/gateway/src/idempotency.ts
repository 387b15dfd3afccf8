import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { from, lastValueFrom } from 'rxjs';
import type { Observable } from 'rxjs';
import type { KeptAnswer } from '#application';
import { Answer, keep, Replay } from './answer';
import { detail, refused } from './dto/rules';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';
import { errorAnswer, toOutdialError } from './http-errors';
import { importFormat } from './imports';

/** What says who asks, not what is asked for. */
const CREDENTIALS = new Set(['token', 'accesskey']);

/**
 * For POSTs under /v1.0: with an Idempotency-Key the request takes effect once, and its answer, a refusal too, is given again to whoever repeats it (the API
 * contract, Conventions). Without one it costs nothing.
 */
@Injectable()
export class Idempotent implements NestInterceptor {
  constructor(@Inject(ENGINE) private readonly engine: Pick<Engine, 'idempotency' | 'ports'>) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    // An import is safe to repeat as it is, and too large to be kept.
    const key = importFormat(request) === null ? readKey(request.headers['idempotency-key']) : null;
    return key === null ? next.handle() : from(this.once(request, key, next));
  }

  private async once(request: FastifyRequest, key: string, next: CallHandler): Promise<Replay> {
    const { method, url, principal } = request;
    const asked = { actor: principal?.actor ?? '', method, path: url.split('?', 1)[0] ?? url, key };
    const kept = await this.engine.idempotency.run(asked, hashOf(request), async (commandId, intent) => {
      request.run = { commandId, intent };
      return this.answer(request, next);
    });
    return new Replay(kept);
  }

  /** What went wrong on our side is not kept: the request may be repeated until it is answered. */
  private async answer(request: FastifyRequest, next: CallHandler): Promise<KeptAnswer> {
    try {
      const answer: unknown = await lastValueFrom(next.handle());
      if (!(answer instanceof Answer))
        throw new Error(`${request.method} ${request.routeOptions.url ?? ''} does not answer with an Answer`);
      return keep(answer, this.engine.ports.events.logId);
    } catch (error) {
      const known = toOutdialError(error);
      const refusal = known && errorAnswer(known, request.id);
      if (!refusal || refusal.status >= 500) throw error;
      return refusal;
    }
  }
}

function readKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  if (typeof header === 'string' && /^[\x20-\x7e]{1,255}$/.test(header)) return header;
  throw refused([detail('Idempotency-Key', 'must have 1 to 255 printable characters', header)], 'INVALID_REQUEST_PARAMETER');
}

/** Of what is asked for: the body as it was sent, and the options in the query. */
function hashOf({ bodyHash, query }: FastifyRequest): string {
  const options = Object.entries(query as Readonly<Record<string, unknown>>).filter(([name]) => !CREDENTIALS.has(name));
  return createHash('sha256')
    .update(`${bodyHash}\n${JSON.stringify(options)}`)
    .digest('hex');
}
