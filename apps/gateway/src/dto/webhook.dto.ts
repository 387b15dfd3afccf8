import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { WEBHOOK_EVENTS } from '#application';
import { an, EXAMPLE } from './common.dto';
import { Choices, Text } from './rules';

const STATES = ['active', 'failing', 'parked'];
const POSITION = 'M2Y5ZTow';

export class NewWebhook {
  @Text({
    min: 1,
    max: 2000,
    description: 'Where to POST to: http or https, no private address.',
    example: 'https://example.com/hooks/outdial',
  })
  url!: string;

  @Choices({
    of: WEBHOOK_EVENTS,
    description: 'Which changes it is told of: to these statuses, and deletions. None: all.',
    optional: true,
    example: ['target.done'],
  })
  events?: string[];

  @Text({
    min: 16,
    max: 255,
    description: 'What deliveries are signed with. Left out: one is made.',
    optional: true,
    example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  })
  secret?: string;
}

@ApiSchema({ name: 'ParkedDelivery' })
export class ParkedDeliveryAnswer {
  @ApiProperty(an.text('The delivery’s id.', POSITION))
  id!: string;

  @ApiProperty({ type: String, enum: WEBHOOK_EVENTS, description: 'What it was about.', example: 'target.done' })
  type!: string;

  @ApiProperty(an.id('The outdial.', EXAMPLE.outdial))
  outdial_id!: string;

  @ApiProperty(an.id('The target.', EXAMPLE.target))
  target_id!: string;

  @ApiProperty(an.text('Why it was given up.', 'the endpoint answered 422'))
  reason!: string;

  @ApiProperty(an.moment('When it was given up.', EXAMPLE.later))
  tm!: string;
}

@ApiSchema({ name: 'Webhook' })
export class WebhookAnswer {
  @ApiProperty(an.id('The webhook’s id.', EXAMPLE.accessKey))
  id!: string;

  @ApiProperty(an.text('Where it is POSTed to.', 'https://example.com/hooks/outdial'))
  url!: string;

  @ApiProperty({
    type: 'array',
    items: { type: 'string', enum: [...WEBHOOK_EVENTS] },
    description: 'What it is told of.',
    example: ['target.done'],
  })
  events!: string[];

  @ApiProperty({
    type: String,
    enum: STATES,
    description: '`failing`: being tried again. `parked`: it failed for a day and waits to be resumed.',
    example: 'active',
  })
  state!: string;

  @ApiProperty(an.text('Everything up to here has been delivered or parked.', POSITION))
  position!: string;

  @ApiProperty({ type: String, nullable: true, description: 'Why the last delivery failed; null since one succeeded.', example: null })
  last_error!: string | null;

  @ApiProperty(an.moment('When something was last delivered.', EXAMPLE.later))
  tm_last_delivery!: string;

  @ApiProperty(an.count('Deliveries that the endpoint refused for good.', 0))
  parked_total!: number;

  @ApiProperty({ type: () => [ParkedDeliveryAnswer], description: 'The newest hundred of them, oldest first.' })
  parked!: ParkedDeliveryAnswer[];

  @ApiProperty(an.moment('When it was created.'))
  tm_create!: string;
}

@ApiSchema({ name: 'CreatedWebhook' })
export class CreatedWebhook extends WebhookAnswer {
  @ApiProperty(an.text('What deliveries are signed with: shown here and never again.', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'))
  secret!: string;
}

@ApiSchema({ name: 'WebhookList' })
export class WebhookList {
  @ApiProperty({ type: () => WebhookAnswer, isArray: true, description: 'All there are, newest first.' })
  result!: WebhookAnswer[];

  @ApiProperty(an.text('Always empty: there is one page.', ''))
  next_page_token!: string;
}
