import { Controller, Get, Headers, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { ApiExcludeController } from '@nestjs/swagger';
import { OutdialError } from '#dialing';
import { ADMIN_AUDIENCE } from '#platform';
import type { GenerationStatus, QuarantinedDocument } from '#read-models';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';

/**
 * What the admin command line asks of a running service, whose stores no second process may open. Not part of the API: its only client is
 * apps/worker/src/admin.ts, which proves with JWT_SECRET that it may read the service's own secrets.
 */
@ApiExcludeController()
@Controller('admin/projections')
export class AdminController {
  constructor(
    @Inject(ENGINE) private readonly engine: Engine,
    private readonly jwt: JwtService,
  ) {}

  @Get()
  async status(@Headers('authorization') authorization?: string): Promise<readonly GenerationStatus[]> {
    await this.authorize(authorization);
    return this.engine.projections.status();
  }

  @Post('rebuild')
  @HttpCode(200)
  async rebuild(@Headers('authorization') authorization?: string): Promise<{ readonly name: string }> {
    await this.authorize(authorization);
    return { name: await this.engine.projections.rebuild() };
  }

  @Post('retry')
  @HttpCode(200)
  async retry(@Headers('authorization') authorization?: string): Promise<readonly QuarantinedDocument[]> {
    await this.authorize(authorization);
    return this.engine.projections.retry();
  }

  /** Answers when the generation has caught up and is live. */
  @Post(':name/promote')
  @HttpCode(200)
  async promote(@Param('name') name: string, @Headers('authorization') authorization?: string): Promise<{ readonly name: string }> {
    await this.authorize(authorization);
    const known = await this.engine.projections.status();
    if (!known.some((generation) => generation.name === name)) {
      throw new OutdialError('NOT_FOUND', 'GENERATION_NOT_FOUND', `There is no generation ${name}: see "projections status".`);
    }
    await this.engine.projections.promote(name);
    return { name };
  }

  private async authorize(authorization: string | undefined): Promise<void> {
    try {
      await this.jwt.verifyAsync(authorization?.replace(/^Bearer /, '') ?? '', { audience: ADMIN_AUDIENCE });
    } catch {
      throw new OutdialError('UNAUTHENTICATED', 'INVALID_CREDENTIALS', 'Only the admin command line may ask this.');
    }
  }
}
