/** What the gateway makes of a request, and of the engine's answer. The engine is a fake: rules are not decided here. */
import {
  AddTarget,
  AddTargets,
  CancelTarget,
  ChangeLeases,
  ChangeOutdialMode,
  ChangePassword,
  ClaimTargets,
  CreateAccessKey,
  CreateCustomer,
  CreateOutdial,
  CreateOutplan,
  DeleteAccessKey,
  DeleteCustomer,
  DeleteOutplan,
  ExhaustDestination,
  GetAccessKey,
  GetCustomer,
  GetOutdial,
  GetOutplan,
  GetProgress,
  GetTarget,
  ListAccessKeys,
  ListAttempts,
  ListCustomers,
  ListOpenAttempts,
  ListOutdials,
  ListOutplans,
  ListTargets,
  RecordDialAttempt,
  RecordOutcome,
  RecordOutcomes,
  RemoveTarget,
  UpdateOutdial,
  UpdateOutplan,
  UpdateTarget,
} from '#application';
import { five, NEVER, NO_ID, OutdialError } from '#dialing';
import { StoreUnavailable } from '#event-store';
import {
  aCustomer,
  aLease,
  anAccessKey,
  anAttempt,
  anOutdial,
  anOutplan,
  aTarget,
  ATTEMPT_ID,
  CUSTOMER_ID,
  fakeGateway,
  LOG_ID,
  OUTDIAL_ID,
  OUTPLAN_ID,
  TARGET_ID,
  versioned,
} from '../../../test/support/gateway';
import type { FakeGateway, Sent } from '../../../test/support/gateway';

let gateway: FakeGateway;
beforeAll(async () => {
  gateway = await fakeGateway();
});
afterAll(() => gateway.app.close());
beforeEach(() => {
  gateway.asked.length = 0;
  gateway.logged.length = 0;
  answerAll();
});

const page = <T>(...items: readonly T[]): { items: readonly T[]; nextPageToken: string } => ({ items, nextPageToken: '' });
const position = '0000000042';

function answerAll(): void {
  const { answer } = gateway;
  for (const message of [CreateOutdial, UpdateOutdial, ChangeOutdialMode, GetOutdial])
    answer(message as typeof GetOutdial, () => versioned(anOutdial()));
  for (const message of [CreateOutplan, UpdateOutplan, DeleteOutplan, GetOutplan])
    answer(message as typeof GetOutplan, () => versioned(anOutplan()));
  for (const message of [UpdateTarget, RemoveTarget, CancelTarget, ExhaustDestination, GetTarget])
    answer(message as typeof GetTarget, () => versioned(aTarget()));
  answer(AddTarget, () => ({ ...versioned(aTarget()), result: 'created' }));
  answer(AddTargets, ({ rows }) => ({
    fates: rows.map((row, index) =>
      'details' in row ? { index, result: 'invalid', details: row.details } : { index, result: 'created', target: aTarget() },
    ),
    position,
  }));
  answer(ListOutdials, () => page(anOutdial()));
  answer(ListOutplans, () => page(anOutplan()));
  answer(ListTargets, () => page(aTarget()));
  answer(ListOpenAttempts, () => page(aLease()));
  answer(ListAttempts, () => [aLease()]);
  answer(ClaimTargets, () => ({ leases: [aLease()], nextCallableAt: null, position }));
  answer(RecordOutcomes, ({ reports }) => ({
    fates: reports.map(({ attemptId }) => ({ attemptId, result: 'recorded', status: 'done', doneReason: 'answered' })),
    position,
  }));
  answer(RecordOutcome, () => ({ ...versioned(aTarget()), result: 'recorded' }));
  answer(RecordDialAttempt, () => ({ ...versioned(aTarget()), attempt: anAttempt() }));
  answer(ChangeLeases, ({ attempts }) => ({ fates: attempts.map(({ attemptId }) => ({ attemptId, result: 'extended' })), position }));
  answer(ListAccessKeys, () => page(anAccessKey()));
  answer(ListCustomers, () => page(aCustomer()));
  answer(CreateAccessKey, () => ({ ...versioned(anAccessKey()), token: 'THE-TOKEN' }));
  for (const message of [GetAccessKey, DeleteAccessKey]) answer(message, () => versioned(anAccessKey()));
  for (const message of [CreateCustomer, GetCustomer, DeleteCustomer]) answer(message as typeof GetCustomer, () => versioned(aCustomer()));
  answer(ChangePassword, () => ({ customer: aCustomer() }));
  answer(GetProgress, () => ({
    targets: { total: 2, idle: 1, progressing: 0, done: 1 },
    done: { answered: 1, exhausted: 0, canceled: 0 },
    attempts: {
      total: 1,
      byOutcome: { answered: 1, under_way: 0 },
      byDestination: [1, 0, 0, 0, 0],
      answeredByDestination: [1, 0, 0, 0, 0],
      byTry: [0, 1],
      answeredByTry: [0, 1],
      byMinute: [{ tm: 60_000_000, ended: 2, answered: 1 }],
    },
    callable: 1,
    waiting: 0,
    nextCallableAt: null,
    penetration: 0.5,
    connectRate: 1,
    tm: 1_000_000,
  }));
}

const OUTDIAL = `/v1.0/outdials/${OUTDIAL_ID}`;
const TARGET = `${OUTDIAL}/targets/${TARGET_ID}`;
const OUTPLAN = `/v1.0/outplans/${OUTPLAN_ID}`;
const tel = (target: string): object => ({ type: 'tel', target });
const address = (target: string): object => ({ type: 'tel', target, target_name: '', name: '', detail: '' });
const send: FakeGateway['send'] = (...request) => gateway.send(...request);

interface ErrorBody {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly request_id: string;
  readonly details?: readonly { readonly field: string; readonly reason: string; readonly value?: unknown }[];
}
const errorOf = ({ json }: Sent): ErrorBody => (json as { error: ErrorBody }).error;
const fieldsOf = (sent: Sent): readonly string[] => (errorOf(sent).details ?? []).map(({ field }) => field);

describe('a request becomes one command or query', () => {
  const limits = { tryCountMax: null, tryCountMaxes: five(() => null) };
  const plain = { name: '', detail: '', data: '', priority: 0, externalId: null, limits };
  const paged = { page: { pageSize: 100, after: null } };
  const report = { attemptId: ATTEMPT_ID, targetId: TARGET_ID, outcome: 'busy', disposition: null, detail: null, tmEnd: null };
  test.each<[method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body: unknown, status: number, message: unknown, fields: object]>([
    [
      'POST',
      '/v1.0/outdials',
      { name: 'a' },
      201,
      CreateOutdial,
      { details: { name: 'a', detail: '', data: '', campaignId: NO_ID, outplanId: NO_ID } },
    ],
    [
      'POST',
      '/v1.0/outdials',
      { name: 'a', detail: 'b', data: 'c', campaign_id: TARGET_ID.toUpperCase(), outplan_id: OUTPLAN_ID },
      201,
      CreateOutdial,
      { details: { name: 'a', detail: 'b', data: 'c', campaignId: TARGET_ID, outplanId: OUTPLAN_ID } },
    ],
    ['GET', '/v1.0/outdials', undefined, 200, ListOutdials, paged],
    ['GET', OUTDIAL.toUpperCase().replace('/V1.0/OUTDIALS', '/v1.0/outdials'), undefined, 200, GetOutdial, { outdialId: OUTDIAL_ID }],
    ['PUT', OUTDIAL, { data: 'd' }, 200, UpdateOutdial, { outdialId: OUTDIAL_ID, changes: { data: 'd' } }],
    ['PUT', OUTDIAL, { outplan_id: NO_ID, name: 'n' }, 200, UpdateOutdial, { changes: { name: 'n', outplanId: NO_ID } }],
    ['PUT', OUTDIAL, {}, 200, UpdateOutdial, { changes: {} }],
    ['PUT', `${OUTDIAL}/campaign_id`, { campaign_id: TARGET_ID }, 200, UpdateOutdial, { changes: { campaignId: TARGET_ID } }],
    ['PUT', `${OUTDIAL}/data`, { data: '' }, 200, UpdateOutdial, { changes: { data: '' } }],
    ['DELETE', OUTDIAL, undefined, 200, ChangeOutdialMode, { outdialId: OUTDIAL_ID, change: 'DeleteOutdial' }],
    ['POST', `${OUTDIAL}/pause`, undefined, 200, ChangeOutdialMode, { change: 'PauseOutdial' }],
    ['POST', `${OUTDIAL}/resume`, {}, 200, ChangeOutdialMode, { change: 'ResumeOutdial' }],
    ['POST', `${OUTDIAL}/archive`, '', 200, ChangeOutdialMode, { change: 'ArchiveOutdial' }],
    ['GET', `${OUTDIAL}/progress`, undefined, 200, GetProgress, { outdialId: OUTDIAL_ID }],
    [
      'POST',
      '/v1.0/outplans',
      { name: 'p', source: tel('+15551234567'), try_interval: 0, max_try_count_1: 0, retry: { busy: { interval: 5 } } },
      201,
      CreateOutplan,
      {
        details: {
          name: 'p',
          detail: '',
          policy: {
            source: address('+15551234567'),
            dialTimeout: 60_000,
            tryInterval: 0,
            maxTryCounts: [3, 0, 3, 3, 3],
            retry: { busy: { interval: 5 } },
          },
        },
      },
    ],
    ['GET', '/v1.0/outplans', undefined, 200, ListOutplans, paged],
    ['GET', OUTPLAN, undefined, 200, GetOutplan, { outplanId: OUTPLAN_ID }],
    [
      'PUT',
      OUTPLAN,
      { detail: 'd', dial_timeout: 1 },
      200,
      UpdateOutplan,
      { outplanId: OUTPLAN_ID, changes: { detail: 'd', policy: { dialTimeout: 1 } } },
    ],
    ['PUT', `${OUTPLAN}/dial_info`, { source: null, retry: {} }, 200, UpdateOutplan, { changes: { policy: { source: null, retry: {} } } }],
    ['DELETE', OUTPLAN, undefined, 200, DeleteOutplan, { outplanId: OUTPLAN_ID }],
    [
      'POST',
      `${OUTDIAL}/targets`,
      { destination: tel('+1 (555) 123-4567') },
      201,
      AddTarget,
      {
        outdialId: OUTDIAL_ID,
        target: { ...plain, destinations: [address('+15551234567'), null, null, null, null] },
        options: { readd: true, updateDuplicates: false },
      },
    ],
    [
      'POST',
      `${OUTDIAL}/targets?on_duplicate=update`,
      {
        name: 'n',
        external_id: 'x',
        priority: -100,
        destination_3: tel('+15551234567'),
        try_count_max: 0,
        try_count_max_3: 100,
        destination_0: null,
      },
      201,
      AddTarget,
      {
        target: {
          ...plain,
          name: 'n',
          externalId: 'x',
          priority: -100,
          destinations: [null, null, null, address('+15551234567'), null],
          limits: { tryCountMax: 0, tryCountMaxes: [null, null, null, 100, null] },
        },
        options: { readd: true, updateDuplicates: true },
      },
    ],
    [
      'POST',
      `${OUTDIAL}/targets?readd=true`,
      { targets: [{ destination: tel('+15551234567'), external_id: '' }] },
      200,
      AddTargets,
      {
        outdialId: OUTDIAL_ID,
        rows: [{ target: { ...plain, destinations: [address('+15551234567'), null, null, null, null] } }],
        options: { readd: true, updateDuplicates: false },
      },
    ],
    [
      'GET',
      `${OUTDIAL}/targets?status=done&external_id=x&destination=${encodeURIComponent('+1 (555) 123-4567')}&page_size=7`,
      undefined,
      200,
      ListTargets,
      {
        outdialId: OUTDIAL_ID,
        filter: { status: 'done', externalId: 'x', address: 'tel:+15551234567' },
        page: { pageSize: 7, after: null },
      },
    ],
    ['GET', `${OUTDIAL}/targets?destination=+15551234567`, undefined, 200, ListTargets, { filter: { address: 'tel:+15551234567' } }],
    [
      'GET',
      `${OUTDIAL}/targets?destination=Jane@EXAMPLE.com&token=ignored&_=1`,
      undefined,
      200,
      ListTargets,
      { filter: { address: 'email:jane@example.com' } },
    ],
    ['GET', TARGET, undefined, 200, GetTarget, { outdialId: OUTDIAL_ID, targetId: TARGET_ID }],
    [
      'PUT',
      TARGET,
      { priority: 5, destination_1: tel('+15551234567'), destination_2: null, tm_next_try: '2030-05-06T09:08:09.5+02:00' },
      200,
      UpdateTarget,
      {
        targetId: TARGET_ID,
        changes: { priority: 5, destinations: { 1: address('+15551234567'), 2: null }, due: Date.UTC(2030, 4, 6, 7, 8, 9, 500) * 1000 },
      },
    ],
    ['DELETE', TARGET, undefined, 200, RemoveTarget, { outdialId: OUTDIAL_ID, targetId: TARGET_ID }],
    ['POST', `${TARGET}/cancel`, { reason: 'opted out' }, 200, CancelTarget, { targetId: TARGET_ID, reason: 'opted out' }],
    ['POST', `${TARGET}/cancel`, undefined, 200, CancelTarget, { reason: '' }],
    [
      'POST',
      `${TARGET}/destinations/4/exhaust`,
      { reason: 'r' },
      200,
      ExhaustDestination,
      { targetId: TARGET_ID, destinationIndex: 4, reason: 'r' },
    ],
    [
      'POST',
      `${OUTDIAL}/leases`,
      { limit: 1000 },
      200,
      ClaimTargets,
      { outdialId: OUTDIAL_ID, limit: 1000, dialer: '', leaseSeconds: null, outplanId: null },
    ],
    [
      'POST',
      `${OUTDIAL}/leases`,
      { limit: 1, dialer: 'd', lease_seconds: 86_400, outplan_id: OUTPLAN_ID.toUpperCase() },
      200,
      ClaimTargets,
      { limit: 1, dialer: 'd', leaseSeconds: 86_400, outplanId: OUTPLAN_ID },
    ],
    [
      'POST',
      `${OUTDIAL}/outcomes`,
      { outcomes: [{ attempt_id: ATTEMPT_ID, target_id: TARGET_ID, outcome: 'busy' }] },
      200,
      RecordOutcomes,
      { reports: [report] },
    ],
    [
      'POST',
      `${OUTDIAL}/outcomes`,
      {
        outcomes: [
          {
            attempt_id: ATTEMPT_ID.toUpperCase(),
            target_id: TARGET_ID,
            outcome: 'busy',
            disposition: 'x',
            detail: 'y',
            tm_end: '1970-01-01 00:00:01.000002',
          },
        ],
      },
      200,
      RecordOutcomes,
      { reports: [{ ...report, disposition: 'x', detail: 'y', tmEnd: 1_000_002 }] },
    ],
    [
      'POST',
      `${OUTDIAL}/leases/extend`,
      { attempts: [{ attempt_id: ATTEMPT_ID, target_id: TARGET_ID }], lease_seconds: 60 },
      200,
      ChangeLeases,
      { attempts: [{ attemptId: ATTEMPT_ID, targetId: TARGET_ID }], change: { kind: 'extend', leaseSeconds: 60 } },
    ],
    [
      'POST',
      `${OUTDIAL}/leases/extend`,
      { attempts: [] },
      200,
      ChangeLeases,
      { attempts: [], change: { kind: 'extend', leaseSeconds: null } },
    ],
    ['POST', `${OUTDIAL}/leases/release`, { attempts: [] }, 200, ChangeLeases, { attempts: [], change: { kind: 'release' } }],
    ['GET', `${OUTDIAL}/attempts?open=true&dialer=d`, undefined, 200, ListOpenAttempts, { outdialId: OUTDIAL_ID, dialer: 'd', ...paged }],
    ['GET', `${OUTDIAL}/attempts?open=true`, undefined, 200, ListOpenAttempts, { dialer: null }],
    [
      'POST',
      `${TARGET}/attempts`,
      undefined,
      201,
      RecordDialAttempt,
      { targetId: TARGET_ID, dialer: '', destinationIndex: null, leaseSeconds: null },
    ],
    [
      'POST',
      `${TARGET}/attempts`,
      { destination_index: 0, dialer: 'd', lease_seconds: 9 },
      201,
      RecordDialAttempt,
      { dialer: 'd', destinationIndex: 0, leaseSeconds: 9 },
    ],
    ['GET', `${TARGET}/attempts`, undefined, 200, ListAttempts, { outdialId: OUTDIAL_ID, targetId: TARGET_ID }],
    [
      'PUT',
      `${TARGET}/attempts/${ATTEMPT_ID}`,
      { outcome: 'busy', disposition: null },
      200,
      RecordOutcome,
      { outdialId: OUTDIAL_ID, report },
    ],
    [
      'PUT',
      '/v1.0/password',
      { old: 'the old one', new: 'the new one' },
      200,
      ChangePassword,
      { oldPassword: 'the old one', newPassword: 'the new one' },
    ],
    ['POST', '/v1.0/accesskeys', { name: 'k', expire: 60 }, 201, CreateAccessKey, { name: 'k', detail: '', expireSeconds: 60 }],
    ['GET', '/v1.0/accesskeys', undefined, 200, ListAccessKeys, paged],
    ['GET', `/v1.0/accesskeys/${TARGET_ID}`, undefined, 200, GetAccessKey, { accessKeyId: TARGET_ID }],
    ['DELETE', `/v1.0/accesskeys/${TARGET_ID}`, undefined, 200, DeleteAccessKey, { accessKeyId: TARGET_ID }],
    [
      'POST',
      '/v1.0/customers',
      { name: 'c', username: 'u', password: 'a password' },
      201,
      CreateCustomer,
      { name: 'c', detail: '', username: 'u', password: 'a password' },
    ],
    ['GET', '/v1.0/customers', undefined, 200, ListCustomers, paged],
    ['GET', `/v1.0/customers/${CUSTOMER_ID}`, undefined, 200, GetCustomer, { customerId: CUSTOMER_ID }],
    ['DELETE', `/v1.0/customers/${CUSTOMER_ID}`, undefined, 200, DeleteCustomer, { customerId: CUSTOMER_ID }],
  ])('%s %s %j', async (method, url, body, status, message, fields) => {
    const sent = await send(method, url, body);
    expect(sent.text).not.toContain('"error"');
    expect(sent.status).toBe(status);
    expect(gateway.asked).toHaveLength(1);
    expect(gateway.asked[0]).toBeInstanceOf(message);
    expect(gateway.asked[0]).toMatchObject(fields);
  });

  test('limits that a PUT names in part are completed from what is there', async () => {
    gateway.answer(GetTarget, () => versioned(aTarget({ limits: { tryCountMax: 9, tryCountMaxes: [1, 2, null, 4, null] } }), 7, null));
    await send('PUT', TARGET, { try_count_max_1: null, try_count_max_4: 0 });
    expect(gateway.asked.at(-1)).toMatchObject({
      changes: { limits: { tryCountMax: 9, tryCountMaxes: [1, null, null, 4, 0] } },
      context: { ifMatch: 7 },
    });
    gateway.answer(GetOutplan, () => versioned(anOutplan({ policy: { ...anOutplan().policy, maxTryCounts: [1, 2, 3, 4, 5] } }), 7, null));
    await send('PUT', `${OUTPLAN}/dial_info`, { max_try_count_3: 0 });
    expect(gateway.asked.at(-1)).toMatchObject({ changes: { policy: { maxTryCounts: [1, 2, 3, 0, 5] } }, context: { ifMatch: 7 } });
  });

  test('a change that depends on what is there is decided again when that changes in between', async () => {
    let tries = 0;
    gateway.answer(GetTarget, () => versioned(aTarget({ limits: { tryCountMax: tries, tryCountMaxes: five(() => null) } }), tries, null));
    gateway.answer(UpdateTarget, () => {
      tries += 1;
      if (tries < 3) throw new OutdialError('FAILED_PRECONDITION', 'FAILED_PRECONDITION', 'overtaken');
      return versioned(aTarget());
    });
    expect((await send('PUT', TARGET, { try_count_max_1: 5 })).status).toBe(200);
    expect(gateway.asked.at(-1)).toMatchObject({ changes: { limits: { tryCountMax: 2 } } });
    tries = 0;
    expect((await send('PUT', TARGET, { try_count_max_1: 5 }, { 'if-match': '"0"' })).status).toBe(412);
  });
});

describe('the context of a command', () => {
  const contextOf = async (method: 'GET' | 'PUT' | 'POST' | 'DELETE', headers: Record<string, string>): Promise<unknown> => {
    const url = method === 'POST' ? `${OUTDIAL}/pause` : OUTDIAL;
    await send(method, url, method === 'PUT' ? {} : undefined, headers);
    return gateway.asked.at(-1)?.context;
  };

  test('says who asks, on whose behalf, and in which request', async () => {
    const context = await contextOf('GET', { 'x-request-id': 'request-7' });
    expect(context).toEqual({
      customerId: CUSTOMER_ID,
      actor: 'the-key',
      admin: false,
      requestId: 'request-7',
      fresh: true,
      commandId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
  });

  test('has a command id of its own in each request', async () => {
    const ids = [await contextOf('GET', {}), await contextOf('GET', {})].map((context) => (context as { commandId: string }).commandId);
    expect(new Set(ids).size).toBe(2);
  });

  test('passes a traceparent on, and drops one that is none', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    expect(await contextOf('GET', { traceparent })).toMatchObject({ traceparent });
    expect(await contextOf('GET', { traceparent: `${traceparent}x` })).not.toHaveProperty('traceparent');
  });

  test.each([
    ['"3"', 3],
    ['W/"12"', 12],
    ['*', undefined],
  ])('takes If-Match %s as %p, on PUT and DELETE alone', async (header, revision) => {
    for (const method of ['PUT', 'DELETE'] as const) {
      expect(((await contextOf(method, { 'if-match': header })) as { ifMatch?: number }).ifMatch).toBe(revision);
    }
    for (const method of ['GET', 'POST'] as const) expect(await contextOf(method, { 'if-match': header })).not.toHaveProperty('ifMatch');
  });

  test.each(['3', '""', '"x"', '"1", "2"', 'W/3'])('refuses %p as If-Match', async (header) => {
    const sent = await send('PUT', OUTDIAL, {}, { 'if-match': header });
    expect(sent.status).toBe(400);
    expect(fieldsOf(sent)).toEqual(['If-Match']);
  });

  test('takes a Consistency-Token of this log on a query, and ignores it elsewhere', async () => {
    const token = String((await send('POST', `${OUTDIAL}/pause`)).headers['consistency-token']);
    expect(await contextOf('GET', { 'consistency-token': token })).toMatchObject({ consistency: position });
    expect(await contextOf('POST', { 'consistency-token': 'anything' })).not.toHaveProperty('consistency');
  });

  test('of a query with another log’s token is 410, and with a malformed one 400', async () => {
    const encode = (text: string): string => Buffer.from(text).toString('base64url');
    expect((await send('GET', OUTDIAL, undefined, { 'consistency-token': encode('another-log:7') })).status).toBe(410);
    for (const malformed of ['', 'x', encode('no colon'), encode(`${LOG_ID}:`), encode(':7'), `${encode(`${LOG_ID}:7`)}=`]) {
      const sent = await send('GET', OUTDIAL, undefined, { 'consistency-token': malformed });
      expect([malformed, sent.status, fieldsOf(sent)]).toEqual([malformed, 400, ['Consistency-Token']]);
    }
  });
});

describe('an answer', () => {
  test('has the document’s fields first, in its order', async () => {
    const outdial = (await send('GET', OUTDIAL)).json as object;
    expect(Object.keys(outdial)).toEqual([
      'id',
      'campaign_id',
      'name',
      'detail',
      'data',
      'tm_create',
      'tm_update',
      'tm_delete',
      'outplan_id',
      'state',
    ]);
    expect(outdial).toMatchObject({ tm_create: '2022-04-28 01:41:40.503790', tm_update: NEVER, tm_delete: NEVER });
    const target = (await send('GET', TARGET)).json as object;
    const five = (name: string): readonly string[] => [0, 1, 2, 3, 4].map((n) => `${name}_${n}`);
    expect(Object.keys(target)).toEqual([
      ...['id', 'outdial_id', 'name', 'detail', 'data', 'status'],
      ...five('destination'),
      ...five('try_count'),
      ...['tm_create', 'tm_update', 'tm_delete'],
      ...['external_id', 'priority', 'try_count_max', ...five('try_count_max'), 'exhausted', 'done_reason', 'tm_next_try'],
    ]);
    expect(target).toMatchObject({
      destination_0: { type: 'tel', target: '+821100000001', target_name: '', name: '', detail: '' },
      destination_1: null,
    });
  });

  test('of a claim has each attempt and what its dialer needs of the target', async () => {
    const { result, next_callable_at } = (await send('POST', `${OUTDIAL}/leases`, { limit: 1 })).json as {
      result: object[];
      next_callable_at: string;
    };
    expect(next_callable_at).toBe(NEVER);
    expect(Object.keys(result[0] ?? {})).toEqual([
      ...[
        'attempt_id',
        'outdial_id',
        'target_id',
        'destination_index',
        'destination',
        'try_count',
        'try_count_max',
        'dialer',
        'dial_timeout',
        'source',
      ],
      ...['tm_start', 'tm_expire', 'tm_end', 'outcome', 'disposition', 'note', 'late', 'name', 'detail', 'data', 'external_id'],
    ]);
    expect(result[0]).toMatchObject({ outcome: null, tm_end: NEVER, source: null, external_id: 'crm-4711' });
  });

  test('of the progress is as the contract has it', async () => {
    expect((await send('GET', `${OUTDIAL}/progress`)).json).toEqual({
      targets: { total: 2, idle: 1, progressing: 0, done: 1 },
      done: { answered: 1, exhausted: 0, canceled: 0 },
      attempts: {
        total: 1,
        by_outcome: { answered: 1, under_way: 0 },
        by_destination: [1, 0, 0, 0, 0],
        answered_by_destination: [1, 0, 0, 0, 0],
        by_try: [0, 1],
        answered_by_try: [0, 1],
        by_minute: [{ tm: '1970-01-01 00:01:00.000000', ended: 2, answered: 1 }],
      },
      callable: 1,
      waiting: 0,
      next_callable_at: NEVER,
      penetration: 0.5,
      connect_rate: 1,
      tm: '1970-01-01 00:00:01.000000',
    });
  });

  test('has an ETag and a Consistency-Token where there is one to have', async () => {
    const { headers } = await send('PUT', OUTDIAL, {});
    expect(headers.etag).toBe('"3"');
    expect(Buffer.from(String(headers['consistency-token']), 'base64url').toString()).toBe(`${LOG_ID}:${position}`);
    gateway.answer(UpdateOutdial, () => versioned(anOutdial(), 3, null));
    expect((await send('PUT', OUTDIAL, {})).headers).not.toHaveProperty('consistency-token');
    expect((await send('GET', '/v1.0/outdials')).headers).not.toHaveProperty('etag');
    expect((await send('POST', `${OUTDIAL}/leases`, { limit: 1 })).headers['consistency-token']).toBeDefined();
  });

  test('never shows a password’s hash, and a key’s token only at its creation', async () => {
    expect((await send('GET', `/v1.0/customers/${CUSTOMER_ID}`)).text).not.toMatch(/hash/i);
    expect((await send('POST', '/v1.0/accesskeys', { name: 'k', expire: 1 })).text).toContain('THE-TOKEN');
    expect((await send('GET', `/v1.0/accesskeys/${TARGET_ID}`)).text).not.toContain('token');
  });

  test('to an array tells the fate of each row', async () => {
    gateway.answer(AddTargets, () => ({
      fates: [
        { index: 0, result: 'created', target: aTarget() },
        { index: 1, result: 'duplicate', targetId: 'a', target: aTarget() },
        { index: 2, result: 'duplicate', targetId: 'b', deleted: true },
        { index: 3, result: 'updated', targetId: 'c', target: aTarget() },
        { index: 4, result: 'invalid', details: [{ field: 'targets[4].name', reason: 'must be a string' }] },
      ],
      position,
    }));
    expect((await send('POST', `${OUTDIAL}/targets`, { targets: [] })).json).toMatchObject({
      result: [{ id: TARGET_ID }],
      duplicates: [
        { index: 1, id: 'a' },
        { index: 2, id: 'b', deleted: true },
        { index: 3, id: 'c', updated: true },
      ],
      errors: [{ index: 4, details: [{ field: 'targets[4].name', reason: 'must be a string' }] }],
      summary: { total: 5, created: 1, duplicates: 3, invalid: 1 },
    });
  });

  test('to one target is 201 when it is new, and 200 when it was updated', async () => {
    gateway.answer(AddTarget, () => ({ ...versioned(aTarget()), result: 'updated' }));
    expect((await send('POST', `${OUTDIAL}/targets?on_duplicate=update`, { destination: tel('+15551234567') })).status).toBe(200);
  });

  test('keeps reports in their order, wrong ones too', async () => {
    const right = (attempt_id: string): object => ({ attempt_id, target_id: TARGET_ID, outcome: 'answered' });
    const other = ATTEMPT_ID.replace('d2', 'e3');
    const outcomes = [
      { ...right(ATTEMPT_ID), outcome: 'engaged' },
      right(ATTEMPT_ID),
      'x',
      { ...right(other), tm_end: 'x', colour: 1 },
      right(other),
    ];
    const { result } = (await send('POST', `${OUTDIAL}/outcomes`, { outcomes })).json as {
      result: { attempt_id: string; result: string; details?: { field: string }[] }[];
    };
    expect(result.map(({ attempt_id, result: fate }) => [attempt_id, fate])).toEqual([
      [ATTEMPT_ID, 'invalid'],
      [ATTEMPT_ID, 'recorded'],
      [null, 'invalid'],
      [other, 'invalid'],
      [other, 'recorded'],
    ]);
    expect(result.map(({ details }) => details?.map(({ field }) => field))).toEqual([
      ['outcomes[0].outcome'],
      undefined,
      ['outcomes[2]'],
      ['outcomes[3].tm_end', 'outcomes[3].colour'],
      undefined,
    ]);
    expect(gateway.asked[0]).toMatchObject({ reports: [{ attemptId: ATTEMPT_ID }, { attemptId: other }] });
  });
});

describe('pages', () => {
  const pageOf = async (query: string): Promise<unknown> => {
    await send('GET', `/v1.0/outdials?${query}`);
    return (gateway.asked.at(-1) as unknown as ListOutdials).page;
  };

  test.each(['0', '-1', '101', '1e1', '1.5', '', 'x', ' 5', '0x10'])('have 100 rows when page_size is %p', async (size) => {
    expect(await pageOf(`page_size=${encodeURIComponent(size)}`)).toMatchObject({ pageSize: 100 });
  });

  test('go on after a moment, or after a row', async () => {
    const value = Date.UTC(2022, 3, 28, 1, 41, 40) * 1000 + 503_790;
    expect(await pageOf('page_token=2022-04-28 01:41:40.503790')).toEqual({ pageSize: 100, after: { value } });
    expect(await pageOf(`page_token=2022-04-28T01:41:40.503790Z~${OUTDIAL_ID.toUpperCase()}`)).toEqual({
      pageSize: 100,
      after: { value, id: OUTDIAL_ID },
    });
    expect(await pageOf('page_token=')).toMatchObject({ after: null });
  });

  test.each([
    'page_token=yesterday',
    'page_token=~',
    'page_token=2022-04-28 01:41:40.503790~x',
    'page_token=a&page_token=b',
    'page_size=1&page_size=2',
  ])('refuse %s', async (query) => {
    const sent = await send('GET', `/v1.0/outdials?${query}`);
    expect([sent.status, errorOf(sent).reason]).toEqual([400, 'INVALID_REQUEST_PARAMETER']);
    expect(fieldsOf(sent)).toEqual([query.split('=')[0]]);
  });
});

describe('a parameter that is wrong is named', () => {
  test.each([
    [`${OUTDIAL}/targets?status=new`, 'status'],
    [`${OUTDIAL}/targets?destination=5551234567`, 'destination'],
    [`${OUTDIAL}/attempts`, 'open'],
    [`${OUTDIAL}/attempts?open=false`, 'open'],
  ])('GET %s', async (url, field) => {
    const sent = await send('GET', url);
    expect([sent.status, errorOf(sent).reason, fieldsOf(sent)]).toEqual([400, 'INVALID_REQUEST_PARAMETER', [field]]);
    expect(gateway.asked).toEqual([]);
  });

  test.each([
    [`${OUTDIAL}/targets?readd=perhaps`, 'readd'],
    [`${OUTDIAL}/targets?on_duplicate=ignore`, 'on_duplicate'],
    [`${TARGET}/destinations/5/exhaust`, 'n'],
    [`${TARGET}/destinations/00/exhaust`, 'n'],
  ])('POST %s', async (url, field) => {
    const sent = await send('POST', url, {});
    expect([sent.status, errorOf(sent).reason, fieldsOf(sent)]).toEqual([400, 'INVALID_REQUEST_PARAMETER', [field]]);
    expect(gateway.asked).toEqual([]);
  });

  test.each([
    ['/v1.0/outdials/x', 'id'],
    [`${OUTDIAL}/targets/%00`, 'target_id'],
    [`/v1.0/outdials/x/targets/${TARGET_ID}`, 'id'],
    [`${OUTDIAL}/targets/${'g'.repeat(36)}`, 'target_id'],
  ])('the id in %s', async (url, field) => {
    const sent = await send('GET', url);
    expect([sent.status, errorOf(sent).reason, fieldsOf(sent)]).toEqual([400, 'INVALID_ID', [field]]);
  });

  test('an id before a body', async () => {
    const sent = await send('PUT', '/v1.0/outdials/x/campaign_id', '{');
    expect(errorOf(sent).reason).toBe('INVALID_ID');
  });
});

describe('a field that is wrong is named', () => {
  const integer = [0.5, '3', true, null, [], {}, 1e300];
  const text = [5, true, null, [], {}, 'a\u0000b', '\ud800', 'x'.repeat(70_000)];
  const id = ['', 'x', 5, null, `${OUTDIAL_ID} `];
  const an = 'an address';
  test.each<[method: 'POST' | 'PUT', url: string, body: object, field: string, wrong: readonly unknown[]]>([
    ['POST', '/v1.0/outdials', {}, 'name', [...text, '', undefined, 'x'.repeat(256)]],
    ['POST', '/v1.0/outdials', { name: 'n' }, 'detail', [...text, 'x'.repeat(4001)]],
    ['POST', '/v1.0/outdials', { name: 'n' }, 'data', text],
    ['POST', '/v1.0/outdials', { name: 'n' }, 'campaign_id', id],
    ['PUT', OUTDIAL, {}, 'name', [...text, '']],
    ['PUT', OUTDIAL, {}, 'outplan_id', id],
    ['PUT', `${OUTDIAL}/data`, {}, 'data', [...text, undefined]],
    ['PUT', `${OUTDIAL}/campaign_id`, {}, 'campaign_id', [...id, undefined]],
    ['POST', '/v1.0/outplans', {}, 'name', [...text, '', undefined]],
    ['PUT', `${OUTPLAN}/dial_info`, {}, 'dial_timeout', [...integer, 0, -1, 86_400_001]],
    ['PUT', `${OUTPLAN}/dial_info`, {}, 'try_interval', [...integer, -1]],
    ['PUT', `${OUTPLAN}/dial_info`, {}, 'max_try_count_4', [...integer, -1, 101]],
    ['PUT', `${OUTPLAN}/dial_info`, {}, 'source', [5, an, [], {}]],
    [
      'PUT',
      `${OUTPLAN}/dial_info`,
      {},
      'retry',
      [
        5,
        null,
        [],
        { answered: {} },
        { engaged: {} },
        { busy: { retry: 1 } },
        { busy: { interval: -1 } },
        { busy: { x: 1 } },
        { busy: [] },
      ],
    ],
    ['POST', `${OUTDIAL}/targets`, { destination: tel('+15551234567') }, 'priority', [...integer, 101, -101]],
    ['POST', `${OUTDIAL}/targets`, { destination: tel('+15551234567') }, 'external_id', [5, {}, 'x'.repeat(256), '\ud800']],
    ['POST', `${OUTDIAL}/targets`, { destination: tel('+15551234567') }, 'try_count_max_2', [0.5, '3', 101, -1]],
    [
      'POST',
      `${OUTDIAL}/targets`,
      { destination: tel('+15551234567') },
      'destination_4',
      [5, an, {}, tel('12'), { ...tel('+15551234567'), name: 5 }, { ...tel('+15551234567'), name: '\ud800' }],
    ],
    ['POST', `${OUTDIAL}/targets`, {}, 'destination_0', [undefined, null, tel('5551234567')]],
    ['POST', `${OUTDIAL}/targets`, { destination_0: tel('+15551234567') }, 'destination', [tel('+15551234568'), an]],
    ['POST', `${OUTDIAL}/targets`, {}, 'targets', [5, null, {}, 'x', Array.from({ length: 10_001 }, () => ({}))]],
    ['PUT', TARGET, {}, 'tm_next_try', ['tomorrow', '', 5, null, '2030-02-30T00:00:00Z']],
    ['PUT', TARGET, {}, 'destination_1', [5, an, {}]],
    ['PUT', TARGET, {}, 'try_count_max', ['3', 101]],
    ['POST', `${TARGET}/cancel`, {}, 'reason', [...text]],
    ['POST', `${OUTDIAL}/leases`, {}, 'limit', [...integer, undefined, 0, 1001]],
    ['POST', `${OUTDIAL}/leases`, { limit: 1 }, 'lease_seconds', [...integer, 0, 86_401]],
    ['POST', `${OUTDIAL}/leases`, { limit: 1 }, 'dialer', text],
    ['POST', `${OUTDIAL}/leases`, { limit: 1 }, 'outplan_id', id],
    ['POST', `${OUTDIAL}/outcomes`, {}, 'outcomes', [undefined, 5, {}, null, Array.from({ length: 1001 }, () => ({}))]],
    ['POST', `${OUTDIAL}/leases/extend`, {}, 'attempts', [undefined, 5, {}, [5], [{}], [{ attempt_id: ATTEMPT_ID, target_id: 'x' }]]],
    ['POST', `${TARGET}/attempts`, {}, 'destination_index', [...integer, 5, -1]],
    ['PUT', `${TARGET}/attempts/${ATTEMPT_ID}`, {}, 'outcome', [undefined, null, 'engaged', 'released', '', []]],
    ['PUT', `${TARGET}/attempts/${ATTEMPT_ID}`, { outcome: 'busy' }, 'tm_end', ['x', 5, '']],
    ['POST', '/v1.0/accesskeys', { name: 'k' }, 'expire', [...integer, undefined, 0, -1, 1e15]],
    ['POST', '/v1.0/customers', { name: 'c', username: 'u' }, 'password', [undefined, 5, 'short']],
    ['PUT', '/v1.0/password', { old: 'x' }, 'new', [undefined, 5, 'short']],
  ])('%s %s %j: %s', async (method, url, body, field, wrong) => {
    for (const value of wrong) {
      const sent = await send(method, url, { ...body, [field]: value });
      expect([value, sent.status, errorOf(sent).reason]).toEqual([value, 400, 'INVALID_ARGUMENT']);
      expect(fieldsOf(sent).map((name) => name.split(/[.[]/)[0])).toContain(field);
    }
    expect(gateway.asked).toEqual([]);
  });

  test('together with every other one', async () => {
    const sent = await send('POST', `${OUTDIAL}/targets`, {
      name: 5,
      colour: 'red',
      priority: 101,
      destination: { type: 'tel', target: '5' },
    });
    expect([...fieldsOf(sent)].sort()).toEqual(['colour', 'destination.target', 'name', 'priority']);
    expect(errorOf(sent).details).toContainEqual({ field: 'priority', reason: 'must be a whole number from -100 to 100', value: 101 });
    expect(errorOf(sent).message).toContain('name: must be a string');
  });

  test('in a row by its place', async () => {
    const targets = [{ destination: tel('+15551234567') }, { destination_1: { type: 'tel', target: '5' }, priority: 'high' }, null];
    await send('POST', `${OUTDIAL}/targets`, { targets });
    const rows = (gateway.asked[0] as unknown as AddTargets).rows.map((row) =>
      'details' in row ? row.details.map(({ field }) => field) : [],
    );
    expect(rows).toEqual([[], ['targets[1].priority', 'targets[1].destination_1.target'], ['targets[2]']]);
  });

  test.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf'])('also when JavaScript knows it: %s', async (name) => {
    expect(fieldsOf(await send('POST', '/v1.0/outdials', { name: 'n', [name]: 'x' }))).toEqual([name]);
    expect(fieldsOf(await send('POST', `${OUTDIAL}/pause`, { [name]: 'x' }))).toEqual([name]);
  });

  test('and shown only as far as it helps', async () => {
    const [detail] = errorOf(await send('POST', '/v1.0/outdials', { name: 'x'.repeat(5000) })).details ?? [];
    expect(String(detail?.value)).toHaveLength(201);
  });
});

describe('what is read-only', () => {
  test('may be sent back as it was read', async () => {
    for (const url of [OUTDIAL, OUTPLAN, TARGET]) {
      const got = (await send('GET', url)).json as object;
      expect((await send('PUT', url, { ...got, detail: 'changed' })).status).toBe(200);
      expect(gateway.asked.at(-1)).toMatchObject({ changes: { detail: 'changed' } });
    }
  });

  test.each([
    [OUTDIAL, ['id', 'tm_create', 'tm_update', 'tm_delete', 'state']],
    [OUTPLAN, ['id', 'tm_create', 'tm_update', 'tm_delete']],
    [
      TARGET,
      ['id', 'outdial_id', 'status', 'try_count_0', 'external_id', 'exhausted', 'done_reason', 'tm_create', 'tm_update', 'tm_delete'],
    ],
  ])('is an error when it is not as it was: %s', async (url, names) => {
    for (const name of names) {
      gateway.asked.length = 0;
      const sent = await send('PUT', url, { [name]: 'something else' });
      expect([sent.status, fieldsOf(sent)]).toEqual([400, [name]]);
      expect(gateway.asked).toHaveLength(1);
    }
  });

  test('is not looked at when the caller meant another revision: that is 412', async () => {
    gateway.answer(UpdateOutdial, () => {
      throw new OutdialError('FAILED_PRECONDITION', 'FAILED_PRECONDITION', 'it has changed');
    });
    expect((await send('PUT', OUTDIAL, { tm_update: '2001-01-01 00:00:00.000000' }, { 'if-match': '"1"' })).status).toBe(412);
  });

  test('the call-back of a target that waits for none may be sent back, and cannot be set', async () => {
    gateway.answer(GetTarget, () => versioned(aTarget({ status: 'done', due: null })));
    await send('PUT', TARGET, { tm_next_try: NEVER, name: 'n' });
    expect((gateway.asked.at(-1) as unknown as UpdateTarget).changes).toEqual({ name: 'n' });
    gateway.answer(GetTarget, () => versioned(aTarget()));
    expect(fieldsOf(await send('PUT', TARGET, { tm_next_try: NEVER }))).toEqual(['tm_next_try']);
  });
});

describe('a body', () => {
  const post = (body: string | Buffer, type = 'application/json'): Promise<Sent> =>
    send('POST', '/v1.0/outdials', body, { 'content-type': type });

  test.each<[string, string | Buffer]>([
    ['half an object', '{"name": "x"'],
    ['two objects', '{} {}'],
    ['a trailing comma', '{"name": "x",}'],
    ['no UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d])],
    ['a prototype', '{"__proto__": {"admin": true}}'],
    ['an escaped prototype', '{"\\u005f_proto__": 1}'],
    ['great depth', `{"name": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['a list', '[]'],
    ['null', 'null'],
    ['a string', '"x"'],
    ['nothing', ''],
  ])('that is %s is no JSON that can be read', async (_, body) => {
    const sent = await post(body);
    expect([sent.status, errorOf(sent).reason]).toEqual([400, 'INVALID_JSON_BODY']);
  });

  test('may say anything in its texts that looks like structure', async () => {
    const name = '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ \\" { "';
    expect((await send('POST', '/v1.0/outdials', { name })).status).toBe(201);
    expect(gateway.asked[0]).toMatchObject({ details: { name } });
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'multipart/form-data; boundary=x'])(
    'of type %s is refused',
    async (type) => {
      expect((await post('{"name":"x"}', type)).status).toBe(415);
    },
  );

  test('may name its charset', async () => {
    expect((await post('{"name":"x"}', 'application/json; charset=utf-8')).status).toBe(201);
  });

  test('that is not there has no type to be wrong', async () => {
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
      expect((await send('POST', `${OUTDIAL}/pause`, '', { 'content-type': type })).status).toBe(200);
      expect((await send('DELETE', OUTDIAL, '', { 'content-type': type })).status).toBe(200);
    }
  });

  test('of more than 32 MiB is refused', async () => {
    const sent = await post(`{"name":"${'x'.repeat(32 * 1024 * 1024)}"}`);
    expect([sent.status, errorOf(sent).status]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });
});

describe('what the engine refuses', () => {
  test.each([
    ['INVALID_ARGUMENT', 400],
    ['UNAUTHENTICATED', 401],
    ['PERMISSION_DENIED', 403],
    ['NOT_FOUND', 404],
    ['CONFLICT', 409],
    ['GONE', 410],
    ['FAILED_PRECONDITION', 412],
    ['IDEMPOTENCY_MISMATCH', 422],
    ['RESOURCE_EXHAUSTED', 429],
    ['UNAVAILABLE', 503],
  ] as const)('as %s is %d', async (status, code) => {
    const details = [{ field: 'f', reason: 'r', value: 1 }];
    gateway.answer(GetOutdial, () => {
      throw new OutdialError(status, 'A_REASON', 'What to do.', details);
    });
    const sent = await send('GET', OUTDIAL, undefined, { 'x-request-id': 'r-1' });
    expect(sent.status).toBe(code);
    expect(sent.headers['content-type']).toMatch(/^application\/json/);
    expect(sent.json).toEqual({ error: { status, reason: 'A_REASON', message: 'What to do.', request_id: 'r-1', details } });
    expect('retry-after' in sent.headers).toBe(code === 429 || code === 503);
    expect(gateway.logged).toEqual([]);
  });

  test('for a while says for how long', async () => {
    gateway.answer(GetOutdial, () => {
      throw new OutdialError('RESOURCE_EXHAUSTED', 'TOO_MANY_FAILURES', 'Wait.', [], 17);
    });
    expect((await send('GET', OUTDIAL)).headers['retry-after']).toBe('17');
  });

  test('because a store is away is 503', async () => {
    gateway.answer(GetOutdial, () => {
      throw new StoreUnavailable('disk I/O error in /secret/place');
    });
    const sent = await send('GET', OUTDIAL);
    expect([sent.status, errorOf(sent).reason, sent.headers['retry-after']]).toEqual([503, 'STORE_UNAVAILABLE', '1']);
    expect(sent.text).not.toContain('/secret/place');
  });

  test('and nobody foresaw is 500: in full in the log, by its request id alone to the caller', async () => {
    gateway.answer(GetOutdial, () => {
      throw new TypeError('undefined is not the internal thing');
    });
    const sent = await send('GET', `${OUTDIAL}?accesskey=a-secret`, undefined, { 'x-request-id': 'r-2' });
    expect([sent.status, errorOf(sent).reason, errorOf(sent).request_id]).toEqual([500, 'INTERNAL', 'r-2']);
    expect(sent.text).not.toContain('internal thing');
    expect(gateway.logged.join('')).toMatch(
      /"request_id":"r-2".*undefined is not the internal thing|undefined is not the internal thing.*"request_id":"r-2"/,
    );
    expect(gateway.logged.join('')).not.toContain('a-secret');
  });
});

describe('the request id', () => {
  test.each([
    ['an answer', 'GET', OUTDIAL],
    ['an unknown route', 'GET', '/v1.0/nothing'],
    ['a wrong method', 'PATCH', OUTDIAL],
    ['a wrong path', 'GET', '/v1.0/outdials/%zz'],
    ['a wrong body', 'POST', '/v1.0/outdials'],
    ['the service itself', 'GET', '/healthz'],
  ] as const)('is on every response: %s', async (_, method, url) => {
    const body = method === 'POST' ? '{' : undefined;
    expect((await send(method, url, body, { 'x-request-id': 'mine.1' })).headers['x-request-id']).toBe('mine.1');
    const own = String((await send(method, url, body)).headers['x-request-id']);
    expect(own).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each(['', 'x'.repeat(201), 'späm', 'a\tb'])('of the caller is replaced when it is %p', async (id) => {
    expect((await send('GET', OUTDIAL, undefined, { 'x-request-id': id })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('a route that there is not', () => {
  test.each([
    '/v1.0/nothing',
    '/nothing',
    `${OUTDIAL}/nothing`,
    '/v1.0//outdials',
    '/v1.0/outdials/',
    `/v1.0/outdials/${'a'.repeat(5000)}`,
  ])('is 404: %s', async (url) => {
    const sent = await send('GET', url);
    expect([sent.status, errorOf(sent).reason]).toEqual([404, 'ROUTE_NOT_FOUND']);
  });

  test.each([
    ['PATCH', '/v1.0/outdials', 'GET, HEAD, POST'],
    ['POST', OUTDIAL, 'DELETE, GET, HEAD, PUT'],
    ['GET', `${OUTDIAL}/leases?x=1`, 'POST'],
    ['DELETE', '/healthz', 'GET, HEAD'],
  ] as const)('for this method is 405: %s %s', async (method, url, allow) => {
    const sent = await send(method, url, method === 'POST' ? '{' : undefined);
    expect([sent.status, errorOf(sent).status, sent.headers.allow]).toEqual([405, 'METHOD_NOT_ALLOWED', allow]);
  });

  test('HEAD is GET without the body', async () => {
    const sent = await send('HEAD', OUTDIAL);
    expect([sent.status, sent.text, sent.headers.etag]).toEqual([200, '', '"3"']);
  });
});

describe('an Idempotency-Key', () => {
  let keys = 0;
  const keyed = (key = `key-${(keys += 1)}`): Record<string, string> => ({ 'idempotency-key': key });
  const create = (headers: Record<string, string>, name = 'once', url = '/v1.0/outdials'): Promise<Sent> =>
    send('POST', url, { name }, headers);

  test('replays the first answer, headers and all, and asks nothing again', async () => {
    const headers = keyed();
    const [first, second] = [await create(headers), await create(headers)];
    expect(first.status).toBe(201);
    expect([second.status, second.text, second.headers.etag, second.headers['consistency-token'], second.headers['content-type']]).toEqual([
      201,
      first.text,
      first.headers.etag,
      first.headers['consistency-token'],
      first.headers['content-type'],
    ]);
    expect(gateway.asked).toHaveLength(1);
  });

  test('gives its command an id that is the same whenever it is repeated', async () => {
    const ids: string[] = [];
    gateway.answer(CreateOutdial, ({ context }) => {
      ids.push(context.commandId);
      throw new StoreUnavailable('away');
    });
    const headers = keyed();
    expect([(await create(headers)).status, (await create(headers)).status, (await create(keyed())).status]).toEqual([503, 503, 503]);
    expect(ids[0]).toBe(ids[1]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  test('lets a claim note what it is about to do', async () => {
    gateway.answer(ClaimTargets, async ({ context }) => {
      expect(context.intent?.noted).toBeNull();
      await context.intent?.note('chosen');
      return { leases: [], nextCallableAt: null, position: null };
    });
    expect((await send('POST', `${OUTDIAL}/leases`, { limit: 1 }, keyed())).status).toBe(200);
  });

  test('keeps refusals, of the engine and of the gateway', async () => {
    gateway.answer(CreateOutdial, () => {
      throw new OutdialError('CONFLICT', 'ALREADY_EXISTS', 'It is there.');
    });
    const headers = keyed();
    const first = await create(headers);
    gateway.answer(CreateOutdial, () => versioned(anOutdial()));
    const again = await create(headers);
    expect([again.status, again.text]).toEqual([409, first.text]);
    const invalid = keyed();
    expect([(await create(invalid, '')).status, (await create(invalid, '')).status]).toEqual([400, 400]);
  });

  test('does not keep what failed on our side', async () => {
    gateway.answer(CreateOutdial, () => {
      throw new Error('a bug');
    });
    const headers = keyed();
    expect((await create(headers)).status).toBe(500);
    gateway.answer(CreateOutdial, () => versioned(anOutdial()));
    expect((await create(headers)).status).toBe(201);
  });

  test('with another body, or with other options, is refused', async () => {
    const headers = keyed();
    await create(headers);
    expect((await create(headers, 'other')).status).toBe(422);
    const options = keyed();
    const add = (query: string): Promise<Sent> => send('POST', `${OUTDIAL}/targets${query}`, { targets: [] }, options);
    expect([(await add('?readd=true')).status, (await add('?readd=true&accesskey=x')).status, (await add('')).status]).toEqual([
      200, 200, 422,
    ]);
  });

  test('belongs to its path', async () => {
    const headers = keyed();
    expect([(await create(headers)).status, (await create(headers, 'once', '/v1.0/outplans')).status]).toEqual([201, 201]);
    expect(gateway.asked).toHaveLength(2);
  });

  test('means nothing to access keys, customers and changes', async () => {
    const headers = keyed();
    const key = { name: 'k', expire: 60 };
    await send('POST', '/v1.0/accesskeys', key, headers);
    await send('POST', '/v1.0/accesskeys', key, headers);
    await send('PUT', OUTDIAL, { name: 'n' }, headers);
    await send('PUT', OUTDIAL, { name: 'n' }, headers);
    expect(gateway.asked).toHaveLength(4);
  });

  test.each(['', 'x'.repeat(256), 'ümlaut'])('that is %p is refused', async (key) => {
    expect(fieldsOf(await create(keyed(key)))).toEqual(['Idempotency-Key']);
  });
});

describe('outside /v1.0', () => {
  test('the service is alive, and ready when all of its parts are', async () => {
    expect((await send('GET', '/healthz')).status).toBe(200);
    expect((await send('GET', '/readyz')).json).toEqual({ status: 'ok', parts: { projections: { ok: true, detail: '0.0 s behind' } } });
  });

  test('it tells its figures', async () => {
    await send('GET', OUTDIAL);
    const { text, headers } = await send('GET', '/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain/);
    expect(text).toContain('outdial_projection_lag_seconds 0.25');
    expect(text).toMatch(/outdial_http_request_duration_seconds_count\{method="GET",route="\/v1.0\/outdials\/:id",status="200"\} [1-9]/);
  });

  test('its root leads to the documentation, which needs no other server', async () => {
    const root = await send('GET', '/');
    expect([root.status, root.headers.location]).toEqual([302, '/docs']);
    const { text } = await send('GET', '/docs');
    expect(text).toContain('swagger-ui');
    expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    expect((await send('GET', '/docs/swagger-ui-bundle.js')).status).toBe(200);
  });
});
