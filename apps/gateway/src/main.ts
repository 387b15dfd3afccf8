import 'reflect-metadata';
import { rmSync } from 'node:fs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createLogger, readConfiguration, serviceFile, writePrivateFile } from '#platform';
import type { Configuration, Logger } from '#platform';
import { startEngine } from './engine/engine';
import type { Engine } from './engine/engine';
import { createGateway } from './gateway.module';
import { keepHeapsSmall } from './heap-growth';
import { endOnSignal, listen, say } from './process';

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
    endOnSignal('the service', app, () => close(engine, config), log);
  } catch (error) {
    await app?.close();
    await engine.stop();
    throw error;
  }
}

async function close(engine: Engine, config: Configuration): Promise<void> {
  await engine.stop();
  rmSync(serviceFile(config.dataDir), { force: true });
}

async function main(): Promise<void> {
  keepHeapsSmall();
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
