import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { parseMicros, REPORTED_OUTCOMES } from '#dialing';
import type { ErrorDetail, ReportedOutcome } from '#dialing';
import type { LeaseRef, OutcomeReport } from '#application';
import { AddressAnswer } from './address.dto';
import { an, ErrorDetailAnswer, EXAMPLE, LENGTHS } from './common.dto';
import { check, Choice, Id, Integer, Moment, Rows, Text } from './rules';
import type { Checked } from './rules';
import { STATUSES } from './target.dto';

const MAX_ROWS = 1000;

const dialer = { max: 255, description: 'Who dials: a name of the caller’s own.', example: 'dialer-1', optional: true, initially: '' };
const leaseSeconds = {
  min: 1,
  max: 86_400,
  description: 'How long the lease lasts. Default: the outplan’s dial_timeout plus 30 s.',
  example: 90,
  optional: true,
};
const outcome = { of: REPORTED_OUTCOMES, description: 'What the call came to.', example: 'no_answer' };
const disposition = { max: 255, description: 'The business result: free text.', example: 'call-back', optional: true, nullable: true };
const note = {
  max: LENGTHS.detail,
  description: 'Kept as the attempt’s `note`.',
  example: 'asked for Mr Smith',
  optional: true,
  nullable: true,
};
const ended = { description: 'When it ended; brought between its start and now. Default: now.', optional: true, nullable: true };
const attemptId = { description: 'The attempt that was leased.', example: EXAMPLE.attempt };
const targetId = { description: 'Its target.', example: EXAMPLE.target };

export class LeaseRequest {
  @Integer({ min: 1, max: MAX_ROWS, description: 'How many targets to hand out at most.', example: 100 })
  limit!: number;

  @Text(dialer)
  dialer?: string;

  @Integer(leaseSeconds)
  lease_seconds?: number;

  @Id({ description: 'What this outplan would not allow is skipped; it never ends a target.', example: EXAMPLE.outplan, optional: true })
  outplan_id?: string;
}

/** The outcome of one attempt, whose ids are in the path. */
@ApiSchema({ name: 'Outcome' })
export class OutcomeBody {
  @Choice(outcome)
  outcome!: string;

  @Text(disposition)
  disposition?: string | null;

  @Text(note)
  detail?: string | null;

  @Moment(ended)
  tm_end?: string | null;
}

class OutcomeRow extends OutcomeBody {
  @Id(attemptId)
  attempt_id!: string;

  @Id(targetId)
  target_id!: string;
}

export class OutcomeReports {
  @Rows({ of: OutcomeRow, max: MAX_ROWS, description: 'Taken in order; one bad row spoils no other.' })
  outcomes!: unknown[];
}

@ApiSchema({ name: 'LeaseRef' })
class LeaseRefBody {
  @Id(attemptId)
  attempt_id!: string;

  @Id(targetId)
  target_id!: string;
}

export class LeaseChanges {
  @Rows({ of: LeaseRefBody, max: MAX_ROWS, description: 'The leases to change.' })
  attempts!: unknown[];

  @Integer({ ...leaseSeconds, description: `Extend: ${leaseSeconds.description} Release: without meaning.` })
  lease_seconds?: number;
}

export class AttemptStart {
  @Integer({ min: 0, max: 4, description: 'Refused unless it is the one that is next.', example: 0, optional: true })
  destination_index?: number;

  @Text(dialer)
  dialer?: string;

  @Integer(leaseSeconds)
  lease_seconds?: number;
}

export class Reason {
  @Text({ max: LENGTHS.reason, description: 'Why: kept in the history.', example: 'asked not to be called', optional: true, initially: '' })
  reason?: string;
}

@ApiSchema({ name: 'Attempt' })
export class AttemptAnswer {
  @ApiProperty(an.id('The attempt’s id: it fences reports.', EXAMPLE.attempt))
  attempt_id!: string;

  @ApiProperty(an.id('Its outdial.'))
  outdial_id!: string;

  @ApiProperty(an.id('Its target.', EXAMPLE.target))
  target_id!: string;

  @ApiProperty({ type: 'integer', minimum: 0, maximum: 4, description: 'Which destination.', example: 0 })
  destination_index!: number;

  @ApiProperty({ type: () => AddressAnswer, description: 'The address to dial.' })
  destination!: AddressAnswer;

  @ApiProperty(an.count('This try’s number on this destination, from 1.', 1))
  try_count!: number;

  @ApiProperty(an.count('The limit in force.', 3))
  try_count_max!: number;

  @ApiProperty(an.text('Who dials.', 'dialer-1'))
  dialer!: string;

  @ApiProperty(an.count('Milliseconds to let it ring.', 60_000))
  dial_timeout!: number;

  @ApiProperty({ type: () => AddressAnswer, nullable: true, description: 'The address to show.' })
  source!: AddressAnswer | null;

  @ApiProperty(an.moment('When it started.'))
  tm_start!: string;

  @ApiProperty(an.moment('When the lease ends if nothing is reported.', EXAMPLE.later))
  tm_expire!: string;

  @ApiProperty(an.moment('When it ended.', EXAMPLE.later))
  tm_end!: string;

  @ApiProperty({
    type: String,
    enum: [...REPORTED_OUTCOMES, 'released'],
    nullable: true,
    description: 'null while it is under way.',
    example: 'no_answer',
  })
  outcome!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'The business result.', example: null })
  disposition!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'What was reported as `detail`.', example: null })
  note!: string | null;

  @ApiProperty({ type: Boolean, description: 'Its outcome came after its lease had expired.', example: false })
  late!: boolean;
}

@ApiSchema({ name: 'Lease', description: 'An attempt and what a dialer needs to know of its target.' })
export class LeaseAnswer extends AttemptAnswer {
  @ApiProperty(an.text('The target’s name.', 'test destination 0'))
  name!: string;

  @ApiProperty(an.text('The target’s detail.', 'test detatination 0 detail'))
  detail!: string;

  @ApiProperty(an.text('The target’s data.', 'test data'))
  data!: string;

  @ApiProperty({ type: String, nullable: true, description: 'The caller’s own id for the target.', example: 'crm-4711' })
  external_id!: string | null;
}

@ApiSchema({ name: 'Leases' })
export class LeasesAnswer {
  @ApiProperty({ type: () => LeaseAnswer, isArray: true, description: 'By priority, then by due time.' })
  result!: LeaseAnswer[];

  @ApiProperty(an.moment('When more will be callable.', EXAMPLE.later))
  next_callable_at!: string;
}

@ApiSchema({ name: 'LeasePage' })
export class LeasePage {
  @ApiProperty({ type: () => LeaseAnswer, isArray: true, description: 'Those that expire first come first.' })
  result!: LeaseAnswer[];

  @ApiProperty(an.text('Send it as `page_token` for the next page; empty when there is none.', EXAMPLE.later))
  next_page_token!: string;
}

@ApiSchema({ name: 'Attempts' })
export class AttemptsAnswer {
  @ApiProperty({ type: () => AttemptAnswer, isArray: true, description: 'Oldest first.' })
  result!: AttemptAnswer[];
}

@ApiSchema({ name: 'OutcomeFate' })
class OutcomeFate {
  @ApiProperty({ type: String, nullable: true, description: 'As it was sent; null when that was no text.', example: EXAMPLE.attempt })
  attempt_id!: string | null;

  @ApiProperty({
    enum: ['recorded', 'repeated', 'late', 'stale', 'not_found', 'invalid'],
    description: 'What became of the report.',
    example: 'recorded',
  })
  result!: string;

  @ApiProperty({ type: String, enum: STATUSES, nullable: true, description: 'The target’s status now.', example: 'idle' })
  status!: string | null;

  @ApiProperty({
    type: String,
    enum: ['answered', 'exhausted', 'canceled'],
    nullable: true,
    description: 'Why the target is done.',
    example: null,
  })
  done_reason!: string | null;

  @ApiProperty({ type: () => ErrorDetailAnswer, isArray: true, required: false, description: 'Only with `invalid`: why.' })
  details?: ErrorDetailAnswer[];
}

@ApiSchema({ name: 'OutcomeFates' })
export class OutcomeFates {
  @ApiProperty({ type: () => OutcomeFate, isArray: true, description: 'One for each report, in their order.' })
  result!: OutcomeFate[];
}

@ApiSchema({ name: 'LeaseFate' })
class LeaseFate {
  @ApiProperty(an.id('The attempt.', EXAMPLE.attempt))
  attempt_id!: string;

  @ApiProperty({ enum: ['extended', 'released', 'repeated', 'ended', 'not_found'], description: 'What became of it.', example: 'extended' })
  result!: string;
}

@ApiSchema({ name: 'LeaseFates' })
export class LeaseFates {
  @ApiProperty({ type: () => LeaseFate, isArray: true, description: 'One for each lease, in their order.' })
  result!: LeaseFate[];
}

/** What is reported of an attempt, but for which attempt it is. */
export function readOutcome({
  outcome: sent,
  disposition: result,
  detail: text,
  tm_end,
}: OutcomeBody): Omit<OutcomeReport, 'attemptId' | 'targetId'> {
  return {
    // One of them: the shape was checked.
    outcome: sent as ReportedOutcome,
    disposition: result ?? null,
    detail: text ?? null,
    tmEnd: tm_end === undefined || tm_end === null ? null : (parseMicros(tm_end) ?? null),
  };
}

export function readReport(sent: unknown, at: string): Checked<OutcomeReport> {
  const checked = check(OutcomeRow, sent, at);
  if ('details' in checked) return checked;
  const row = checked.value;
  return { value: { attemptId: row.attempt_id.toLowerCase(), targetId: row.target_id.toLowerCase(), ...readOutcome(row) } };
}

/** All of them, or everything that is wrong with any of them: a list of leases has no fate for a row that is none. */
export function readLeases(sent: readonly unknown[]): Checked<readonly LeaseRef[]> {
  const details: ErrorDetail[] = [];
  const leases: LeaseRef[] = [];
  sent.forEach((row, index) => {
    const checked = check(LeaseRefBody, row, `attempts[${index}].`);
    if ('details' in checked) details.push(...checked.details);
    else leases.push({ attemptId: checked.value.attempt_id.toLowerCase(), targetId: checked.value.target_id.toLowerCase() });
  });
  return details.length > 0 ? { details } : { value: leases };
}
