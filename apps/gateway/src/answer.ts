import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Position } from '#event-store';
import type { KeptAnswer, Page, Versioned } from '#application';
import { JSON_TYPE } from './http-errors';
import { consistencyToken } from './wire';

/** What a controller answers: a body, and what its headers are made of. */
export class Answer {
  constructor(
    readonly status: number,
    readonly body: object,
    /** The ETag, of a resource that has one. */
    readonly revision: number | null = null,
    /** Of the newest event that this request wrote. */
    readonly position: Position | null = null,
  ) {}
}

/** An answer as it was given before, byte by byte. */
export class Replay {
  constructor(readonly kept: KeptAnswer) {}
}

/** An answer of any size, sent as it is made. */
export class Streamed {
  constructor(
    readonly stream: Readable,
    readonly type: string,
  ) {}
}

type Wire<T> = (value: T) => object;

/** A resource, with its ETag. */
export const resource = <T>(wire: Wire<T>, { value, revision, position }: Versioned<T>): Answer =>
  new Answer(200, wire(value), revision, position);

export const created = <T>(wire: Wire<T>, { value, revision, position }: Versioned<T>): Answer =>
  new Answer(201, wire(value), revision, position);

export const page = <T>(wire: Wire<T>, { items, nextPageToken }: Page<T>): Answer =>
  new Answer(200, { result: items.map(wire), next_page_token: nextPageToken });

function headersOf({ revision, position }: Answer, logId: string): Record<string, string> {
  return {
    ...(revision === null ? {} : { etag: `"${revision}"` }),
    ...(position === null ? {} : { 'consistency-token': consistencyToken(logId, position) }),
  };
}

/** An answer as it is kept under an Idempotency-Key. */
export const keep = (answer: Answer, logId: string): KeptAnswer => ({
  status: answer.status,
  headers: { 'content-type': JSON_TYPE, ...headersOf(answer, logId) },
  body: JSON.stringify(answer.body),
});

/**
 * Turns answers into responses, in the one place that Fastify has between a handler's value and its bytes. Later than Nest, which would set its own
 * status.
 */
export function sendAnswers(fastify: FastifyInstance, logId: string): void {
  fastify.addHook('preSerialization', (_request, reply, payload: unknown, done) => {
    if (payload instanceof Answer) {
      reply.code(payload.status).headers(headersOf(payload, logId));
      done(null, payload.body);
    } else if (payload instanceof Replay) {
      const { status, headers, body } = payload.kept;
      reply
        .code(status)
        .headers(headers)
        .serializer(() => body);
      done(null, payload);
    } else if (payload instanceof Streamed) {
      const { stream, type } = payload;
      reply
        .code(200)
        .type(type)
        // What a serializer answers is sent as it is, a stream too; Fastify's types only know of text.
        .serializer(() => stream as unknown as string);
      done(null, payload);
    } else {
      done(null, payload);
    }
  });
}
