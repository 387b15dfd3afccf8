import { applyDecorators, UseInterceptors } from '@nestjs/common';
import type { INestApplication, Type } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOperation, ApiQuery, ApiResponse, DocumentBuilder, getSchemaPath, SwaggerModule } from '@nestjs/swagger';
import type { ApiQueryOptions, OpenAPIObject } from '@nestjs/swagger';
import type { ErrorStatus } from '#dialing';
import { ErrorAnswer, EXAMPLE } from './dto/common.dto';
import { RetryRuleBody } from './dto/outplan.dto';
import { ReadinessPartAnswer } from './dto/service.dto';
import { httpCodeOf } from './http-errors';
import { Idempotent } from './idempotency';
import { describeFiles } from './openapi-files';

type ResponseHeaders = Record<
  string,
  { readonly description: string; readonly schema: { readonly type: 'string' }; readonly example: string }
>;

const header = (description: string, example: string): ResponseHeaders[string] => ({ description, schema: { type: 'string' }, example });
const REQUEST_ID = { 'X-Request-Id': header('The caller’s own, when it sent one.', 'b8b2fd39-5c0e-4f2a-9a55-8c8a3d0b7f3e') };
const CONSISTENCY = {
  'Consistency-Token': header(
    'Send it with a query, of any credential at any gateway, to see this write. Left out when nothing was written.',
    'M2Y5ZTow',
  ),
};
const ETAG = { ETag: header('The resource’s revision, for If-Match.', '"3"') };

const ERRORS: Readonly<Record<ErrorStatus, readonly [reason: string, description: string]>> = {
  INVALID_ARGUMENT: [
    'INVALID_ARGUMENT',
    'The request is wrong: INVALID_JSON_BODY, INVALID_ID, INVALID_REQUEST_PARAMETER or INVALID_ARGUMENT.',
  ],
  UNAUTHENTICATED: ['INVALID_CREDENTIALS', 'AUTHENTICATION_REQUIRED: no credential. INVALID_CREDENTIALS: one that does not count.'],
  PERMISSION_DENIED: ['PERMISSION_DENIED', 'This credential may not do that.'],
  NOT_FOUND: ['OUTDIAL_NOT_FOUND', 'There is no such thing, or it is another customer’s.'],
  METHOD_NOT_ALLOWED: ['METHOD_NOT_ALLOWED', 'The path has other methods: see Allow.'],
  CONFLICT: ['DELETED', 'Its state does not allow it: ALREADY_EXISTS, DELETED, ARCHIVED, STALE_ATTEMPT, NOT_CALLABLE …'],
  GONE: ['OTHER_LOG', 'The Consistency-Token is of another event log.'],
  FAILED_PRECONDITION: ['FAILED_PRECONDITION', 'It has changed since the revision that If-Match names.'],
  PAYLOAD_TOO_LARGE: ['PAYLOAD_TOO_LARGE', 'The body is larger than 32 MiB.'],
  UNSUPPORTED_MEDIA_TYPE: ['UNSUPPORTED_MEDIA_TYPE', 'The body is of another type than those that are named here.'],
  IDEMPOTENCY_MISMATCH: ['IDEMPOTENCY_MISMATCH', 'The Idempotency-Key was used with another body.'],
  RESOURCE_EXHAUSTED: ['TOO_MANY_FAILURES', 'Too often: see Retry-After.'],
  INTERNAL: ['INTERNAL', 'The service failed; its log has more under the request id.'],
  UNAVAILABLE: ['STORE_UNAVAILABLE', 'A store did not answer, or the Consistency-Token is not reflected yet: see Retry-After.'],
};

const RETRY_AFTER = { 'Retry-After': header('Seconds to wait.', '1') };

function errorResponse(status: ErrorStatus): MethodDecorator {
  const [reason, description] = ERRORS[status];
  const example = { error: { status, reason, message: description, request_id: REQUEST_ID['X-Request-Id'].example } };
  return ApiResponse({
    status: httpCodeOf(status),
    description,
    headers: { ...REQUEST_ID, ...(status === 'UNAVAILABLE' || status === 'RESOURCE_EXHAUSTED' ? RETRY_AFTER : {}) },
    content: { 'application/json': { schema: { $ref: getSchemaPath(ErrorAnswer) }, example } },
  });
}

interface OperationSpec {
  readonly summary: string;
  readonly description?: string;
  /** The body of the answer; with `or`, one of two. */
  readonly answers: Type;
  readonly or?: Type;
  /** 200 when left out. */
  readonly status?: number | readonly number[];
  /** The answer is a resource with an ETag. */
  readonly etag?: boolean;
  /** Does something: takes an Idempotency-Key when it is a POST, If-Match when the resource is there already. */
  readonly writes?: 'post' | 'put' | 'unkeyed';
  /** Takes a Consistency-Token. */
  readonly reads?: boolean;
  readonly paged?: boolean;
  readonly query?: readonly ApiQueryOptions[];
  /** Beyond those that any request may be answered with. */
  readonly errors?: readonly ErrorStatus[];
  /** Outside /v1.0: needs no credential. */
  readonly open?: boolean;
  /** For who runs the service: takes nothing that could be wrong. */
  readonly bare?: boolean;
  /** What the body may be, when it may also be left out. */
  readonly optionalBody?: Type;
}

/** What one method of a controller does, for the OpenAPI document; a POST that takes an Idempotency-Key heeds it because this line says so. */
export function Operation(spec: OperationSpec): MethodDecorator {
  const { summary, description, answers, or, status = 200, etag, writes, reads, optionalBody, query = [] } = spec;
  const headers = { ...REQUEST_ID, ...(etag ? ETAG : {}), ...(writes ? CONSISTENCY : {}) };
  const either = or ? [answers, or] : [answers];
  const bodyOf = (code: number): object =>
    either.length === 1 || code === 201 ? { type: answers } : { schema: { oneOf: either.map((type) => ({ $ref: getSchemaPath(type) })) } };
  return applyDecorators(
    ApiOperation({ summary, ...(description === undefined ? {} : { description }) }),
    ...[status].flat().map((code) => ApiResponse({ status: code, description: summary, headers, ...bodyOf(code) })),
    ...errorsOf(spec).map(errorResponse),
    ...requestHeaders(spec),
    ...[...(spec.paged ? PAGE_QUERY : []), ...query].map((one) => ApiQuery({ required: false, ...one })),
    ...(writes === 'post' ? [UseInterceptors(Idempotent)] : []),
    ...(optionalBody ? [ApiBody({ type: optionalBody, required: false })] : []),
    ...(reads
      ? [
          ApiHeader({
            name: 'Consistency-Token',
            required: false,
            description: 'Waits, up to 2 s, until this write is seen.',
            schema: { type: 'string' },
          }),
        ]
      : []),
  );
}

function errorsOf({ writes, reads, open, bare, errors = [] }: OperationSpec): readonly ErrorStatus[] {
  if (bare) return [];
  const all: ErrorStatus[] = [
    'INVALID_ARGUMENT',
    ...(open ? [] : (['UNAUTHENTICATED'] as const)),
    ...(writes === 'post' ? (['CONFLICT', 'IDEMPOTENCY_MISMATCH'] as const) : []),
    ...(writes === 'put' ? (['CONFLICT', 'FAILED_PRECONDITION'] as const) : []),
    ...(writes ? (['PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const) : []),
    ...(reads ? (['GONE'] as const) : []),
    ...errors,
    'INTERNAL',
    'UNAVAILABLE',
  ];
  return [...new Set(all)];
}

const requestHeaders = ({ writes }: OperationSpec): readonly MethodDecorator[] => [
  ApiHeader({
    name: 'X-Request-Id',
    required: false,
    description: 'An id for this request, up to 200 printable characters.',
    schema: { type: 'string', maxLength: 200 },
  }),
  ...(writes === 'post'
    ? [
        ApiHeader({
          name: 'Idempotency-Key',
          required: false,
          description:
            'The same key with the same body, by the same credential within 24 h, is answered as the first time and does nothing more.',
          schema: { type: 'string', minLength: 1, maxLength: 255 },
        }),
      ]
    : []),
  ...(writes === 'put'
    ? [
        ApiHeader({
          name: 'If-Match',
          required: false,
          description: 'The ETag that this is meant for: 412 when it has changed since.',
          schema: { type: 'string', example: '"3"' },
        }),
      ]
    : []),
];

/** Of what can be read as it was. */
export const AT: ApiQueryOptions = {
  name: 'at',
  description: 'A time that has been: the state then, by replay, with what happened at that very time. 404 before its creation.',
  schema: { type: 'string' },
  example: EXAMPLE.created,
};

const PAGE_QUERY: readonly ApiQueryOptions[] = [
  {
    name: 'page_size',
    description: 'Rows: 1 to 100; anything else is 100.',
    schema: { type: 'integer', minimum: 1, maximum: 100, default: 100 },
  },
  {
    name: 'page_token',
    description: 'The next_page_token of the page before; a bare tm_create means strictly older.',
    schema: { type: 'string' },
    example: EXAMPLE.created,
  },
];

const INTRODUCTION = `An event-sourced dialing-target engine: tells a dialer whom to dial next, and never forgets what happened.

Unknown fields in a body are an error that names them; unknown parameters in a query are ignored. Times are UTC with microseconds; requests may use RFC 3339, too.`;

/** The document of everything under /v1.0 and beside it. Made once, when it is first asked for. */
function openApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Outdial')
    .setVersion('1.0')
    .setDescription(INTRODUCTION)
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'A token of POST /auth/login, or an access key.' }, 'bearer')
    .addApiKey({ type: 'apiKey', in: 'cookie', name: 'token' }, 'token_cookie')
    .addApiKey({ type: 'apiKey', in: 'query', name: 'token' }, 'token_query')
    .addApiKey({ type: 'apiKey', in: 'cookie', name: 'accesskey' }, 'accesskey_cookie')
    .addApiKey({ type: 'apiKey', in: 'query', name: 'accesskey' }, 'accesskey_query')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (_, method) => method,
    extraModels: [ErrorAnswer, ReadinessPartAnswer, RetryRuleBody],
  });
  for (const [path, operations] of Object.entries(document.paths)) complete(path, operations);
  describeFiles(document);
  closeRequests(document);
  allowNullInEnums(document);
  return document;
}

const ANY_CREDENTIAL = ['bearer', 'token_cookie', 'token_query', 'accesskey_cookie', 'accesskey_query'].map((name) => ({ [name]: [] }));

interface OpenOperation {
  security?: readonly object[];
  readonly parameters?: { readonly in: string; readonly name: string; schema?: object; description?: string }[];
  readonly requestBody?: object;
}

const PATH_PARAMETERS: Readonly<Record<string, { readonly description: string; readonly schema: object }>> = {
  target_id: { description: 'The target’s id.', schema: { type: 'string', format: 'uuid' } },
  attempt_id: { description: 'The attempt’s id.', schema: { type: 'string', format: 'uuid' } },
  n: { description: 'Which destination.', schema: { type: 'integer', minimum: 0, maximum: 4 } },
};

/** What holds for all operations of a path alike. */
function complete(path: string, operations: object): void {
  // `/v1.0/outdials/{id}/…`: the id is an outdial's.
  const owner = path.split('/')[2]?.replace(/s$/, '') ?? '';
  for (const operation of Object.values(operations) as OpenOperation[]) {
    operation.security = path.startsWith('/v1.0/') ? ANY_CREDENTIAL : [];
    for (const parameter of operation.parameters ?? []) {
      if (parameter.in !== 'path') continue;
      const known = PATH_PARAMETERS[parameter.name];
      Object.assign(parameter, known ?? { description: `The ${owner}’s id.`, schema: { type: 'string', format: 'uuid' } });
    }
  }
}

/** A request with a field that its schema does not name is refused; say so in each schema that requests are made of. */
function closeRequests({ paths, components }: OpenAPIObject): void {
  const schemas = (components?.schemas ?? {}) as Record<string, { additionalProperties?: boolean; readonly type?: string }>;
  const closed = new Set<string>();
  const close = (part: object): void => {
    for (const [, name = ''] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      const schema = schemas[name];
      if (!schema || closed.has(name)) continue;
      closed.add(name);
      schema.additionalProperties = false;
      close(schema);
    }
  };
  for (const operations of Object.values(paths)) {
    for (const { requestBody } of Object.values(operations) as OpenOperation[]) if (requestBody) close(requestBody);
  }
}

/** `nullable` does not widen an enum: its words must name null, too (OpenAPI 3.0.3, "Schema Object"). */
function allowNullInEnums({ components }: OpenAPIObject): void {
  for (const schema of Object.values(components?.schemas ?? {})) {
    const properties = ('properties' in schema && schema.properties) || {};
    for (const property of Object.values(properties)) {
      if (!('nullable' in property) || !property.nullable || !property.enum || property.enum.includes(null)) continue;
      property.enum = [...(property.enum as unknown[]), null];
    }
  }
}

/** /openapi.json, and /docs with everything that it needs: no other server is asked for anything. */
export function serveDocument(app: INestApplication): void {
  SwaggerModule.setup('docs', app, () => openApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Outdial API',
    swaggerOptions: { persistAuthorization: true, displayRequestDuration: true, validatorUrl: null },
  });
}
