import { applyDecorators } from '@nestjs/common';
import type { PipeTransform } from '@nestjs/common';
import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import type { ApiPropertyOptions } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsString,
  Length,
  Matches,
  Max,
  Min,
  ValidateBy,
  ValidateIf,
  validateSync,
} from 'class-validator';
import { OutdialError, parseAddress, parseMicros } from '#dialing';
import type { Address, ErrorDetail } from '#dialing';

/**
 * What a field of a request must be, told once: each decorator below is the check and its line in the OpenAPI document. They are class-validator's checks
 * behind our own words; class-transformer is not used, a body is taken as it was parsed.
 */

/** Any version, any case; ids are compared in lower case. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export type Shape<T> = new () => T;
export type Checked<T> = { readonly value: T } | { readonly details: readonly ErrorDetail[] };

const fieldsOf = new WeakMap<object, Set<string>>();

function known(prototype: object): Set<string> {
  let fields = fieldsOf.get(prototype);
  if (!fields) {
    const parent = Object.getPrototypeOf(prototype) as object | null;
    fields = new Set(parent && parent !== Object.prototype ? known(parent) : []);
    fieldsOf.set(prototype, fields);
  }
  return fields;
}

/** A property of an OpenAPI schema, as far as our fields differ. */
type FieldSchema = Readonly<Record<string, unknown>> & { readonly required?: boolean; readonly nullable?: boolean };

const field =
  (schema: FieldSchema, ...checks: readonly PropertyDecorator[]): PropertyDecorator =>
  (prototype, name) => {
    known(prototype).add(String(name));
    const optional = schema.required === false ? [ValidateIf((_, value) => value !== undefined)] : [];
    const nullable = schema.nullable === true ? [ValidateIf((_, value) => value !== null)] : [];
    applyDecorators(ApiProperty(schema as ApiPropertyOptions), ...optional, ...nullable, ...checks)(prototype, name);
  };

interface Common {
  readonly description: string;
  /** It may be left out. */
  readonly optional?: boolean;
  /** It may be null. */
  readonly nullable?: boolean;
  readonly example?: unknown;
  /** What applies when it is left out. */
  readonly initially?: unknown;
}

const schemaOf = ({ description, optional, nullable, example, initially }: Common): FieldSchema => ({
  description,
  required: optional !== true,
  ...(nullable ? { nullable } : {}),
  ...(example === undefined ? {} : { example }),
  ...(initially === undefined ? {} : { default: initially }),
});

/** NUL, which ends a text in some places that it goes to, and halves of characters, which no UTF-8 can carry. */
const UNKEEPABLE = /[\0\p{Surrogate}]/u;
const UNKEEPABLE_REASON = 'must not contain NUL or half a surrogate pair';

/** Text of `min` (0) to `max` characters that can be kept as it is. */
export const Text = ({ min = 0, max, ...common }: Common & { readonly min?: number; readonly max: number }): PropertyDecorator =>
  field(
    { ...schemaOf(common), type: String, minLength: min, maxLength: max },
    IsString({ message: 'must be a string' }),
    Length(min, max, { message: min === 0 ? `must have at most ${max} characters` : `must have ${min} to ${max} characters` }),
    ValidateBy(
      { name: 'isKeepable', validator: { validate: (value: unknown) => typeof value === 'string' && !UNKEEPABLE.test(value) } },
      { message: UNKEEPABLE_REASON },
    ),
  );

export function Integer({ min, max, ...common }: Common & { readonly min: number; readonly max: number }): PropertyDecorator {
  const message = `must be a whole number from ${min} to ${max}`;
  return field(
    { ...schemaOf(common), type: 'integer', minimum: min, maximum: max },
    IsInt({ message }),
    Min(min, { message }),
    Max(max, { message }),
  );
}

export const Flag = (common: Common): PropertyDecorator =>
  field({ ...schemaOf(common), type: Boolean }, IsBoolean({ message: 'must be true or false' }));

export const Choice = ({ of, ...common }: Common & { readonly of: readonly string[] }): PropertyDecorator =>
  field({ ...schemaOf(common), type: String, enum: [...of] }, IsIn(of, { message: `must be one of ${of.join(', ')}` }));

export const Id = (common: Common): PropertyDecorator =>
  field({ ...schemaOf(common), type: String, format: 'uuid' }, Matches(UUID, { message: 'must be a UUID' }));

/** A moment as answers have it, or in RFC 3339. */
export const Moment = (common: Common): PropertyDecorator =>
  field(
    { example: '2030-04-28 01:41:40.503790', ...schemaOf(common), type: String },
    ValidateBy(
      { name: 'isMoment', validator: { validate: (value: unknown) => typeof value === 'string' && parseMicros(value) !== undefined } },
      { message: 'must be a time like 2030-04-28 01:41:40.503790 or 2030-04-28T01:41:40Z' },
    ),
  );

/** Up to `max` rows, each checked by who reads them: a row that is wrong need not spoil the others. */
export const Rows = ({ of, max, ...common }: Common & { readonly of: Shape<object>; readonly max: number }): PropertyDecorator =>
  field(
    { ...schemaOf(common), type: () => of, isArray: true, maxItems: max },
    IsArray({ message: 'must be an array' }),
    ArrayMaxSize(max, { message: `must have at most ${max} rows` }),
  );

/** Something that its reader checks: an address, a map. Here only its place in the document. */
export const Nested = ({ schema, ...common }: Common & { readonly schema: FieldSchema }): PropertyDecorator =>
  field({ ...schemaOf(common), ...schema });

/** What the service decides. A PUT may send it back as it was read (the API contract, Conventions). */
export const ReadOnly =
  (schema: FieldSchema): PropertyDecorator =>
  (prototype, name) => {
    field({ ...schema, required: false, readOnly: true })(prototype, name);
    readOnlyOf(prototype).add(String(name));
  };

const readOnlyFields = new WeakMap<object, Set<string>>();
function readOnlyOf(prototype: object): Set<string> {
  const fields = readOnlyFields.get(prototype) ?? new Set<string>();
  readOnlyFields.set(prototype, fields);
  return fields;
}
/** The fields of a shape that only the service sets. */
export const readOnly = (shape: Shape<object>): ReadonlySet<string> => readOnlyOf(shape.prototype as object);

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value that was refused, as far as it helps to see it. */
export const shown = (value: unknown): unknown => {
  if (typeof value === 'string') return value.length > 200 ? `${value.slice(0, 200)}…` : value;
  return typeof value === 'object' ? undefined : value;
};

export const detail = (fieldName: string, reason: string, value?: unknown): ErrorDetail => {
  const sample = shown(value);
  return { field: fieldName, reason, ...(sample === undefined ? {} : { value: sample }) };
};

/**
 * Holds a value against a shape. Answers it, or everything that is wrong with it: unknown fields too, each named with `at` before it (`targets[3].`).
 */
export function check<T extends object>(shape: Shape<T>, value: unknown, at = ''): Checked<T> {
  if (!isObject(value)) return { details: [detail(at.replace(/\.$/, '') || 'body', 'must be an object', value)] };
  const fields = known(shape.prototype as object);
  const details = Object.keys(value)
    .filter((name) => !fields.has(name))
    .map((name) => detail(`${at}${name}`, 'unknown field', value[name]));
  // What is unknown is left out: a field named `constructor` would make class-validator look for its rules elsewhere.
  const candidate = new shape();
  const draft = candidate as Record<string, unknown>;
  for (const name of fields) if (Object.hasOwn(value, name)) draft[name] = value[name];
  for (const { property, value: sent, constraints } of validateSync(candidate, { stopAtFirstError: true, forbidUnknownValues: false })) {
    const reason = sent === undefined ? 'is required' : (Object.values(constraints ?? {})[0] ?? 'is not valid');
    details.push(detail(`${at}${property}`, reason, sent));
  }
  return details.length > 0 ? { details } : { value: candidate };
}

/** 400 for everything that is wrong with a request. */
export function refused(details: readonly ErrorDetail[], reason = 'INVALID_ARGUMENT'): OutdialError {
  const named = details.slice(0, 3).map(({ field: name, reason: why }) => `${name}: ${why}`);
  const more = details.length - named.length;
  return new OutdialError('INVALID_ARGUMENT', reason, `${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}`, details);
}

/** The value, or 400. */
export function accept<T>(checked: Checked<T>): T {
  if ('details' in checked) throw refused(checked.details);
  return checked.value;
}

/** An address as it was sent, or what is wrong with it. */
export function readAddress(sent: unknown, at: string): { readonly address: Address } | { readonly details: readonly ErrorDetail[] } {
  const parsed = parseAddress(sent, at);
  if ('details' in parsed) return parsed;
  const details = Object.entries(parsed.address)
    .filter(([, text]) => UNKEEPABLE.test(String(text)))
    .map(([part]) => detail(`${at}.${part}`, UNKEEPABLE_REASON));
  return details.length > 0 ? { details } : parsed;
}

class BodyPipe<T extends object> implements PipeTransform<unknown, T> {
  constructor(
    private readonly shape: Shape<T>,
    private readonly optional: boolean,
  ) {}

  transform(body: unknown): T {
    if (body === undefined && this.optional) return new this.shape();
    if (!isObject(body)) {
      throw new OutdialError(
        'INVALID_ARGUMENT',
        'INVALID_JSON_BODY',
        'This request needs a JSON object as its body, with Content-Type: application/json.',
      );
    }
    return accept(check(this.shape, body));
  }
}

/** For `@Body(...)`: a JSON object of this shape. */
export const as = <T extends object>(shape: Shape<T>): PipeTransform<unknown, T> => new BodyPipe(shape, false);
/** The same where no body at all will do. */
export const maybe = <T extends object>(shape: Shape<T>): PipeTransform<unknown, T> => new BodyPipe(shape, true);

@ApiSchema({ description: 'A request that needs no body and takes no field.' })
export class NoFields {}
