import { Controller, Get, Inject, Redirect, Res } from '@nestjs/common';
import { ApiExcludeEndpoint, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { Metrics } from '#platform';
import { Answer } from './answer';
import { ReadinessAnswer } from './dto/service.dto';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';
import { Operation } from './openapi';

export const METRICS = Symbol('metrics');

/** What who runs the service asks it: no credential needed, nothing of any customer told. */
@ApiTags('Service')
@Controller()
export class ServiceController {
  constructor(
    @Inject(ENGINE) private readonly engine: Engine,
    @Inject(METRICS) private readonly metrics: Metrics,
  ) {}

  @Get()
  @Redirect('/docs', 302)
  @ApiExcludeEndpoint()
  root(): void {
    // The decorator says where to.
  }

  @Get('healthz')
  @Operation({ summary: 'Says that the process is alive.', answers: ReadinessAnswer, open: true, bare: true })
  alive(): Answer {
    return new Answer(200, { status: 'ok', parts: {} });
  }

  @Get('readyz')
  @Operation({
    summary: 'Says whether the stores are reachable and the read models up to date, and what is not.',
    answers: ReadinessAnswer,
    open: true,
    bare: true,
  })
  @ApiResponse({ status: 503, description: 'Something is not: see its part.', type: ReadinessAnswer })
  async ready(): Promise<Answer> {
    const parts = await this.engine.readiness();
    const ok = Object.values(parts).every((part) => part.ok);
    return new Answer(ok ? 200 : 503, { status: ok ? 'ok' : 'unavailable', parts });
  }

  @Get('metrics')
  @ApiProduces('text/plain')
  @Operation({ summary: 'Figures for Prometheus.', answers: String, open: true, bare: true })
  async figures(@Res() reply: FastifyReply): Promise<void> {
    const text = await this.metrics.render(this.engine.figures());
    await reply.type(this.metrics.contentType).send(text);
  }
}
