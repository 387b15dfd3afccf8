import { Catch, HttpException } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OutdialError } from '#dialing';
import type { ErrorStatus } from '#dialing';
import { withoutCredentials } from '#platform';
import type { Logger } from '#platform';
import type { KeptAnswer } from '#application';

/** The HTTP code of each kind of error: the only such table. */
const HTTP_CODES: Readonly<Record<ErrorStatus, number>> = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  GONE: 410,
  FAILED_PRECONDITION: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_MISMATCH: 422,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
};

export const httpCodeOf = (status: ErrorStatus): number => HTTP_CODES[status];

export const routeNotFound = (): OutdialError =>
  new OutdialError('NOT_FOUND', 'ROUTE_NOT_FOUND', 'There is no such route: see /docs for those there are.');

export const JSON_TYPE = 'application/json; charset=utf-8';

/** The answer to a request that was refused: the envelope of the API contract, and what goes with it. */
export function errorAnswer(error: OutdialError, requestId: string): KeptAnswer {
  const { status, reason, message, details, retryAfter } = error;
  const waits = status === 'RESOURCE_EXHAUSTED' || status === 'UNAVAILABLE';
  return {
    status: HTTP_CODES[status],
    headers: {
      'content-type': JSON_TYPE,
      ...(waits ? { 'retry-after': String(retryAfter ?? 1) } : {}),
      ...(status === 'UNAUTHENTICATED' ? { 'www-authenticate': 'Bearer' } : {}),
    },
    body: JSON.stringify({ error: { status, reason, message, request_id: requestId, ...(details.length > 0 ? { details } : {}) } }),
  };
}

/** What the caller is told of an error that was thrown; null for one that nobody foresaw. */
export function toOutdialError(error: unknown): OutdialError | null {
  if (error instanceof OutdialError) return error;
  if (error instanceof HttpException) return fromHttp(error.getStatus(), error.message);
  if (!(error instanceof Error) || !('code' in error)) return null;
  if (error.code === 'StoreUnavailable') return unavailable('STORE_UNAVAILABLE', 'A store did not answer in time; try again.', 1);
  if (error.code === 'DocumentQuarantined')
    return unavailable('DOCUMENT_QUARANTINED', 'This cannot be read until an operator has looked after it.', 60);
  return 'statusCode' in error && typeof error.statusCode === 'number'
    ? fromHttp(error.statusCode, error.message, String(error.code))
    : null;
}

const unavailable = (reason: string, message: string, retryAfter: number): OutdialError =>
  new OutdialError('UNAVAILABLE', reason, message, [], retryAfter);

/** What Fastify, or Nest for it, refuses before any code of ours sees the request. */
function fromHttp(code: number, message: string, fastifyCode = ''): OutdialError | null {
  if (fastifyCode === 'FST_ERR_BAD_URL') {
    return new OutdialError(
      'INVALID_ARGUMENT',
      'INVALID_REQUEST_PARAMETER',
      'The path is not well encoded: % needs two hexadecimal digits of UTF-8 after it.',
    );
  }
  switch (code) {
    case 404:
    case 414:
      return routeNotFound();
    case 413:
      return new OutdialError('PAYLOAD_TOO_LARGE', 'PAYLOAD_TOO_LARGE', 'The body is larger than 32 MiB: send it in parts.');
    case 415:
      return new OutdialError('UNSUPPORTED_MEDIA_TYPE', 'UNSUPPORTED_MEDIA_TYPE', 'Send the body as Content-Type: application/json.');
    case 400:
      return new OutdialError('INVALID_ARGUMENT', 'INVALID_ARGUMENT', message);
    default:
      return null;
  }
}

/** What the caller is told of any error, whoever threw it. An unforeseen one is logged in full and told by its request id alone. */
export function toToldError(error: unknown, request: FastifyRequest, log: Pick<Logger, 'error'>): OutdialError {
  const known = toOutdialError(error);
  if (known) return known;
  log.error({ err: error, request_id: request.id, method: request.method, url: withoutCredentials(request.url) }, 'a request failed');
  return new OutdialError('INTERNAL', 'INTERNAL', `The service failed; its log has more under the request id ${request.id}.`);
}

/** Answers any error. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const told = toToldError(error, request, log);
  if (reply.sent) return;
  const { status, headers, body } = errorAnswer(told, request.id);
  void reply
    .code(status)
    .headers({ ...headers, 'x-request-id': request.id })
    .send(body);
}

/** Everything that is thrown while Nest answers a request. */
@Catch()
export class HttpErrors implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendError(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>(), this.log);
  }
}
