import { randomUUID } from 'node:crypto';
import { createParamDecorator } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { OutdialError, parseMicros } from '#dialing';
import type { Micros } from '#dialing';
import type { Position } from '#event-store';
import type { AuditPeriod, ClaimIntent, PageRequest, Principal, RequestContext } from '#application';
import { detail, refused, UUID } from './dto/rules';
import { routeNotFound } from './http-errors';
import { consistencyToken } from './wire';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null outside /v1.0. Set before the body is read (authentication.ts). */
    principal: Principal | null;
    /** Identity of the event log that Consistency-Tokens of this service carry. */
    logId: string;
    /** SHA-256 of the body as it was sent; '' when there is none, or no Idempotency-Key. */
    bodyHash: string;
    /** Set by idempotency.ts when the request carries an Idempotency-Key. */
    run: { readonly commandId: string; readonly intent: ClaimIntent } | null;
  }
}

/** The context that every command and query carries, made of the credential and the headers: here and nowhere else. */
function contextOf(request: FastifyRequest): RequestContext {
  const { principal, run, headers, method } = request;
  if (!principal) throw new OutdialError('UNAUTHENTICATED', 'AUTHENTICATION_REQUIRED', 'This needs a credential.');
  const traceparent = readTraceparent(headers.traceparent);
  const consistency = method === 'GET' ? readConsistencyToken(headers['consistency-token'], request.logId) : undefined;
  const ifMatch = method === 'PUT' || method === 'DELETE' ? readIfMatch(headers['if-match']) : undefined;
  return {
    customerId: principal.customerId,
    admin: principal.admin,
    actor: principal.actor,
    requestId: request.id,
    commandId: run?.commandId ?? randomUUID(),
    fresh: run === null,
    ...(run ? { intent: run.intent } : {}),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(consistency === undefined ? {} : { consistency }),
    ...(ifMatch === undefined ? {} : { ifMatch }),
  };
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Passed on as it came (W3C Trace Context); a malformed one is dropped, as its standard wants. */
const readTraceparent = (header: string | string[] | undefined): string | undefined =>
  typeof header === 'string' && TRACEPARENT.test(header) ? header : undefined;

const invalidHeader = (name: string, reason: string, value: unknown): OutdialError =>
  refused([detail(name, reason, value)], 'INVALID_REQUEST_PARAMETER');

/** `"3"`, also weak; `*` is any revision, as no condition is. */
function readIfMatch(header: string | string[] | undefined): number | undefined {
  if (header === undefined || header === '*') return undefined;
  const revision = /^(?:W\/)?"(\d{1,15})"$/.exec(String(header).trim())?.[1];
  if (revision === undefined) throw invalidHeader('If-Match', 'must be one ETag as it was answered, like "3", or *', header);
  return Number(revision);
}

function readConsistencyToken(header: string | string[] | undefined, logId: string): string | undefined {
  if (header === undefined) return undefined;
  const text = typeof header === 'string' ? Buffer.from(header, 'base64url').toString('utf8') : '';
  const colon = text.lastIndexOf(':');
  const [log, position] = [text.slice(0, colon), text.slice(colon + 1)];
  // Decoding forgives what is no base64url; encoding again does not.
  if (colon < 1 || position === '' || consistencyToken(log, position) !== header) {
    throw invalidHeader('Consistency-Token', 'must be a token as it was answered', header);
  }
  if (log !== logId) {
    throw new OutdialError('GONE', 'OTHER_LOG', 'This Consistency-Token is of another event log: leave it out.');
  }
  return position;
}

/** A position as it was told (`consistencyToken`), from the parameter or header of that name. 410 when it is of another log. */
export function readPosition(name: string, text: string, logId: string): Position {
  const decoded = Buffer.from(text, 'base64url').toString('utf8');
  const colon = decoded.lastIndexOf(':');
  const [log, position] = [decoded.slice(0, colon), decoded.slice(colon + 1)];
  // Decoding forgives what is no base64url; encoding again does not. A log's positions are digits (and, on a cluster, more of them).
  if (colon < 1 || consistencyToken(log, position) !== text || !/^\d*$/.test(position)) {
    throw invalidHeader(name, 'must be an id as it was answered, or start', text);
  }
  if (log !== logId) {
    throw new OutdialError('GONE', 'OTHER_LOG', `This ${name} is of another event log: begin again with after=start.`);
  }
  return position;
}

const requestOf = (context: ExecutionContext): FastifyRequest => context.switchToHttp().getRequest<FastifyRequest>();

/** The request's context, as a parameter of a controller's method. */
export const Asked = createParamDecorator((_: unknown, context: ExecutionContext): RequestContext => contextOf(requestOf(context)));

/** Every id in a path is a UUID; answers have it in lower case, and so has what follows. Checked before a body is read. */
export function readPathIds(request: FastifyRequest): void {
  const parameters = request.params as Record<string, string>;
  for (const [name, text] of Object.entries(parameters)) {
    if (!/(?:^|_)id$/.test(name)) continue;
    // `/outdials/` is no outdial.
    if (text === '') throw routeNotFound();
    if (!UUID.test(text)) throw refused([detail(name, 'must be a UUID', text)], 'INVALID_ID');
    parameters[name] = text.toLowerCase();
  }
}

/** The one value of a query parameter; undefined when it is not there. */
function queryValue(request: FastifyRequest, name: string): string | undefined {
  // Fastify parses every query into an object of its own.
  const value = (request.query as Readonly<Record<string, string | readonly string[] | undefined>>)[name];
  if (value === undefined || typeof value === 'string') return value;
  throw invalidParameter(name, 'must be given once', value.join(', '));
}

export const invalidParameter = (name: string, reason: string, value?: unknown): OutdialError =>
  refused([detail(name, reason, value)], 'INVALID_REQUEST_PARAMETER');

/** A query parameter as it was sent. What we do not know in a query is ignored: proxies and caches add to it. */
export const QueryText = createParamDecorator((name: string, context: ExecutionContext): string | undefined =>
  queryValue(requestOf(context), name),
);

/** `?name=true`; false when it is not there. */
export const QueryFlag = createParamDecorator((name: string, context: ExecutionContext): boolean => {
  const value = queryValue(requestOf(context), name);
  if (value !== undefined && value !== 'true' && value !== 'false') throw invalidParameter(name, 'must be true or false', value);
  return value === 'true';
});

/** A time in a query, as answers have it or in RFC 3339; null when it is not there. */
function queryMoment(request: FastifyRequest, name: string): Micros | null {
  const text = queryValue(request, name);
  if (text === undefined) return null;
  const moment = parseMicros(text);
  if (moment === undefined) throw invalidParameter(name, 'must be a time like 2022-04-28 01:41:40.503790 or 2022-04-28T01:41:40Z', text);
  return moment;
}

export const QueryMoment = createParamDecorator((name: string, context: ExecutionContext): Micros | null =>
  queryMoment(requestOf(context), name),
);

/** `from` ≤ … < `to`; from the beginning, and for ever, when they are not there. */
export const Period = createParamDecorator((_: unknown, context: ExecutionContext): AuditPeriod => {
  const request = requestOf(context);
  return { from: queryMoment(request, 'from') ?? 0, to: queryMoment(request, 'to') ?? Number.MAX_SAFE_INTEGER };
});

const PAGE_SIZE = 100;

/** `page_size` and `page_token` (the API contract, Conventions). */
export const Paged = createParamDecorator((_: unknown, context: ExecutionContext): PageRequest => {
  const request = requestOf(context);
  const size = queryValue(request, 'page_size') ?? '';
  const rows = /^\d{1,3}$/.test(size) ? Number(size) : PAGE_SIZE;
  return { pageSize: rows >= 1 && rows <= PAGE_SIZE ? rows : PAGE_SIZE, after: readPageToken(queryValue(request, 'page_token') ?? '') };
});

function readPageToken(token: string): PageRequest['after'] {
  if (token === '') return null;
  const tilde = token.indexOf('~');
  const value = parseMicros(tilde < 0 ? token : token.slice(0, tilde));
  const id = tilde < 0 ? undefined : token.slice(tilde + 1).toLowerCase();
  if (value === undefined || (id !== undefined && !UUID.test(id))) {
    throw invalidParameter('page_token', 'must be the next_page_token of an answer, or a tm_create', token);
  }
  return { value, ...(id === undefined ? {} : { id }) };
}
