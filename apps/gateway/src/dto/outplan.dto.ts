import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { DEFAULT_POLICY, NEVER, REPORTED_OUTCOMES } from '#dialing';
import type { DialPolicy, ErrorDetail, Five, RetryRule, RetryRules } from '#dialing';
import { AddressAnswer, NewAddress } from './address.dto';
import { an, EXAMPLE, LENGTHS } from './common.dto';
import { check, detail, Flag, Integer, isObject, Nested, readAddress, ReadOnly, Text } from './rules';

const DAY_MILLIS = 24 * 60 * 60 * 1000;
const YEAR_MILLIS = 365 * DAY_MILLIS;
/** Tries on one destination; 0: never dial it. */
export const LIMIT = { min: 0, max: 100 } as const;

@ApiSchema({ name: 'RetryRule' })
export class RetryRuleBody implements RetryRule {
  @Flag({ description: 'false: this outcome exhausts the destination dialed.', optional: true, example: true })
  retry?: boolean;

  @Integer({
    min: 0,
    max: YEAR_MILLIS,
    description: 'Milliseconds until the next try, instead of `try_interval`.',
    optional: true,
    example: 3_600_000,
  })
  interval?: number;

  @Flag({ description: 'true: goes on to the next destination, due after `interval` (default 0).', optional: true, example: false })
  next_destination?: boolean;
}

/** Not `answered`, which always ends the target. */
const RETRIED = REPORTED_OUTCOMES.filter((outcome) => outcome !== 'answered');

const name = { max: LENGTHS.name, description: 'A name that people recognise.', example: 'sales' };
const about = { max: LENGTHS.detail, description: 'What the plan is for.', example: '' };
const timeout = { min: 1, max: DAY_MILLIS, description: 'Milliseconds that a dialer lets it ring.', example: DEFAULT_POLICY.dialTimeout };
const interval = {
  min: 0,
  max: YEAR_MILLIS,
  description: 'Milliseconds between the end of an attempt and the next try.',
  example: DEFAULT_POLICY.tryInterval,
};
const tries = (index: number): { min: number; max: number; description: string; example: number } => ({
  ...LIMIT,
  description: `Tries on \`destination_${index}\`; 0: never dial it.`,
  example: DEFAULT_POLICY.maxTryCounts[0],
});
const source = { description: 'The address that is shown to who is called.', nullable: true, schema: { type: () => NewAddress } };
const retryExample = { busy: { interval: 300_000 }, machine: { next_destination: true }, fax: { retry: false } };
const retry = {
  description: 'What outcomes do, over the defaults. Limits hold whatever it says.',
  example: retryExample,
  schema: {
    type: 'object',
    properties: Object.fromEntries(RETRIED.map((outcome) => [outcome, { $ref: '#/components/schemas/RetryRule' }])),
    additionalProperties: false,
  },
};

/** The part of an outplan that attempts are decided under; also PUT dial_info. */
@ApiSchema({ description: 'Any subset of the fields.' })
export class DialInfoChanges {
  @Nested({ ...source, optional: true })
  source?: unknown;

  @Integer({ ...timeout, optional: true })
  dial_timeout?: number;

  @Integer({ ...interval, optional: true })
  try_interval?: number;

  @Integer({ ...tries(0), optional: true })
  max_try_count_0?: number;

  @Integer({ ...tries(1), optional: true })
  max_try_count_1?: number;

  @Integer({ ...tries(2), optional: true })
  max_try_count_2?: number;

  @Integer({ ...tries(3), optional: true })
  max_try_count_3?: number;

  @Integer({ ...tries(4), optional: true })
  max_try_count_4?: number;

  @Nested({ ...retry, optional: true })
  retry?: unknown;
}

@ApiSchema({
  description: `What is left out takes its default: dial_timeout ${DEFAULT_POLICY.dialTimeout}, try_interval ${DEFAULT_POLICY.tryInterval}, three tries a destination.`,
})
export class NewOutplan extends DialInfoChanges {
  @Text({ ...name, min: 1 })
  name!: string;

  @Text({ ...about, optional: true, initially: '' })
  detail?: string;
}

@ApiSchema({ description: 'Any subset of the fields. Those that are read-only may be sent back as they were read.' })
export class OutplanChanges extends DialInfoChanges {
  @ReadOnly(an.id('The outplan’s id.', EXAMPLE.outplan))
  id?: string;

  @Text({ ...name, min: 1, optional: true })
  name?: string;

  @Text({ ...about, optional: true })
  detail?: string;

  @ReadOnly(an.moment('When it was created.'))
  tm_create?: string;

  @ReadOnly(an.moment('When it was last changed.', NEVER))
  tm_update?: string;

  @ReadOnly(an.moment('When it was deleted.', NEVER))
  tm_delete?: string;
}

@ApiSchema({ name: 'Outplan' })
export class OutplanAnswer {
  @ApiProperty(an.id('The outplan’s id.', EXAMPLE.outplan))
  id!: string;

  @ApiProperty(an.text(name.description, name.example))
  name!: string;

  @ApiProperty(an.text(about.description, about.example))
  detail!: string;

  @ApiProperty({ type: () => AddressAnswer, nullable: true, description: source.description })
  source!: AddressAnswer | null;

  @ApiProperty(an.count(timeout.description, timeout.example))
  dial_timeout!: number;

  @ApiProperty(an.count(interval.description, interval.example))
  try_interval!: number;

  @ApiProperty(an.count(tries(0).description, 3))
  max_try_count_0!: number;

  @ApiProperty(an.count(tries(1).description, 3))
  max_try_count_1!: number;

  @ApiProperty(an.count(tries(2).description, 3))
  max_try_count_2!: number;

  @ApiProperty(an.count(tries(3).description, 3))
  max_try_count_3!: number;

  @ApiProperty(an.count(tries(4).description, 3))
  max_try_count_4!: number;

  @ApiProperty(an.moment('When it was created.'))
  tm_create!: string;

  @ApiProperty(an.moment('When it was last changed.', NEVER))
  tm_update!: string;

  @ApiProperty(an.moment('When it was deleted.', NEVER))
  tm_delete!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: { $ref: '#/components/schemas/RetryRule' },
    description: retry.description,
    example: retryExample,
  })
  retry!: Record<string, RetryRuleBody>;
}

@ApiSchema({ name: 'OutplanPage' })
export class OutplanPage {
  @ApiProperty({ type: () => OutplanAnswer, isArray: true, description: 'Newest first.' })
  result!: OutplanAnswer[];

  @ApiProperty(an.text('Send it as `page_token` for the next page; empty when nothing older exists.', EXAMPLE.created))
  next_page_token!: string;
}

/** What of a policy a request sets; the limits only as far as they were sent. */
export type PolicyChanges = Partial<Omit<DialPolicy, 'maxTryCounts'>> & { readonly maxTryCounts: Five<number | undefined> };

/** Reads the policy's part of a body: what was sent of it, or what is wrong with it. */
export function readPolicy(body: DialInfoChanges): { readonly policy: PolicyChanges } | { readonly details: readonly ErrorDetail[] } {
  const source = body.source === undefined || body.source === null ? { address: body.source } : readAddress(body.source, 'source');
  const retried = body.retry === undefined ? { rules: undefined } : readRetryRules(body.retry);
  if ('details' in source || 'details' in retried) {
    return { details: [...('details' in source ? source.details : []), ...('details' in retried ? retried.details : [])] };
  }
  return {
    policy: {
      ...(source.address === undefined ? {} : { source: source.address }),
      ...(body.dial_timeout === undefined ? {} : { dialTimeout: body.dial_timeout }),
      ...(body.try_interval === undefined ? {} : { tryInterval: body.try_interval }),
      ...(retried.rules === undefined ? {} : { retry: retried.rules }),
      maxTryCounts: [body.max_try_count_0, body.max_try_count_1, body.max_try_count_2, body.max_try_count_3, body.max_try_count_4],
    },
  };
}

function readRetryRules(sent: unknown): { readonly rules: RetryRules } | { readonly details: readonly ErrorDetail[] } {
  if (!isObject(sent)) return { details: [detail('retry', 'must be an object: outcome → {retry?, interval?, next_destination?}', sent)] };
  const details: ErrorDetail[] = [];
  const rules: [string, RetryRule][] = [];
  for (const [outcome, rule] of Object.entries(sent)) {
    const at = `retry.${outcome}`;
    if (!(RETRIED as readonly string[]).includes(outcome)) {
      details.push(detail(at, outcome === 'answered' ? 'cannot be overridden' : `is no outcome; there are ${RETRIED.join(', ')}`));
      continue;
    }
    const checked = check(RetryRuleBody, rule, `${at}.`);
    if ('details' in checked) details.push(...checked.details);
    else rules.push([outcome, withoutUndefined(checked.value)]);
  }
  return details.length > 0 ? { details } : { rules: Object.fromEntries(rules) };
}

const withoutUndefined = ({ retry: again, interval: after, next_destination: next }: RetryRuleBody): RetryRule => ({
  ...(again === undefined ? {} : { retry: again }),
  ...(after === undefined ? {} : { interval: after }),
  ...(next === undefined ? {} : { next_destination: next }),
});
