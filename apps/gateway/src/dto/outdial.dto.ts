import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { NEVER, NO_ID } from '#dialing';
import { an, EXAMPLE, LENGTHS, ZERO_ID } from './common.dto';
import { Id, ReadOnly, Text } from './rules';

const STATES = ['active', 'paused', 'archived'];

const name = { max: LENGTHS.name, description: 'A name that people recognise.', example: 'test outdial' };
const about = { max: LENGTHS.detail, description: 'What the list is for.', example: 'outdial for test use.' };
const data = { max: LENGTHS.data, description: 'Anything of the caller’s own: kept, never looked at.', example: 'test data' };
const campaign = { description: `The campaign that the list is attached to; ${ZERO_ID}`, example: NO_ID };
const outplan = { description: `The outplan whose policy applies; ${ZERO_ID} Then the default policy does.`, example: NO_ID };

export class NewOutdial {
  @Text({ ...name, min: 1 })
  name!: string;

  @Text({ ...about, optional: true, initially: '' })
  detail?: string;

  @Text({ ...data, optional: true, initially: '' })
  data?: string;

  @Id({ ...campaign, optional: true, initially: NO_ID })
  campaign_id?: string;

  @Id({ ...outplan, optional: true, initially: NO_ID })
  outplan_id?: string;
}

@ApiSchema({ description: 'Any subset of the fields. Those that are read-only may be sent back as they were read.' })
export class OutdialChanges {
  @ReadOnly(an.id('The outdial’s id.'))
  id?: string;

  @Id({ ...campaign, optional: true })
  campaign_id?: string;

  @Text({ ...name, min: 1, optional: true })
  name?: string;

  @Text({ ...about, optional: true })
  detail?: string;

  @Text({ ...data, optional: true })
  data?: string;

  @ReadOnly(an.moment('When it was created.'))
  tm_create?: string;

  @ReadOnly(an.moment('When it was last changed.', NEVER))
  tm_update?: string;

  @ReadOnly(an.moment('When it was deleted.', NEVER))
  tm_delete?: string;

  @Id({ ...outplan, optional: true })
  outplan_id?: string;

  @ReadOnly({ enum: STATES, description: 'Changed by pause, resume and archive.', example: 'active' })
  state?: string;
}

export class CampaignChange {
  @Id(campaign)
  campaign_id!: string;
}

export class DataChange {
  @Text(data)
  data!: string;
}

@ApiSchema({ name: 'Outdial' })
export class OutdialAnswer {
  @ApiProperty(an.id('The outdial’s id.'))
  id!: string;

  @ApiProperty(an.id(campaign.description, NO_ID))
  campaign_id!: string;

  @ApiProperty(an.text(name.description, name.example))
  name!: string;

  @ApiProperty(an.text(about.description, about.example))
  detail!: string;

  @ApiProperty(an.text(data.description, data.example))
  data!: string;

  @ApiProperty(an.moment('When it was created.'))
  tm_create!: string;

  @ApiProperty(an.moment('When it was last changed.', NEVER))
  tm_update!: string;

  @ApiProperty(an.moment('When it was deleted.', NEVER))
  tm_delete!: string;

  @ApiProperty(an.id(outplan.description, NO_ID))
  outplan_id!: string;

  @ApiProperty({
    enum: STATES,
    description: 'Paused, archived and deleted outdials hand out no leases and start no attempts.',
    example: 'active',
  })
  state!: string;
}

const NEXT_PAGE = an.text('Send it as `page_token` for the next page; empty when nothing older exists.', EXAMPLE.created);

@ApiSchema({ name: 'OutdialPage' })
export class OutdialPage {
  @ApiProperty({ type: () => OutdialAnswer, isArray: true, description: 'Newest first.' })
  result!: OutdialAnswer[];

  @ApiProperty(NEXT_PAGE)
  next_page_token!: string;
}

@ApiSchema({ name: 'ProgressTargets' })
class ProgressTargets {
  @ApiProperty(an.count('All that are not deleted.', 1000))
  total!: number;

  @ApiProperty(an.count('Waiting to be dialed.', 50))
  idle!: number;

  @ApiProperty(an.count('Being dialed.', 0))
  progressing!: number;

  @ApiProperty(an.count('Ended.', 950))
  done!: number;
}

@ApiSchema({ name: 'ProgressDone' })
class ProgressDone {
  @ApiProperty(an.count('Ended because somebody answered.', 800))
  answered!: number;

  @ApiProperty(an.count('Ended because nothing was left to dial.', 150))
  exhausted!: number;

  @ApiProperty(an.count('Ended by request.', 0))
  canceled!: number;
}

@ApiSchema({ name: 'ProgressMinute' })
class ProgressMinute {
  @ApiProperty(an.moment('When the minute began.', '2022-04-30 17:53:00.000000'))
  tm!: string;

  @ApiProperty(an.count('Attempts that ended in it, by a report or by expiry.', 40))
  ended!: number;

  @ApiProperty(an.count('Answers that were reported in it.', 15))
  answered!: number;
}

@ApiSchema({ name: 'ProgressAttempts' })
class ProgressAttempts {
  @ApiProperty(an.count('Every attempt ever started, but for released ones.', 2150))
  total!: number;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'integer', minimum: 0 },
    description: 'By outcome, and `under_way`.',
    example: { answered: 800, busy: 1300, no_answer: 50, under_way: 0 },
  })
  by_outcome!: Record<string, number>;

  @ApiProperty({
    type: 'array',
    items: { type: 'integer', minimum: 0 },
    minItems: 5,
    maxItems: 5,
    description: 'By destination, 0 to 4.',
    example: [2150, 0, 0, 0, 0],
  })
  by_destination!: number[];

  @ApiProperty({
    type: 'array',
    items: { type: 'integer', minimum: 0 },
    minItems: 5,
    maxItems: 5,
    description: 'Answered attempts by destination, 0 to 4.',
    example: [800, 0, 0, 0, 0],
  })
  answered_by_destination!: number[];

  @ApiProperty({
    type: 'array',
    items: { type: 'integer', minimum: 0 },
    description: 'By the number of the try on its destination; first tries first.',
    example: [1400, 750],
  })
  by_try!: number[];

  @ApiProperty({
    type: 'array',
    items: { type: 'integer', minimum: 0 },
    description: 'Answered attempts by the number of the try.',
    example: [600, 200],
  })
  answered_by_try!: number[];

  @ApiProperty({
    type: () => [ProgressMinute],
    description: 'Of the last 24 hours, the minutes in which attempts ended or answers were reported, oldest first.',
  })
  by_minute!: ProgressMinute[];
}

@ApiSchema({ name: 'Progress' })
export class ProgressAnswer {
  @ApiProperty({ type: () => ProgressTargets })
  targets!: ProgressTargets;

  @ApiProperty({ type: () => ProgressDone })
  done!: ProgressDone;

  @ApiProperty({ type: () => ProgressAttempts })
  attempts!: ProgressAttempts;

  @ApiProperty(an.count('Targets that may be dialed now; 0 when the outdial is paused or archived.', 0))
  callable!: number;

  @ApiProperty(an.count('Idle targets that are not due yet.', 50))
  waiting!: number;

  @ApiProperty(an.moment('When the next target becomes callable.', EXAMPLE.later))
  next_callable_at!: string;

  @ApiProperty({ type: Number, minimum: 0, maximum: 1, description: 'Share of the targets that were attempted at least once.', example: 1 })
  penetration!: number;

  @ApiProperty({ type: Number, minimum: 0, maximum: 1, description: 'Answered ÷ ended attempts; 0 when none has ended.', example: 0.37 })
  connect_rate!: number;

  @ApiProperty(an.moment('The moment that all this is told for.', EXAMPLE.later))
  tm!: string;
}
