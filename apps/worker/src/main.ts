import 'reflect-metadata';
import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createLogger, createMetrics, nestLogger, readConfiguration } from '#platform';
import type { Configuration, Logger, Metrics } from '#platform';
import { sendAnswers } from '../../gateway/src/answer';
import { ENGINE } from '../../gateway/src/engine/engine';
import { createAdapter } from '../../gateway/src/http-server';
import { keepHeapsSmall } from '../../gateway/src/heap-growth';
import { endOnSignal, listen, say } from '../../gateway/src/process';
import { METRICS, ServiceController } from '../../gateway/src/service.controller';
import { startWorker } from './worker';
import type { Worker } from './worker';

/** What a worker tells over HTTP: /healthz, /readyz and /metrics, as a gateway does. */
@Module({})
class WorkerModule {
  static of(worker: Worker, metrics: Metrics): DynamicModule {
    return {
      module: WorkerModule,
      controllers: [ServiceController],
      providers: [
        { provide: ENGINE, useValue: worker },
        { provide: METRICS, useValue: metrics },
      ],
    };
  }
}

async function createWorkerApp(worker: Worker, log: Logger): Promise<NestFastifyApplication> {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nest declares its options as a class and takes literals.
  const app = await NestFactory.create<NestFastifyApplication>(WorkerModule.of(worker, createMetrics()), createAdapter(log), {
    logger: nestLogger(log),
    abortOnError: false,
    bodyParser: false,
  });
  sendAnswers(app.getHttpAdapter().getInstance(), worker.logId);
  await app.init();
  return app;
}

async function start(config: Configuration, log: Logger): Promise<void> {
  const worker = await startWorker(config, log);
  try {
    const app = await createWorkerApp(worker, log);
    const url = await listen(app, config);
    say(`${worker.name} works; listening on ${url}`);
    endOnSignal('the worker', app, () => worker.stop(), log);
  } catch (error) {
    await worker.stop();
    throw error;
  }
}

async function main(): Promise<void> {
  keepHeapsSmall();
  let log: Logger | null = null;
  try {
    // Beside a gateway on the same machine, as the README starts them.
    const config = readConfiguration({ ...process.env, PORT: process.env['PORT'] || '3001' });
    log = createLogger(config.logLevel);
    await start(config, log);
  } catch (error) {
    log?.debug({ err: error }, 'the worker did not start');
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

void main();
