import 'reflect-metadata';
import { rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConfigurationError, createLogger, readConfiguration, serviceFile, writePrivateFile } from '#platform';
import type { Configuration, Logger } from '#platform';
import { startEngine } from './engine';
import type { Engine } from './engine';
import { createGateway } from './gateway.module';

/** How long requests under way may take to finish once the service has been told to end. */
const DRAIN_MILLIS = 10_000;
/** How often connections that have become idle meanwhile are closed: their clients keep them for a next request that nobody will take. */
const IDLE_MILLIS = 50;

/** Lines for who started it, on stdout; the log goes to stderr. */
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function listen(app: NestFastifyApplication, { host, port }: Configuration): Promise<string> {
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

/** Takes no new requests, finishes those under way as far as the time allows, and closes the stores. */
async function shutDown(app: NestFastifyApplication, engine: Engine, config: Configuration, log: Logger): Promise<void> {
  const server = app.getHttpServer();
  const timer = setTimeout(() => {
    log.warn({ after: DRAIN_MILLIS }, 'requests are still under way; their connections are cut');
    server.closeAllConnections();
  }, DRAIN_MILLIS);
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_MILLIS);
  await app.close();
  clearInterval(idle);
  clearTimeout(timer);
  await engine.stop();
  rmSync(serviceFile(config.dataDir), { force: true });
}

async function start(config: Configuration, log: Logger): Promise<void> {
  const engine = await startEngine(config, log);
  let app: NestFastifyApplication | null = null;
  try {
    const { generatedPassword } = await engine.bootstrapAdmin(config.adminUsername, config.adminPassword);
    // Before anything else can fail: it is stored by now, and nobody will see it again.
    if (generatedPassword !== undefined) {
      say(`the first user is ${config.adminUsername} with the password ${generatedPassword} (shown only now)`);
    }
    app = await createGateway(engine, config.jwtSecret, log);
    const url = await listen(app, config);
    writePrivateFile(serviceFile(config.dataDir), `${JSON.stringify({ pid: process.pid, url })}\n`);
    say(`listening on ${url}`);
    endOnSignal(app, engine, config, log);
  } catch (error) {
    await app?.close();
    await engine.stop();
    throw error;
  }
}

function endOnSignal(app: NestFastifyApplication, engine: Engine, config: Configuration, log: Logger): void {
  let ending = false;
  const end = (signal: NodeJS.Signals): void => {
    if (ending) return;
    ending = true;
    log.info({ signal }, 'the service ends');
    shutDown(app, engine, config, log).then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal({ err: error }, 'the service did not end in an orderly way');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
}

async function main(): Promise<void> {
  let log: Logger | null = null;
  try {
    const config = readConfiguration(process.env);
    log = createLogger(config.logLevel);
    await start(config, log);
  } catch (error) {
    // One line for a person; where it came from is for who debugs it.
    log?.debug({ err: error }, 'the service did not start');
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

void main();
