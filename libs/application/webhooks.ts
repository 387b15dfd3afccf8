import { Command, CommandHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IQueryHandler } from '@nestjs/cqrs';
import { conflict, notFound } from '#dialing';
import { derivedId } from './derived-id';
import type { RequestContext } from './request';
import { WebhookDeliveries } from './webhook-delivery';
import { WEBHOOK_EVENTS } from './webhook-records';
import type { Webhook, WebhookEvent, WebhookStanding } from './webhook-records';

/** Webhooks a customer may have: each of them follows the log by itself. */
const MOST = 100;

/** Result: the webhook, its secret with it. */
export class CreateWebhook extends Command<WebhookStanding> {
  constructor(
    readonly context: RequestContext,
    readonly url: string,
    readonly events: readonly WebhookEvent[],
    /** null: one is made. */
    readonly secret: string | null,
  ) {
    super();
  }
}
export class DeleteWebhook extends Command<WebhookStanding> {
  constructor(
    readonly context: RequestContext,
    readonly webhookId: string,
  ) {
    super();
  }
}
/** Tries a parked or failing webhook again at once, from where it stopped. */
export class ResumeWebhook extends Command<WebhookStanding> {
  constructor(
    readonly context: RequestContext,
    readonly webhookId: string,
  ) {
    super();
  }
}
export class GetWebhook extends Query<WebhookStanding> {
  constructor(
    readonly context: RequestContext,
    readonly webhookId: string,
  ) {
    super();
  }
}
/** Newest first. */
export class ListWebhooks extends Query<readonly WebhookStanding[]> {
  constructor(readonly context: RequestContext) {
    super();
  }
}

const webhookNotFound = (id: string): Error => notFound('WEBHOOK_NOT_FOUND', `There is no webhook ${id}.`);

async function standing(deliveries: WebhookDeliveries, { customerId }: RequestContext, id: string): Promise<WebhookStanding> {
  const webhook = await deliveries.records.get(customerId, id);
  if (webhook === null) throw webhookNotFound(id);
  return { webhook, progress: await deliveries.progressOf(webhook) };
}

@CommandHandler(CreateWebhook)
export class CreateWebhookHandler implements ICommandHandler<CreateWebhook> {
  constructor(private readonly deliveries: WebhookDeliveries) {}

  async execute({ context, url, events, secret }: CreateWebhook): Promise<WebhookStanding> {
    const { records, ports } = this.deliveries;
    const { customerId } = context;
    const id = derivedId(context.commandId, 'webhook');
    const before = await records.get(customerId, id);
    // This very request, run again after a crash.
    if (before !== null) return { webhook: before, progress: await this.deliveries.progressOf(before) };
    if ((await records.list(customerId)).length >= MOST) {
      throw conflict('TOO_MANY_WEBHOOKS', `There are ${MOST} webhooks already: delete one first.`);
    }
    const webhook: Webhook = {
      id,
      customerId,
      url,
      events: events.length === 0 ? WEBHOOK_EVENTS : WEBHOOK_EVENTS.filter((event) => events.includes(event)),
      secret: secret ?? `whsec_${Buffer.from(ports.randomness.token(), 'base64url').toString('base64')}`,
      tmCreate: ports.clock.now(),
      from: await ports.events.head(),
    };
    await records.create(webhook);
    this.deliveries.begin(webhook);
    return { webhook, progress: await this.deliveries.progressOf(webhook) };
  }
}

@CommandHandler(DeleteWebhook)
export class DeleteWebhookHandler implements ICommandHandler<DeleteWebhook> {
  constructor(private readonly deliveries: WebhookDeliveries) {}

  async execute({ context, webhookId }: DeleteWebhook): Promise<WebhookStanding> {
    const found = await standing(this.deliveries, context, webhookId);
    await this.deliveries.end(webhookId);
    await this.deliveries.records.remove(found.webhook);
    return found;
  }
}

@CommandHandler(ResumeWebhook)
export class ResumeWebhookHandler implements ICommandHandler<ResumeWebhook> {
  constructor(private readonly deliveries: WebhookDeliveries) {}

  async execute({ context, webhookId }: ResumeWebhook): Promise<WebhookStanding> {
    const { webhook } = await standing(this.deliveries, context, webhookId);
    await this.deliveries.resume(webhook);
    return { webhook, progress: await this.deliveries.progressOf(webhook) };
  }
}

@QueryHandler(GetWebhook)
export class GetWebhookHandler implements IQueryHandler<GetWebhook> {
  constructor(private readonly deliveries: WebhookDeliveries) {}

  execute({ context, webhookId }: GetWebhook): Promise<WebhookStanding> {
    return standing(this.deliveries, context, webhookId);
  }
}

@QueryHandler(ListWebhooks)
export class ListWebhooksHandler implements IQueryHandler<ListWebhooks> {
  constructor(private readonly deliveries: WebhookDeliveries) {}

  async execute({ context }: ListWebhooks): Promise<readonly WebhookStanding[]> {
    const webhooks = [...(await this.deliveries.records.list(context.customerId))].reverse();
    return Promise.all(webhooks.map(async (webhook) => ({ webhook, progress: await this.deliveries.progressOf(webhook) })));
  }
}

export const WEBHOOK_HANDLERS = [CreateWebhookHandler, DeleteWebhookHandler, ResumeWebhookHandler, GetWebhookHandler, ListWebhooksHandler];
