import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { LogController } from 'fastify';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { OutdialError } from '#dialing';
import { withoutCredentials } from '#platform';
import type { Logger, Metrics } from '#platform';
import type { Principal } from '#application';
import { sendAnswers } from './answer';
import { errorAnswer, routeNotFound, sendError } from './http-errors';
import { takeImportBodies } from './imports';
import { BODY_LIMIT, takeJsonBodies } from './json-body';
import { letPass } from './let-pass';
import { readPathIds } from './request-context';

/** Everything under it belongs to a customer and needs a credential. */
const API = '/v1.0/';

/** The caller's own id is kept when it can be logged and sent back as it is; else the request gets one. */
function requestIdOf({ headers }: IncomingMessage): string {
  const asked = headers['x-request-id'];
  return typeof asked === 'string' && /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/.test(asked) ? asked : randomUUID();
}

/** Fastify, set up so that whatever it refuses before Nest sees the request is refused in our words. */
export function createAdapter(log: Logger): FastifyAdapter {
  const options: FastifyHttpOptions<Server> = {
    loggerInstance: log,
    // Requests are logged below, after the answer. A logger for each of them would cost more than most requests do.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    bodyLimit: BODY_LIMIT,
    genReqId: requestIdOf,
    routerOptions: { maxParamLength: 1000 },
    // Requests that arrive on open connections while the service ends are finished like all others.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      sendError(error, request, reply, log);
    },
    clientErrorHandler: (error, socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) {
        socket.destroy();
        return;
      }
      socket.end(malformedRequest(error.code));
    },
  };
  return new FastifyAdapter(options);
}

/** What is no HTTP, or too much of it, gets as far as the socket. */
function malformedRequest(code: string): string {
  const requestId = randomUUID();
  const refusal = new OutdialError('INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'This is not an HTTP request that can be read.');
  const { headers, body } = errorAnswer(refusal, requestId);
  const [status, reason] = code === 'HPE_HEADER_OVERFLOW' ? [431, 'Request Header Fields Too Large'] : [400, 'Bad Request'];
  const lines = [
    `HTTP/1.1 ${status} ${reason}`,
    ...Object.entries({ ...headers, 'x-request-id': requestId }).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

export interface RequestServices {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly logId: string;
  readonly principalOf: (request: FastifyRequest) => Promise<Principal>;
}

/** What happens to every request before and after its controller. Called once, before any route is made. */
export function serveRequests(fastify: FastifyInstance, { log, metrics, logId, principalOf }: RequestServices): void {
  const routes = new Routes();
  fastify.decorateRequest('principal', null);
  fastify.decorateRequest('logId', logId);
  fastify.decorateRequest('bodyHash', '');
  fastify.decorateRequest('run', null);
  takeJsonBodies(fastify);
  takeImportBodies(fastify);
  sendAnswers(fastify, logId);
  fastify.addHook('onRoute', ({ method, url }) => {
    routes.add(url, [method].flat());
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done(request.is404 ? routes.missing(request, reply) : undefined);
  });
  // Before the body is read: who may not send one is not to be listened to.
  fastify.addHook('onRequest', async (request) => {
    if (!request.routeOptions.url?.startsWith(API)) return;
    request.principal = await principalOf(request);
    readPathIds(request);
  });
  fastify.addHook('onSend', (request, reply, payload, done) => {
    if (reply.statusCode >= 400) {
      // Fastify would close the connection at once.
      reply.removeHeader('connection');
      letPass(request);
    }
    done(null, payload);
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const { method, id } = request;
    metrics.observeRequest(method, request.routeOptions.url ?? '', reply.statusCode, reply.elapsedTime / 1000);
    if (log.isLevelEnabled('debug')) {
      const url = withoutCredentials(request.url);
      log.debug({ request_id: id, method, url, status: reply.statusCode, milliseconds: reply.elapsedTime }, 'request answered');
    }
    done();
  });
}

/** The routes by their paths, to tell a wrong method from a wrong path. */
class Routes {
  private readonly methods = new Map<string, { readonly path: RegExp; readonly methods: Set<string> }>();

  add(template: string, methods: readonly string[]): void {
    const known = this.methods.get(template) ?? { path: pathOf(template), methods: new Set() };
    for (const method of methods) known.methods.add(method);
    this.methods.set(template, known);
  }

  /** 405 with what is allowed when the path has other methods, else 404. */
  missing(request: FastifyRequest, reply: FastifyReply): OutdialError {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = [...this.methods.values()].filter((route) => route.path.test(path)).flatMap((route) => [...route.methods]);
    if (allowed.length === 0) return routeNotFound();
    const list = [...new Set(allowed)].sort().join(', ');
    reply.header('allow', list);
    return new OutdialError('METHOD_NOT_ALLOWED', 'METHOD_NOT_ALLOWED', `This path takes ${list}, not ${request.method}.`);
  }
}

/** `/v1.0/outdials/:id` and `/docs/*` as a pattern. */
function pathOf(template: string): RegExp {
  const parts = template.split(/(:\w+|\*)/).map((part) => {
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`);
}
