import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConfigurationError } from '#platform';
import type { Configuration, Logger } from '#platform';

/** How long requests under way may take to finish once the process has been told to end. */
const DRAIN_MILLIS = 10_000;
/** How often connections that have become idle meanwhile are closed: their clients keep them for a next request that nobody will take. */
const IDLE_MILLIS = 50;

/** Lines for who started it, on stdout; the log goes to stderr. */
export const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Listens where the configuration says, and answers the URL. Throws ConfigurationError when it cannot. */
export async function listen(app: NestFastifyApplication, { host, port }: Pick<Configuration, 'host' | 'port'>): Promise<string> {
  try {
    // Nest's own listen would log the failure, too: it is told once, below.
    await app.getHttpAdapter().getInstance().listen({ host, port });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code === 'EADDRINUSE') throw new ConfigurationError(`PORT: ${port} on ${host} is taken by another process (${code}).`);
    if (code === 'EACCES') throw new ConfigurationError(`PORT: ${port} may not be listened on by this user (${code}).`);
    throw new ConfigurationError(`HOST: ${host} cannot be listened on (${code}).`);
  }
  const { address, family, port: actual } = app.getHttpServer().address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}`;
}

/** Takes no new requests, finishes those under way as far as the time allows, and closes what is behind them. */
async function shutDown(app: NestFastifyApplication, close: () => Promise<void>, log: Logger): Promise<void> {
  const server = app.getHttpServer();
  const timer = setTimeout(() => {
    log.warn({ after: DRAIN_MILLIS }, 'requests are still under way; their connections are cut');
    server.closeAllConnections();
  }, DRAIN_MILLIS);
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_MILLIS);
  await app.close();
  clearInterval(idle);
  clearTimeout(timer);
  await close();
}

/** SIGTERM and SIGINT end the process in an orderly way: exit code 0. */
export function endOnSignal(what: string, app: NestFastifyApplication, close: () => Promise<void>, log: Logger): void {
  let ending = false;
  const end = (signal: NodeJS.Signals): void => {
    if (ending) return;
    ending = true;
    log.info({ signal }, `${what} ends`);
    shutDown(app, close, log).then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal({ err: error }, `${what} did not end in an orderly way`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
}
