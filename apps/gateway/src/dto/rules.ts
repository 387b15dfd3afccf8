import type { PipeTransform } from '@nestjs/common';
import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import {
  arrayMaxSize,
  isArray,
  isBoolean,
  isIn,
  isInt,
  isString,
  length,
  matches,
  max as isAtMost,
  min as isAtLeast,
} from 'class-validator';
import { OutdialError, parseAddress, parseMicros } from '#dialing';
import type { Address, ErrorDetail } from '#dialing';

/**
 * What a field of a request must be, told once: each decorator below is the check and its line in the OpenAPI document. The checks are class-validator's, as the
 * plain functions that it also has: a request holds up to ten thousand rows, and its machinery of metadata would cost more than all else that is done with
 * one. Nothing is converted: a body is taken as it was parsed.
 */

/** Any version, any case; ids are compared in lower case. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export type Shape<T> = new () => T;
export type Checked<T> = { readonly value: T } | { readonly details: readonly ErrorDetail[] };

/** Whether a value will do, and what to say when it will not. */
type Check = readonly [fits: (value: unknown) => boolean, otherwise: string];

interface Field {
  readonly optional: boolean;
  readonly nullable: boolean;
  readonly readOnly: boolean;
  readonly checks: readonly Check[];
}

const fieldsOf = new WeakMap<object, Map<string, Field>>();

/** The fields of a shape, those of what it extends first. */
export function known(prototype: object): Map<string, Field> {
  let fields = fieldsOf.get(prototype);
  if (!fields) {
    const parent = Object.getPrototypeOf(prototype) as object | null;
    fields = new Map(parent && parent !== Object.prototype ? known(parent) : []);
    fieldsOf.set(prototype, fields);
  }
  return fields;
}

const requiredFields = new WeakMap<Shape<object>, readonly string[]>();

/** What a shape must have; looked up anew for each row it would cost as much as the rest of its check. */
function requiredOf(shape: Shape<object>): readonly string[] {
  let names = requiredFields.get(shape);
  if (!names) {
    names = [...known(shape.prototype as object)].flatMap(([name, { optional }]) => (optional ? [] : [name]));
    requiredFields.set(shape, names);
  }
  return names;
}

/** A property of an OpenAPI schema, as far as our fields differ. */
type FieldSchema = Readonly<Record<string, unknown>>;

const field =
  (schema: FieldSchema, ...checks: readonly Check[]): PropertyDecorator =>
  (prototype, name) => {
    const [optional, nullable, readOnly] = [schema.required === false, schema.nullable === true, schema.readOnly === true];
    known(prototype).set(String(name), { optional, nullable, readOnly, checks });
    ApiProperty(schema)(prototype, name);
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

export const NOT_A_MOMENT = 'must be a time like 2030-04-28 01:41:40.503790 or 2030-04-28T01:41:40Z';

/** Text of `min` (0) to `max` characters that can be kept as it is. */
export const Text = ({ min = 0, max, ...common }: Common & { readonly min?: number; readonly max: number }): PropertyDecorator =>
  field(
    { ...schemaOf(common), type: String, minLength: min, maxLength: max },
    [isString, 'must be a string'],
    [(value) => length(value, min, max), min === 0 ? `must have at most ${max} characters` : `must have ${min} to ${max} characters`],
    [(value) => !UNKEEPABLE.test(String(value)), UNKEEPABLE_REASON],
  );

export const Integer = ({ min, max, ...common }: Common & { readonly min: number; readonly max: number }): PropertyDecorator =>
  field({ ...schemaOf(common), type: 'integer', minimum: min, maximum: max }, [
    (value) => isInt(value) && isAtLeast(value, min) && isAtMost(value, max),
    `must be a whole number from ${min} to ${max}`,
  ]);

export const Flag = (common: Common): PropertyDecorator =>
  field({ ...schemaOf(common), type: Boolean }, [isBoolean, 'must be true or false']);

export const Choice = ({ of, ...common }: Common & { readonly of: readonly string[] }): PropertyDecorator =>
  field({ ...schemaOf(common), type: String, enum: [...of] }, [(value) => isIn(value, of), `must be one of ${of.join(', ')}`]);

/** Some of these words. */
export const Choices = ({ of, ...common }: Common & { readonly of: readonly string[] }): PropertyDecorator =>
  field({ ...schemaOf(common), type: 'array', items: { type: 'string', enum: [...of] }, uniqueItems: true }, [
    (value) => isArray(value) && new Set(value).size === value.length && value.every((one) => isIn(one, of)),
    `must be a list of different words out of ${of.join(', ')}`,
  ]);

export const Id = (common: Common): PropertyDecorator =>
  field({ ...schemaOf(common), type: String, format: 'uuid' }, [(value) => isString(value) && matches(value, UUID), 'must be a UUID']);

/** A moment as answers have it, or in RFC 3339. */
export const Moment = (common: Common): PropertyDecorator =>
  field({ example: '2030-04-28 01:41:40.503790', ...schemaOf(common), type: String }, [
    (value) => isString(value) && parseMicros(value) !== undefined,
    NOT_A_MOMENT,
  ]);

/** Up to `max` rows, each checked by who reads them: a row that is wrong need not spoil the others. */
export const Rows = ({ of, max, ...common }: Common & { readonly of: Shape<object>; readonly max: number }): PropertyDecorator =>
  field(
    { ...schemaOf(common), type: () => of, isArray: true, maxItems: max },
    [(value) => isArray(value), 'must be an array'],
    [(value) => arrayMaxSize(value, max), `must have at most ${max} rows`],
  );

/** Something that its reader checks: an address, a map. Here only its place in the document. */
export const Nested = ({ schema, ...common }: Common & { readonly schema: FieldSchema }): PropertyDecorator =>
  field({ ...schemaOf(common), ...schema });

/** What the service decides. A PUT may send it back as it was read (the API contract, Conventions). */
export const ReadOnly = (schema: FieldSchema): PropertyDecorator => field({ ...schema, required: false, readOnly: true });

/** The fields of a shape that only the service sets. */
export const readOnly = (shape: Shape<object>): readonly string[] =>
  [...known(shape.prototype as object)].flatMap(([name, one]) => (one.readOnly ? [name] : []));

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value that was refused, as far as it helps to see it. */
const shown = (value: unknown): unknown => {
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
  const details: ErrorDetail[] = [];
  const checked = new shape();
  for (const name of Object.keys(value)) {
    const sent = value[name];
    const expected = fields.get(name);
    const reason = expected ? reasonAgainst(expected, sent) : 'unknown field';
    if (reason === null) (checked as Record<string, unknown>)[name] = sent;
    else details.push(detail(`${at}${name}`, reason, sent));
  }
  for (const name of requiredOf(shape)) if (!Object.hasOwn(value, name)) details.push(detail(`${at}${name}`, 'is required'));
  return details.length > 0 ? { details } : { value: checked };
}

function reasonAgainst({ nullable, checks }: Field, value: unknown): string | null {
  if (value === null && nullable) return null;
  for (const [fits, otherwise] of checks) if (!fits(value)) return otherwise;
  return null;
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

const ADDRESS_TEXTS = ['target', 'target_name', 'name', 'detail'] as const;

/** An address as it was sent, or what is wrong with it. */
export function readAddress(sent: unknown, at: string): { readonly address: Address } | { readonly details: readonly ErrorDetail[] } {
  const parsed = parseAddress(sent, at);
  if ('details' in parsed) return parsed;
  const { address } = parsed;
  const unkeepable = ADDRESS_TEXTS.filter((part) => UNKEEPABLE.test(address[part]));
  return unkeepable.length > 0 ? { details: unkeepable.map((part) => detail(`${at}.${part}`, UNKEEPABLE_REASON)) } : parsed;
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
