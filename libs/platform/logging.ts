import { inspect } from 'node:util';
import pino from 'pino';
import type { DestinationStream, Logger } from 'pino';
import type { LogLevel } from './configuration';

export type { Logger } from 'pino';

const CREDENTIALS = /([?&](?:token|accesskey)=)[^&#]*/gi;
const HIDDEN = '[hidden]';

/** A URL that may be logged: credentials in its query are hidden. */
export const withoutCredentials = (url: string): string => url.replace(CREDENTIALS, `$1${HIDDEN}`);

/** Wherever they turn up in what is logged, one level down or two. */
const SECRET_FIELDS = ['authorization', 'cookie', 'password', 'token', 'accesskey', 'secret', 'passwordHash'];

interface LoggedRequest {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly url?: unknown;
  readonly ip?: unknown;
}

/**
 * JSON lines, one an event, on stderr (stdout is for the few plain lines that a person waits for). Credentials are never in them, whoever logs what.
 */
export function createLogger(level: LogLevel, destination: DestinationStream = pino.destination({ dest: 2, sync: true })): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: HIDDEN },
      serializers: {
        err: pino.stdSerializers.err,
        error: pino.stdSerializers.err,
        // Headers are left out as a whole: a list of the harmless ones would have to be kept up.
        req: ({ id, method, url, ip }: LoggedRequest) => ({
          id,
          method,
          url: typeof url === 'string' ? withoutCredentials(url) : undefined,
          ip,
        }),
      },
    },
    destination,
  );
}

type NestMessage = unknown;

/** What Nest wants of a logger, on top of ours. Nest puts the context, and before it a stack, last among the parameters. */
export function nestLogger(
  logger: Logger,
): Record<'log' | 'error' | 'warn' | 'debug' | 'verbose' | 'fatal', (message: NestMessage, ...rest: unknown[]) => void> {
  const at =
    (level: 'info' | 'error' | 'warn' | 'debug' | 'trace' | 'fatal') =>
    (message: NestMessage, ...rest: unknown[]): void => {
      const context = rest.at(-1);
      const more = rest.slice(0, -1);
      const fields = {
        ...(typeof context === 'string' ? { context } : {}),
        ...(message instanceof Error ? { err: message } : {}),
        ...(more.length > 0 ? { more: more.map((part) => (typeof part === 'string' ? part : inspect(part))) } : {}),
      };
      logger[level](fields, message instanceof Error ? message.message : typeof message === 'string' ? message : inspect(message));
    };
  // Nest's own story of its start is for who debugs it.
  return { log: at('debug'), error: at('error'), warn: at('warn'), debug: at('debug'), verbose: at('trace'), fatal: at('fatal') };
}
