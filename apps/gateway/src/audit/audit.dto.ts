import { ApiProperty } from '@nestjs/swagger';
import { EXAMPLE } from '../dto/common.dto';
import { AttemptAnswer } from '../dto/dialing.dto';

const TOKEN = 'M2Y5ZTow';
const ANYTHING = {
  oneOf: [{ type: 'string', nullable: true }, { type: 'number' }, { type: 'boolean' }, { type: 'object' }, { type: 'array', items: {} }],
};

export class FlawAnswer {
  @ApiProperty({
    description: 'The stream that does not hold: `outdialtarget-<outdial id>.<target id>` or `outdial-<id>`.',
    example: `outdial-${EXAMPLE.outdial}`,
  })
  stream!: string;
  @ApiProperty({ type: 'integer', description: 'Of the first event that does not fit, or that is missing.', example: 2 })
  revision!: number;
  @ApiProperty({ type: String, nullable: true, description: 'That event’s id; null when it is missing.', example: null })
  event_id!: string | null;
  @ApiProperty({ example: 'its hash is not that of its content and of the event before it' })
  reason!: string;
}

export class ChainAnswer {
  @ApiProperty({
    description: 'Every event continues the one before it, and its content has the hash that was stored with it.',
    example: true,
  })
  ok!: boolean;
  @ApiProperty({ type: 'integer', description: 'Events read.', example: 12 })
  events!: number;
  @ApiProperty({ type: 'integer', description: 'Streams that do not hold.', example: 0 })
  flawed!: number;
  @ApiProperty({ type: [FlawAnswer], description: 'The first event that does not fit, of up to a hundred streams.', example: [] })
  flaws!: FlawAnswer[];
}

export class AttemptEventAnswer {
  @ApiProperty({ format: 'uuid', example: EXAMPLE.attempt })
  id!: string;
  @ApiProperty({ example: 'DialAttemptStarted' })
  type!: string;
  @ApiProperty({ description: 'Where it stands in the log.', example: TOKEN })
  position!: string;
  @ApiProperty({ example: EXAMPLE.created })
  tm!: string;
}

export class AuditRowAnswer extends AttemptAnswer {
  @ApiProperty({ description: 'The target’s name.', example: 'Jane Doe' })
  name!: string;
  @ApiProperty({ type: String, nullable: true, description: 'The caller’s own id for the target.', example: 'crm-4711' })
  external_id!: string | null;
  @ApiProperty({ type: 'integer', description: 'Milliseconds between two tries that were in force.', example: 600000 })
  try_interval!: number;
  @ApiProperty({ type: 'integer', description: 'Limit of destination 0 that was in force.', example: 3 })
  max_try_count_0!: number;
  @ApiProperty({ type: 'integer', example: 3 })
  max_try_count_1!: number;
  @ApiProperty({ type: 'integer', example: 3 })
  max_try_count_2!: number;
  @ApiProperty({ type: 'integer', example: 3 })
  max_try_count_3!: number;
  @ApiProperty({ type: 'integer', example: 3 })
  max_try_count_4!: number;
  @ApiProperty({ type: [AttemptEventAnswer], description: 'The events that made it what it is.' })
  events!: AttemptEventAnswer[];
  @ApiProperty({ description: 'Whether the chain of the target’s events holds.', example: true })
  chain_ok!: boolean;
}

export class AuditAnswer {
  @ApiProperty({ type: [AuditRowAnswer] })
  result!: AuditRowAnswer[];
  @ApiProperty({ type: ChainAnswer })
  chain!: ChainAnswer;
}

export class AuditSummaryAnswer {
  @ApiProperty({ description: '`{total, idle, progressing, done}`, as of now.', example: { total: 2, idle: 0, progressing: 0, done: 2 } })
  targets!: object;
  @ApiProperty({ description: '`{answered, exhausted, canceled}`', example: { answered: 1, exhausted: 1, canceled: 0 } })
  done!: object;
  @ApiProperty({
    description:
      '`{total, by_outcome, by_destination, answered_by_destination, released}`: attempts started in the period; released ones apart.',
    example: {
      total: 2,
      by_outcome: { answered: 1, busy: 1 },
      by_destination: [2, 0, 0, 0, 0],
      answered_by_destination: [1, 0, 0, 0, 0],
      released: 0,
    },
  })
  attempts!: object;
  @ApiProperty({ type: Number, description: 'Share of targets attempted at least once.', example: 1 })
  penetration!: number;
  @ApiProperty({ type: Number, description: 'Answered ÷ ended.', example: 0.5 })
  connect_rate!: number;
  @ApiProperty({ example: EXAMPLE.created })
  tm_first_attempt!: string;
  @ApiProperty({ example: EXAMPLE.created })
  tm_last_attempt!: string;
  @ApiProperty({ type: ChainAnswer })
  chain!: ChainAnswer;
  @ApiProperty({ description: 'The position in the log that was replayed up to.', example: TOKEN })
  upto!: string;
}

export class DifferenceAnswer {
  @ApiProperty({ description: 'A target’s id; the outdial’s when it is about the counters.', format: 'uuid', example: EXAMPLE.target })
  id!: string;
  @ApiProperty({ example: 'status' })
  field!: string;
  @ApiProperty({ ...ANYTHING, description: 'What the events say.' })
  events!: unknown;
  @ApiProperty({ ...ANYTHING, description: 'What the read model says.' })
  read_model!: unknown;
}

export class VerificationAnswer {
  @ApiProperty({ type: 'integer', description: 'Events replayed.', example: 12 })
  events!: number;
  @ApiProperty({ type: 'integer', example: 3 })
  targets!: number;
  @ApiProperty({ description: 'The chain holds, and the read models say what the events say.', example: true })
  consistent!: boolean;
  @ApiProperty({ type: [DifferenceAnswer], description: 'Up to a hundred.', example: [] })
  differences!: DifferenceAnswer[];
  @ApiProperty({ type: ChainAnswer })
  chain!: ChainAnswer;
  @ApiProperty({ description: 'The position in the log that was replayed up to.', example: TOKEN })
  upto!: string;
}

export class StoredEvent {
  @ApiProperty({ format: 'uuid', example: EXAMPLE.attempt })
  id!: string;
  @ApiProperty({ example: 'TargetAdded' })
  type!: string;
  @ApiProperty({ type: 'integer', description: 'Its number in the stream, from 0.', example: 0 })
  revision!: number;
  @ApiProperty({ example: `outdialtarget-${EXAMPLE.outdial}.${EXAMPLE.target}` })
  stream!: string;
  @ApiProperty({ description: 'Where it stands in the log.', example: TOKEN })
  position!: string;
  @ApiProperty({ example: EXAMPLE.created })
  tm!: string;
  @ApiProperty({ type: Object, description: 'What happened, as it was stored.', example: {} })
  data!: object;
  @ApiProperty({ type: Object, description: 'Time, schema version, customer, credential and request, as they were stored.', example: {} })
  metadata!: object;
  @ApiProperty({ description: 'SHA-256 over the hash before it and its own content.', example: 'a3f5…' })
  hash!: string;
}

export class StoredEvents {
  @ApiProperty({ type: [StoredEvent] })
  result!: StoredEvent[];
}
