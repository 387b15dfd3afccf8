import { ApiExtraModels, ApiProperty, ApiSchema } from '@nestjs/swagger';
import { five, NEVER } from '#dialing';
import type { Address, ErrorDetail, Five, NewTarget } from '#dialing';
import type { TargetRow } from '#application';
import { AddressAnswer, NewAddress } from './address.dto';
import { an, ErrorDetailAnswer, EXAMPLE, LENGTHS } from './common.dto';
import { LIMIT } from './outplan.dto';
import { check, detail, Integer, isObject, Nested, readAddress, ReadOnly, Rows, Text } from './rules';

export const STATUSES = ['idle', 'progressing', 'done'] as const;
const DONE_REASONS = ['answered', 'exhausted', 'canceled'];
const MAX_ROWS = 10_000;

const name = { max: LENGTHS.name, description: 'The name of who is to be reached.', example: 'test destination 0', optional: true };
const about = { max: LENGTHS.detail, description: 'Anything about them.', example: 'test detatination 0 detail', optional: true };
const data = {
  max: LENGTHS.data,
  description: 'Anything of the caller’s own: handed out with each lease, never looked at.',
  example: 'test data',
  optional: true,
};
const priority = { min: -100, max: 100, description: 'High first.', example: 0, optional: true };
const limits = {
  ...LIMIT,
  description: 'Tries on any one destination, instead of the outplan’s limits.',
  example: 3,
  optional: true,
  nullable: true,
};
const limit = (index: number): typeof limits => ({
  ...limits,
  description: `Tries on \`destination_${index}\`; wins over \`try_count_max\`.`,
});
const destination = (index: number) => ({
  description: index === 0 ? 'The address that is dialed first.' : 'Dialed when those before it are exhausted.',
  optional: true,
  nullable: true,
  schema: { type: () => NewAddress },
});

@ApiSchema({ name: 'NewTarget', description: 'At least one destination is needed; gaps between them are kept.' })
export class NewTargetBody {
  @Text({ ...name, initially: '' })
  name?: string;

  @Text({ ...about, initially: '' })
  detail?: string;

  @Text({ ...data, initially: '' })
  data?: string;

  @Text({
    max: 255,
    description: 'The caller’s own id for the target: the same one in the same outdial is a duplicate. Empty counts as none.',
    example: 'crm-4711',
    optional: true,
    nullable: true,
  })
  external_id?: string | null;

  @Integer({ ...priority, initially: 0 })
  priority?: number;

  @Nested(destination(0))
  destination_0?: unknown;

  @Nested(destination(1))
  destination_1?: unknown;

  @Nested(destination(2))
  destination_2?: unknown;

  @Nested(destination(3))
  destination_3?: unknown;

  @Nested(destination(4))
  destination_4?: unknown;

  @Nested({ ...destination(0), description: 'The same as `destination_0`; only one of them can be given.' })
  destination?: unknown;

  @Integer(limits)
  try_count_max?: number | null;

  @Integer(limit(0))
  try_count_max_0?: number | null;

  @Integer(limit(1))
  try_count_max_1?: number | null;

  @Integer(limit(2))
  try_count_max_2?: number | null;

  @Integer(limit(3))
  try_count_max_3?: number | null;

  @Integer(limit(4))
  try_count_max_4?: number | null;
}

export class NewTargets {
  @Rows({ of: NewTargetBody, max: MAX_ROWS, description: 'One bad row spoils no other.' })
  targets!: unknown[];
}

@ApiSchema({ name: 'TargetChanges', description: 'Any subset of the fields. Those that are read-only may be sent back as they were read.' })
export class TargetChangesBody {
  @ReadOnly(an.id('The target’s id.', EXAMPLE.target))
  id?: string;

  @ReadOnly(an.id('The outdial it belongs to.'))
  outdial_id?: string;

  @Text(name)
  name?: string;

  @Text(about)
  detail?: string;

  @Text(data)
  data?: string;

  @ReadOnly({ enum: [...STATUSES], description: 'Where it stands.', example: 'idle' })
  status?: string;

  @Nested(destination(0))
  destination_0?: unknown;

  @Nested(destination(1))
  destination_1?: unknown;

  @Nested(destination(2))
  destination_2?: unknown;

  @Nested(destination(3))
  destination_3?: unknown;

  @Nested(destination(4))
  destination_4?: unknown;

  @ReadOnly(an.count('Attempts made to `destination_0`.'))
  try_count_0?: number;

  @ReadOnly(an.count('Attempts made to `destination_1`.'))
  try_count_1?: number;

  @ReadOnly(an.count('Attempts made to `destination_2`.'))
  try_count_2?: number;

  @ReadOnly(an.count('Attempts made to `destination_3`.'))
  try_count_3?: number;

  @ReadOnly(an.count('Attempts made to `destination_4`.'))
  try_count_4?: number;

  @ReadOnly(an.moment('When it was created.'))
  tm_create?: string;

  @ReadOnly(an.moment('When it was last changed.', EXAMPLE.later))
  tm_update?: string;

  @ReadOnly(an.moment('When it was deleted.', NEVER))
  tm_delete?: string;

  @ReadOnly({ type: String, nullable: true, description: 'Fixed at creation.', example: null })
  external_id?: string | null;

  @Integer(priority)
  priority?: number;

  @Integer(limits)
  try_count_max?: number | null;

  @Integer(limit(0))
  try_count_max_0?: number | null;

  @Integer(limit(1))
  try_count_max_1?: number | null;

  @Integer(limit(2))
  try_count_max_2?: number | null;

  @Integer(limit(3))
  try_count_max_3?: number | null;

  @Integer(limit(4))
  try_count_max_4?: number | null;

  @ReadOnly({
    type: 'array',
    items: { type: 'boolean' },
    minItems: 5,
    maxItems: 5,
    description: 'Which destinations are never dialed again.',
  })
  exhausted?: boolean[];

  @ReadOnly({ enum: DONE_REASONS, nullable: true, description: 'Why it is done.', example: null })
  done_reason?: string | null;

  @Nested({
    description: 'When an idle target is to be dialed next: a call-back.',
    optional: true,
    example: '2030-04-28 01:41:40.503790',
    schema: { type: String },
  })
  tm_next_try?: unknown;
}

@ApiSchema({ name: 'Outdialtarget' })
export class TargetAnswer {
  @ApiProperty(an.id('The target’s id: the same identity in the same outdial always has the same id.', EXAMPLE.target))
  id!: string;

  @ApiProperty(an.id('The outdial it belongs to.'))
  outdial_id!: string;

  @ApiProperty(an.text(name.description, name.example))
  name!: string;

  @ApiProperty(an.text(about.description, about.example))
  detail!: string;

  @ApiProperty(an.text(data.description, data.example))
  data!: string;

  @ApiProperty({
    enum: STATUSES,
    description: 'idle: may be dialed, now or later. progressing: being dialed. done: ended.',
    example: 'idle',
  })
  status!: string;

  @ApiProperty({ type: () => AddressAnswer, nullable: true })
  destination_0!: AddressAnswer | null;

  @ApiProperty({ type: () => AddressAnswer, nullable: true })
  destination_1!: AddressAnswer | null;

  @ApiProperty({ type: () => AddressAnswer, nullable: true })
  destination_2!: AddressAnswer | null;

  @ApiProperty({ type: () => AddressAnswer, nullable: true })
  destination_3!: AddressAnswer | null;

  @ApiProperty({ type: () => AddressAnswer, nullable: true })
  destination_4!: AddressAnswer | null;

  @ApiProperty(an.count('Attempts made to `destination_0`.', 1))
  try_count_0!: number;

  @ApiProperty(an.count('Attempts made to `destination_1`.'))
  try_count_1!: number;

  @ApiProperty(an.count('Attempts made to `destination_2`.'))
  try_count_2!: number;

  @ApiProperty(an.count('Attempts made to `destination_3`.'))
  try_count_3!: number;

  @ApiProperty(an.count('Attempts made to `destination_4`.'))
  try_count_4!: number;

  @ApiProperty(an.moment('When it was created.'))
  tm_create!: string;

  @ApiProperty(an.moment('When it was last changed; starts as `tm_create`.', EXAMPLE.later))
  tm_update!: string;

  @ApiProperty(an.moment('When it was deleted.', NEVER))
  tm_delete!: string;

  @ApiProperty({ type: String, nullable: true, description: 'The caller’s own id.', example: 'crm-4711' })
  external_id!: string | null;

  @ApiProperty({ type: 'integer', minimum: -100, maximum: 100, description: 'High first.', example: 0 })
  priority!: number;

  @ApiProperty({ type: 'integer', nullable: true, description: limits.description, example: 3 })
  try_count_max!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, description: limit(0).description, example: null })
  try_count_max_0!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, description: limit(1).description, example: null })
  try_count_max_1!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, description: limit(2).description, example: null })
  try_count_max_2!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, description: limit(3).description, example: null })
  try_count_max_3!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, description: limit(4).description, example: null })
  try_count_max_4!: number | null;

  @ApiProperty({
    type: 'array',
    items: { type: 'boolean' },
    minItems: 5,
    maxItems: 5,
    description: 'Which destinations are never dialed again.',
    example: [false, false, false, false, false],
  })
  exhausted!: boolean[];

  @ApiProperty({ enum: DONE_REASONS, type: String, nullable: true, description: 'Why it is done; null while it is not.', example: null })
  done_reason!: string | null;

  @ApiProperty(an.moment('When an idle target may be dialed next.'))
  tm_next_try!: string;
}

@ApiSchema({ name: 'OutdialtargetPage' })
export class TargetPage {
  @ApiProperty({ type: () => TargetAnswer, isArray: true, description: 'Newest first.' })
  result!: TargetAnswer[];

  @ApiProperty(an.text('Send it as `page_token` for the next page; empty when nothing older exists.', EXAMPLE.created))
  next_page_token!: string;
}

@ApiSchema({ name: 'DuplicateRow' })
class DuplicateRow {
  @ApiProperty(an.count('Which row, from 0.', 3))
  index!: number;

  @ApiProperty(an.id('The target that was there already.', EXAMPLE.target))
  id!: string;

  @ApiProperty({ type: Boolean, required: false, description: 'It is deleted: `?readd=true` adds it again.', example: true })
  deleted?: boolean;

  @ApiProperty({ type: Boolean, required: false, description: 'It took over what the row says (`?on_duplicate=update`).', example: true })
  updated?: boolean;
}

@ApiSchema({ name: 'InvalidRow' })
class InvalidRow {
  @ApiProperty(an.count('Which row, from 0.', 4))
  index!: number;

  @ApiProperty({ type: () => ErrorDetailAnswer, isArray: true })
  details!: ErrorDetailAnswer[];
}

@ApiSchema({ name: 'AddedSummary' })
class AddedSummary {
  @ApiProperty(an.count('Rows in the request.', 5))
  total!: number;

  @ApiProperty(an.count('Rows that became targets.', 3))
  created!: number;

  @ApiProperty(an.count('Rows whose target was there already.', 1))
  duplicates!: number;

  @ApiProperty(an.count('Rows that were refused.', 1))
  invalid!: number;
}

@ApiSchema({ name: 'AddedTargets' })
export class AddedTargets {
  @ApiProperty({ type: () => TargetAnswer, isArray: true, description: 'The targets that were created, in the order of their rows.' })
  result!: TargetAnswer[];

  @ApiProperty({ type: () => DuplicateRow, isArray: true })
  duplicates!: DuplicateRow[];

  @ApiProperty({ type: () => InvalidRow, isArray: true })
  errors!: InvalidRow[];

  @ApiProperty({ type: () => AddedSummary })
  summary!: AddedSummary;
}

/** For the document: one target, or many. */
export const NewTargetModels = ApiExtraModels(NewTargetBody, NewTargets, TargetAnswer, AddedTargets);

const DESTINATION = five((index) => `destination_${index}` as const);
const LIMIT_OF = five((index) => `try_count_max_${index}` as const);

type Destinations = Partial<Record<(typeof DESTINATION)[number], unknown>>;

/** The destinations that a body names, normalised; `undefined` where it names none, `null` where it says there is none. */
export function readDestinations(
  body: Destinations,
  at: string,
): { readonly destinations: Five<Address | null | undefined> } | { readonly details: readonly ErrorDetail[] } {
  const details: ErrorDetail[] = [];
  const destinations = five((index) => {
    const name = DESTINATION[index];
    const sent = body[name];
    if (sent === undefined || sent === null) return sent;
    const parsed = readAddress(sent, `${at}${name}`);
    if ('address' in parsed) return parsed.address;
    details.push(...parsed.details);
    return null;
  });
  return details.length > 0 ? { details } : { destinations };
}

type Limits = Partial<Record<'try_count_max' | (typeof LIMIT_OF)[number], number | null>>;

/** As they were sent: `undefined` where nothing was said. */
export const readLimits = (body: Limits): { readonly all: number | null | undefined; readonly each: Five<number | null | undefined> } => ({
  all: body.try_count_max,
  each: five((index) => body[LIMIT_OF[index]]),
});

/** Reads one target, alone (`at` '') or as a row (`targets[3].`): the target, or everything that is wrong with it. */
export function readTarget(sent: unknown, at: string): TargetRow {
  const checked = check(NewTargetBody, sent, at);
  if ('details' in checked) return { details: [...checked.details, ...wrongDestinations(sent, at)] };
  const read = readAll(checked.value, at);
  if ('details' in read) return read;
  const destinations = five((index) => read.destinations[index] ?? null);
  if (destinations.every((one) => one === null)) return { details: [detail(`${at}destination_0`, 'at least one destination is needed')] };
  return { target: newTarget(checked.value, destinations) };
}

/** What is wrong with the destinations of a row that is wrong anyway: all of it is told at once. */
function wrongDestinations(sent: unknown, at: string): readonly ErrorDetail[] {
  const read = isObject(sent) ? readAll(sent, at) : { destinations: [] };
  return 'details' in read ? read.details : [];
}

/** The destinations, of which the first has two names. */
function readAll(body: Destinations & { readonly destination?: unknown }, at: string): ReturnType<typeof readDestinations> {
  const { destination: alias, destination_0: first } = body;
  if (alias === undefined || alias === null) return readDestinations(body, at);
  const twice = first !== undefined && first !== null;
  const read = readDestinations({ ...numbered(body), destination_0: alias }, at);
  const details = [
    ...(twice ? [detail(`${at}destination`, 'is the same as destination_0: give one of them')] : []),
    ...('details' in read ? read.details.map((one) => asWritten(one, at)) : []),
  ];
  return details.length > 0 ? { details } : read;
}

const numbered = ({ destination_1, destination_2, destination_3, destination_4 }: Destinations): Destinations => ({
  destination_1,
  destination_2,
  destination_3,
  destination_4,
});

/** What is wrong with `destination` is named as the caller wrote it. */
function asWritten(one: ErrorDetail, at: string): ErrorDetail {
  const first = `${at}destination_0`;
  return one.field.startsWith(first) ? { ...one, field: `${at}destination${one.field.slice(first.length)}` } : one;
}

/** One literal: to spread half of it into another costs as much as to check the whole row. */
function newTarget(body: NewTargetBody, destinations: NewTarget['destinations']): NewTarget {
  const { all, each } = readLimits(body);
  return {
    name: body.name ?? '',
    detail: body.detail ?? '',
    data: body.data ?? '',
    priority: body.priority ?? 0,
    externalId: body.external_id === '' ? null : (body.external_id ?? null),
    limits: { tryCountMax: all ?? null, tryCountMaxes: five((index) => each[index] ?? null) },
    destinations,
  };
}
