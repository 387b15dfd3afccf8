import { tmpdir } from 'node:os';
import type { Type } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Idempotency, ResolveAccessKey, ResolveUser } from '#application';
import type { Lease, Principal, RequestContext, Versioned } from '#application';
import { five, OutdialError } from '#dialing';
import type { AccessKey, Attempt, Customer, Outdial, Outplan, Target } from '#dialing';
import type { StateRecord, StateStore } from '#event-store';
import { createLogger } from '#platform';
import type { Engine } from '../../apps/gateway/src/engine/engine';
import { createGateway } from '../../apps/gateway/src/gateway.module';

/** A gateway without an engine: what its controllers ask is written down, and answered as the test says. */
export interface FakeGateway {
  readonly app: NestFastifyApplication;
  /** Every command and query but those that find out who asks, in their order. */
  readonly asked: (object & { readonly context: RequestContext })[];
  /** What the log says, line by line. */
  readonly logged: string[];
  /** The answer to every message of this class, from now on. */
  answer<M extends object>(message: Type<M>, give: (message: M) => unknown): void;
  /** Sends as the customer's user unless headers say otherwise. */
  send(method: Method, url: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Sent>;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'HEAD';

export interface Sent {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>;
  readonly text: string;
  readonly json: unknown;
}

export const LOG_ID = 'log-of-the-test';
export const CUSTOMER_ID = '2f8a3b0d-6c1e-4a77-9b21-0d9f4a5be8c2';
export const OUTDIAL_ID = '40bea034-1d17-474d-a5de-da00d0861c69';
export const TARGET_ID = '1b3d7a92-7146-466d-90f5-4bc701ada4c0';
export const OUTPLAN_ID = '6f0f3c6e-5f5a-4f0c-8f0e-0b7b6a1f2d11';
export const ATTEMPT_ID = 'd2a1f6de-8a5b-4b8e-9d3c-3f1f9f3b6c55';
/** The access key that `send` uses. */
const KEY = 'the-access-key';

function memoryState(): StateStore {
  const records = new Map<string, StateRecord>();
  return {
    get: async (key) => records.get(key) ?? null,
    put: async (key, value, expected) => {
      const version = records.get(key)?.version ?? 0;
      if (version !== expected) return false;
      records.set(key, { key, value, version: version + 1 });
      return true;
    },
    delete: async (key) => void records.delete(key),
    list: async () => [],
    purge: async () => undefined,
    close: async () => undefined,
  };
}

function fakeEngine(): Engine {
  const idempotency = new Idempotency(memoryState(), { now: () => Date.now() * 1000 }, { after: () => () => undefined });
  const engine: Partial<Engine> = {
    ports: { events: { logId: LOG_ID } } as Engine['ports'],
    providers: [],
    spoolDirectory: tmpdir(),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nobody listens here: only its end is asked for.
    feed: { stop: () => undefined } as Engine['feed'],
    idempotency,
    readiness: async () => ({ projections: { ok: true, detail: '0.0 s behind' } }),
    figures: () => ({ projectionLagSeconds: 0.25 }),
  };
  return engine as Engine;
}

export async function fakeGateway(): Promise<FakeGateway> {
  const logged: string[] = [];
  const asked: FakeGateway['asked'] = [];
  const answers = new Map<unknown, (message: never) => unknown>();
  const app = await createGateway(
    fakeEngine(),
    'a secret that signs tokens',
    createLogger('info', { write: (line) => void logged.push(line) }),
  );
  const execute = async (message: FakeGateway['asked'][number]): Promise<unknown> => {
    if (!(message instanceof ResolveUser || message instanceof ResolveAccessKey)) asked.push(message);
    const give = answers.get(message.constructor);
    if (!give) throw new Error(`the test does not say what ${message.constructor.name} answers`);
    return give(message as never);
  };
  Object.assign(app.get(CommandBus), { execute });
  Object.assign(app.get(QueryBus), { execute });
  const gateway: FakeGateway = {
    app,
    asked,
    logged,
    answer: (message, give) => void answers.set(message, give),
    async send(method, url, body, headers = {}) {
      const sent = await app.inject({
        method,
        url,
        headers: { authorization: `Bearer ${KEY}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
      });
      const isJson = String(sent.headers['content-type']).startsWith('application/json') && sent.payload !== '';
      return { status: sent.statusCode, headers: sent.headers, text: sent.payload, json: isJson ? sent.json() : null };
    },
  };
  gateway.answer(ResolveAccessKey, ({ token }): Principal => {
    if (token !== KEY) throw new OutdialError('UNAUTHENTICATED', 'INVALID_CREDENTIALS', 'no such key');
    return { customerId: CUSTOMER_ID, actor: 'the-key', admin: false };
  });
  return gateway;
}

// ---------------------------------------------------------------- what the engine would answer with

const CREATED = Date.UTC(2022, 3, 28, 1, 41, 40) * 1000 + 503_790;

export const versioned = <T>(value: T, revision = 3, position: string | null = '0000000042'): Versioned<T> => ({
  value,
  revision,
  position,
});

export const anOutdial = (changes: Partial<Outdial> = {}): Outdial => ({
  id: OUTDIAL_ID,
  customerId: CUSTOMER_ID,
  name: 'test outdial',
  detail: 'outdial for test use.',
  data: '',
  campaignId: '00000000-0000-0000-0000-000000000000',
  outplanId: '00000000-0000-0000-0000-000000000000',
  mode: 'active',
  tmCreate: CREATED,
  tmUpdate: null,
  tmDelete: null,
  tmLast: CREATED,
  ...changes,
});

const address = { type: 'tel', target: '+821100000001', target_name: '', name: '', detail: '' } as const;
const policy = { source: null, dialTimeout: 60_000, tryInterval: 600_000, maxTryCounts: five(() => 3), retry: {} };

export const anOutplan = (changes: Partial<Outplan> = {}): Outplan => ({
  id: OUTPLAN_ID,
  customerId: CUSTOMER_ID,
  name: 'sales',
  detail: '',
  policy,
  tmCreate: CREATED,
  tmUpdate: null,
  tmDelete: null,
  tmLast: CREATED,
  ...changes,
});

export const anAttempt = (changes: Partial<Attempt> = {}): Attempt => ({
  attemptId: ATTEMPT_ID,
  destinationIndex: 0,
  destination: address,
  tryCount: 1,
  tryCountMax: 3,
  dialer: 'dialer-1',
  tmStart: CREATED,
  tmExpire: CREATED + 90_000_000,
  life: 1,
  dialTimeout: 60_000,
  source: null,
  tmEnd: null,
  outcome: null,
  disposition: null,
  note: null,
  late: false,
  expired: false,
  ...changes,
});

export const aTarget = (changes: Partial<Target> = {}): Target => ({
  id: TARGET_ID,
  outdialId: OUTDIAL_ID,
  customerId: CUSTOMER_ID,
  name: 'test destination 0',
  detail: 'test detatination 0 detail',
  data: 'test data',
  priority: 0,
  status: 'idle',
  doneReason: null,
  tryCounts: five(() => 0),
  exhausted: five(() => false),
  due: CREATED,
  gone: false,
  externalId: 'crm-4711',
  destinations: [address, null, null, null, null],
  limits: { tryCountMax: null, tryCountMaxes: five(() => null) },
  life: 1,
  attempts: [],
  policy: null,
  cancelRequested: false,
  exhaustRequested: five(() => false),
  dueBefore: null,
  restsFor: null,
  tmCreate: CREATED,
  tmUpdate: CREATED,
  tmDelete: null,
  tmLast: CREATED,
  ...changes,
});

export const aLease = (): Lease => ({ attempt: anAttempt(), target: aTarget({ status: 'progressing' }) });

export const anAccessKey = (): AccessKey => ({
  id: '7c1b0f5a-92b7-4e1f-a1c4-5f0a7a3a1f60',
  customerId: CUSTOMER_ID,
  name: 'dialer-1',
  detail: '',
  tmExpire: CREATED + 1,
  tmCreate: CREATED,
  tmUpdate: null,
  tmDelete: null,
  tmLast: CREATED,
});

export const aCustomer = (): Customer => ({
  id: CUSTOMER_ID,
  name: 'Example Ltd',
  detail: '',
  username: 'example',
  passwordHash: '$scrypt$HASH',
  admin: false,
  passwordVersion: 4,
  tmCreate: CREATED,
  tmUpdate: null,
  tmDelete: null,
  tmLast: CREATED,
});
