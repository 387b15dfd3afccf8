import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import { CreateWebhook, DeleteWebhook, GetWebhook, ListWebhooks, ResumeWebhook, WEBHOOK_EVENTS } from '#application';
import type { RequestContext } from '#application';
import { Answer } from './answer';
import { as, detail, maybe, NoFields, refused } from './dto/rules';
import { CreatedWebhook, NewWebhook, WebhookAnswer, WebhookList } from './dto/webhook.dto';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';
import { Operation } from './openapi';
import { Asked } from './request-context';
import { webhookWire } from './wire';
import { wrongUrl } from './engine/webhook-sender';

@ApiTags('Webhooks')
@Controller('v1.0/webhooks')
export class WebhooksController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    @Inject(ENGINE) private readonly engine: Engine,
  ) {}

  private get logId(): string {
    return this.engine.ports.events.logId;
  }

  @Post()
  @Operation({
    summary: 'Has changes of targets POSTed to a URL, signed, from now on.',
    description:
      'At least once, a target’s in order. Headers `Webhook-Id`, `Webhook-Timestamp` (seconds) and `Webhook-Signature`: `v1,` and base64 of the HMAC-SHA256 over `<id>.<timestamp>.<body>`, as Standard Webhooks has it.',
    answers: CreatedWebhook,
    status: 201,
    writes: 'post',
  })
  async createWebhook(@Asked() context: RequestContext, @Body(as(NewWebhook)) body: NewWebhook): Promise<Answer> {
    const wrong = await wrongUrl(body.url, this.engine.webhooksMayBePrivate);
    if (wrong !== null) throw refused([detail('url', wrong, body.url)]);
    const events = WEBHOOK_EVENTS.filter((event) => body.events?.includes(event));
    const made = await this.commands.execute(new CreateWebhook(context, body.url, events, body.secret ?? null));
    return new Answer(201, { ...webhookWire(made, this.logId), secret: made.webhook.secret });
  }

  @Get()
  @Operation({ summary: 'Lists the webhooks, newest first.', answers: WebhookList, reads: true })
  async listWebhooks(@Asked() context: RequestContext): Promise<Answer> {
    const all = await this.queries.execute(new ListWebhooks(context));
    return new Answer(200, { result: all.map((one) => webhookWire(one, this.logId)), next_page_token: '' });
  }

  @Get(':id')
  @Operation({
    summary: 'Answers a webhook, without its secret, and how far it has come.',
    answers: WebhookAnswer,
    reads: true,
    errors: ['NOT_FOUND'],
  })
  async getWebhook(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return new Answer(200, webhookWire(await this.queries.execute(new GetWebhook(context, id)), this.logId));
  }

  @Delete(':id')
  @Operation({ summary: 'Ends a webhook.', answers: WebhookAnswer, writes: 'unkeyed', errors: ['NOT_FOUND'] })
  async deleteWebhook(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return new Answer(200, webhookWire(await this.commands.execute(new DeleteWebhook(context, id)), this.logId));
  }

  @Post(':id/resume')
  @HttpCode(200)
  @Operation({
    summary: 'Tries a failing or parked webhook again at once, from where it stopped.',
    answers: WebhookAnswer,
    writes: 'post',
    optionalBody: NoFields,
    errors: ['NOT_FOUND'],
  })
  async resumeWebhook(@Param('id') id: string, @Asked() context: RequestContext, @Body(maybe(NoFields)) _: NoFields): Promise<Answer> {
    return new Answer(200, webhookWire(await this.commands.execute(new ResumeWebhook(context, id)), this.logId));
  }
}
