import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CqrsModule } from '@nestjs/cqrs';
import { JwtModule } from '@nestjs/jwt';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createMetrics, nestLogger } from '#platform';
import type { Logger, Metrics } from '#platform';
import { AccessController } from './access.controller';
import { AdminController } from './admin.controller';
import { AuditController } from './audit/audit.controller';
import { Authentication, jwtOptions } from './authentication';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';
import { HttpErrors } from './http-errors';
import { createAdapter, serveRequests } from './http-server';
import { Idempotent } from './idempotency';
import { Imports } from './imports';
import { LeasesController } from './leases.controller';
import { serveDocument } from './openapi';
import { OutdialsController } from './outdials.controller';
import { OutplansController } from './outplans.controller';
import { METRICS, ServiceController } from './service.controller';
import { StreamsController } from './streams.controller';
import { TargetsController } from './targets.controller';
import { WebhooksController } from './webhooks.controller';

/** The composition root: the engine brings its handlers, configuration has picked its stores. */
@Module({})
class GatewayModule {
  static of(engine: Engine, metrics: Metrics, jwtSecret: string): DynamicModule {
    return {
      module: GatewayModule,
      imports: [CqrsModule.forRoot(), JwtModule.register(jwtOptions(jwtSecret))],
      controllers: [
        OutdialsController,
        LeasesController,
        TargetsController,
        AuditController,
        StreamsController,
        WebhooksController,
        OutplansController,
        AccessController,
        ServiceController,
        AdminController,
      ],
      providers: [
        ...engine.providers,
        Authentication,
        Idempotent,
        Imports,
        { provide: ENGINE, useValue: engine },
        { provide: METRICS, useValue: metrics },
      ],
    };
  }
}

/** The whole of HTTP over an engine, ready to listen or to be asked in process. */
export async function createGateway(engine: Engine, jwtSecret: string, log: Logger): Promise<NestFastifyApplication> {
  const metrics = createMetrics();
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nest declares its options as a class and takes literals.
  const app = await NestFactory.create<NestFastifyApplication>(GatewayModule.of(engine, metrics, jwtSecret), createAdapter(log), {
    logger: nestLogger(log),
    abortOnError: false,
    bodyParser: false,
  });
  const fastify = app.getHttpAdapter().getInstance();
  const authentication = app.get(Authentication);
  serveRequests(fastify, { log, metrics, logId: engine.ports.events.logId, principalOf: (request) => authentication.principalOf(request) });
  // A stream has no end of its own: those who listen come back to whoever serves then.
  fastify.addHook('preClose', (done) => {
    engine.feed.stop();
    done();
  });
  fastify.addHook('onClose', (_, done) => {
    metrics.close();
    done();
  });
  app.useGlobalFilters(new HttpErrors(log));
  serveDocument(app);
  await app.init();
  await fastify.ready();
  return app;
}
