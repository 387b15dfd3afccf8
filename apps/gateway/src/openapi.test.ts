import fastify from 'fastify';
import { aLease, anOutdial, aTarget, fakeGateway } from '../../../test/support/gateway';
import type { FakeGateway } from '../../../test/support/gateway';
import { leaseWire, outdialWire, targetWire } from './wire';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security: readonly object[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: object;
    readonly example?: unknown;
  }[];
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<
    Record<
      string,
      { readonly headers: object; readonly content: Readonly<Record<string, { readonly schema: object; readonly example?: unknown }>> }
    >
  >;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>>; readonly securitySchemes: object };
}
interface Schema {
  readonly properties?: Readonly<Record<string, object>>;
  readonly additionalProperties?: unknown;
}

let gateway: FakeGateway;
let document: Document;
let routes: string[];
beforeAll(async () => {
  gateway = await fakeGateway();
  document = (await gateway.send('GET', '/openapi.json')).json as Document;
  routes = [];
  // Fastify's own list of what it serves.
  const tree = gateway.app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false });
  const path: string[] = [];
  for (const line of tree.split('\n')) {
    const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (.*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
    if (part === '') continue;
    path.length = indent.length / 4;
    path.push(part);
    for (const method of methods.split(', ').filter((one) => one !== '' && one !== 'HEAD')) routes.push(`${method} ${path.join('')}`);
  }
});
afterAll(() => gateway.app.close());

const operations = (): readonly (Operation & { readonly route: string })[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, route: `${method.toUpperCase()} ${path}` })),
  );

interface Example {
  readonly where: string;
  readonly schema: object;
  readonly value: unknown;
}

/** Which examples their schemas do not allow, by Fastify's own validator: nothing is coerced, filled in or left out. */
async function disallowed(examples: readonly Example[], schemas: Readonly<Record<string, object>>): Promise<readonly unknown[]> {
  const located = (schema: object): object =>
    JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', 'schemas#/definitions/')) as object;
  const app = fastify({ ajv: { customOptions: { strict: false, coerceTypes: false, removeAdditional: false, useDefaults: false } } });
  app.addSchema({ $id: 'schemas', definitions: located(schemas) });
  examples.forEach(({ schema }, index) => {
    const body = { type: 'object', required: ['value'], properties: { value: located(schema) } };
    app.post(`/${index}`, { schema: { body } }, () => 'allowed');
  });
  const wrong: unknown[] = [];
  for (const [index, { where, value }] of examples.entries()) {
    const { statusCode, payload } = await app.inject({ method: 'POST', url: `/${index}`, payload: { value } });
    if (statusCode !== 200) wrong.push([where, value, payload]);
  }
  await app.close();
  return wrong;
}

describe('the document', () => {
  test('has every route under /v1.0 that the service has, and no other', () => {
    const served = routes.filter((route) => route.includes(' /v1.0/')).map((route) => route.replace(/:(\w+)/g, '{$1}'));
    expect(served.length).toBeGreaterThan(30);
    const documented = operations()
      .map(({ route }) => route)
      .filter((route) => route.includes(' /v1.0/'));
    expect([...documented].sort()).toEqual([...served].sort());
  });

  test('calls each operation by a name of its own', () => {
    const names = operations().map(({ operationId }) => operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { operationId, summary } of operations()) {
      expect(operationId).toMatch(/^[a-z][A-Za-z]+$/);
      expect(summary).toMatch(/\.$/);
    }
  });

  test('points at nothing that is not there', () => {
    const pointers = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name ?? '');
    expect(pointers.length).toBeGreaterThan(100);
    expect(pointers.filter((name) => !(name in document.components.schemas))).toEqual([]);
  });

  test('names every parameter of a path', () => {
    for (const { route, parameters = [] } of operations()) {
      const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => name);
      expect([route, [...inPath].sort()]).toEqual([route, [...route.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort()]);
    }
  });

  test('says where a credential goes, and that only /v1.0 needs one', () => {
    expect(Object.keys(document.components.securitySchemes)).toEqual([
      'bearer',
      'token_cookie',
      'token_query',
      'accesskey_cookie',
      'accesskey_query',
    ]);
    for (const { route, security } of operations()) expect([route, security.length]).toEqual([route, route.includes(' /v1.0/') ? 5 : 0]);
  });

  test('shows the envelope for each error, and the ids of requests everywhere', () => {
    for (const { route, responses } of operations()) {
      expect([route, Object.keys(responses).some((code) => code.startsWith('2'))]).toEqual([route, true]);
      for (const [code, { headers, content }] of Object.entries(responses)) {
        if (route === 'GET /readyz') continue;
        expect([route, code, Object.keys(headers)]).toEqual([route, code, expect.arrayContaining(['X-Request-Id'])]);
        if (Number(code) >= 400) expect(content['application/json']?.schema).toEqual({ $ref: '#/components/schemas/Error' });
      }
      if (route.includes(' /v1.0/'))
        expect([route, Object.keys(responses)]).toEqual([route, expect.arrayContaining(['400', '401', '500', '503'])]);
    }
  });

  test('tells which requests take an Idempotency-Key, If-Match and a Consistency-Token', () => {
    const taking = (header: string): readonly string[] =>
      operations()
        .filter(({ parameters = [] }) => parameters.some(({ name }) => name === header))
        .map(({ route }) => route);
    const posts = operations().filter(({ route }) => route.startsWith('POST /v1.0/') && !/accesskeys|customers/.test(route));
    expect([...taking('Idempotency-Key')].sort()).toEqual(posts.map(({ route }) => route).sort());
    const queries = operations().filter(({ route }) => route.startsWith('GET /v1.0/'));
    expect([...taking('Consistency-Token')].sort()).toEqual(queries.map(({ route }) => route).sort());
    expect(taking('If-Match')).toEqual(
      expect.arrayContaining(['PUT /v1.0/outdials/{id}', 'DELETE /v1.0/outplans/{id}', 'PUT /v1.0/outdials/{id}/targets/{target_id}']),
    );
  });

  test('shows the files that are imported and exported, beside the JSON', () => {
    const { requestBody, responses } = document.paths['/v1.0/outdials/{id}/targets']?.post ?? {};
    expect(Object.keys(requestBody?.content ?? {})).toEqual(['application/json', 'application/x-ndjson', 'text/csv']);
    expect(Object.keys(responses?.['200']?.content ?? {})).toEqual(['application/json', 'application/x-ndjson']);
    const exported = document.paths['/v1.0/outdials/{id}/targets/export']?.get?.responses['200'];
    expect(Object.keys(exported?.content ?? {})).toEqual(['application/x-ndjson', 'text/csv']);
  });

  test('says that requests take no field but those it names', () => {
    const { schemas } = document.components;
    for (const name of [
      'NewOutdial',
      'OutdialChanges',
      'NewTarget',
      'NewTargets',
      'TargetChanges',
      'NewAddress',
      'LeaseRequest',
      'OutcomeRow',
      'NewOutplan',
      'RetryRule',
      'NoFields',
    ]) {
      expect([name, schemas[name]?.additionalProperties]).toEqual([name, false]);
    }
    expect(schemas.Outdial?.additionalProperties).toBeUndefined();
  });

  const propertyExamples = (): readonly Example[] =>
    Object.entries(document.components.schemas).flatMap(([name, { properties = {} }]) =>
      Object.entries(properties).flatMap(([field, schema]) => examplesIn(`${name}.${field}`, schema)),
    );
  const operationExamples = (): readonly Example[] =>
    operations().flatMap(({ route, parameters = [], responses }) => [
      ...parameters.flatMap(({ name, schema, ...parameter }) => [
        ...examplesIn(`${route} ${name}`, schema),
        ...examplesIn(`${route} ${name}`, parameter, schema),
      ]),
      ...Object.entries(responses).flatMap(([code, { content = {} }]) =>
        Object.values(content).flatMap(({ schema, ...answer }) => examplesIn(`${route} ${code}`, answer, schema)),
      ),
    ]);
  const examplesIn = (where: string, holder: object, schema = holder): readonly Example[] => [
    ...('example' in holder ? [{ where, schema, value: holder.example }] : []),
    ...('default' in holder ? [{ where, schema, value: holder.default }] : []),
  ];

  test('has only examples and defaults that its own schemas allow', async () => {
    const examples = [...propertyExamples(), ...operationExamples()];
    expect(examples.length).toBeGreaterThan(300);
    expect(await disallowed(examples, document.components.schemas)).toEqual([]);
    // The validator does validate.
    expect(await disallowed([{ where: '', schema: { type: 'integer' }, value: '3' }], {})).toHaveLength(1);
  });

  test('describes the answers that are given', async () => {
    const target = { schema: { $ref: '#/components/schemas/Outdialtarget' }, value: targetWire(aTarget()), where: 'target' };
    const outdial = { schema: { $ref: '#/components/schemas/Outdial' }, value: outdialWire(anOutdial()), where: 'outdial' };
    const lease = { schema: { $ref: '#/components/schemas/Lease' }, value: leaseWire(aLease()), where: 'lease' };
    for (const { schema, value, where } of [target, outdial, lease]) {
      const [, name = ''] = /schemas\/(\w+)/.exec(schema.$ref) ?? [];
      expect([where, Object.keys(document.components.schemas[name]?.properties ?? {})]).toEqual([where, Object.keys(value)]);
    }
  });
});
