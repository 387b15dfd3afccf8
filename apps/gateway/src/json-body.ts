import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { OutdialError } from '#dialing';

export const BODY_LIMIT = 32 * 1024 * 1024;
/** Nothing that we take is nested deeper than five levels; what is far deeper is an attack on whoever walks it. */
const MAX_DEPTH = 32;

const refuse = (message: string): OutdialError => new OutdialError('INVALID_ARGUMENT', 'INVALID_JSON_BODY', message);

const NOT_TAKEN = 'The body is not JSON, or it names a member __proto__, or a constructor with a prototype, which are not taken.';

/** Bytes of JSON's structure. */
const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Whether text that may be JSON is nested deeper than `MAX_DEPTH`, told from its bytes alone, before anything is built of it. */
export function isTooDeep(text: Buffer): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at];
    if (byte === QUOTE) at = endOfString(text, at);
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth += 1;
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

function endOfString(text: Buffer, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1;
  return at;
}

/**
 * The bodies that the service takes: JSON in UTF-8, up to 32 MiB. No body at all is `undefined`, whatever Content-Type says, so that clients which always
 * name one can pause an outdial. Names that mean something to JavaScript (`__proto__`) are refused by Fastify's own parser.
 */
export function takeJsonBodies(fastify: FastifyInstance): void {
  const parse = fastify.getDefaultJsonParser('error', 'error');
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, body, done) => {
    // parseAs: 'buffer' makes it one; Fastify's types do not know.
    const bytes = body as Buffer;
    if (bytes.length === 0) {
      done(null, undefined);
    } else if (!isUtf8(bytes)) {
      done(refuse('The body is not UTF-8.'));
    } else if (isTooDeep(bytes)) {
      done(refuse(`The body is nested more than ${MAX_DEPTH} levels deep.`));
    } else {
      if (request.headers['idempotency-key'] !== undefined) request.bodyHash = createHash('sha256').update(bytes).digest('hex');
      void parse(request, bytes.toString('utf8'), (error, value) => {
        if (error) done(refuse(NOT_TAKEN));
        else done(null, value);
      });
    }
  });
  fastify.addContentTypeParser('*', (request: FastifyRequest, _payload: IncomingMessage, done) => {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    if ((length === undefined || length === '0') && encoding === undefined) done(null, undefined);
    else done(new OutdialError('UNSUPPORTED_MEDIA_TYPE', 'UNSUPPORTED_MEDIA_TYPE', 'Send the body as Content-Type: application/json.'));
  });
}
