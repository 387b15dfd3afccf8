/**
 * The document that describes the wire format, example by example: what a client written from it sends, and what it expects to read.
 * The objects below are copied from it, so that an answer which differs in a field, in their order or in a format fails.
 */
import { bodyOf, listAll, micros, newOutdial, newOutplan, outdialAt, phone, tel, NEVER, NO_ID, TIMESTAMP, UUID } from '../support/api';
import type { Added, Answer, Client, Fields, Page, WireLease, WireOutdial, WireTarget } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
/** As the document's curl commands carry the token. */
let inQuery: { token: string };
let inCookie: { cookie: string };

beforeEach(async () => {
  api = await service.customer();
  inQuery = { token: api.token };
  inCookie = { cookie: `token=${api.token}` };
});

const OUTDIAL_EXAMPLE = {
  id: '40bea034-1d17-474d-a5de-da00d0861c69',
  campaign_id: '00000000-0000-0000-0000-000000000000',
  name: 'test outdial',
  detail: 'outdial for test use.',
  data: '',
  tm_create: '2022-04-28 01:41:40.503790',
  tm_update: '9999-01-01 00:00:00.000000',
  tm_delete: '9999-01-01 00:00:00.000000',
};

const NEW_TARGET_EXAMPLE = {
  id: '1b3d7a92-7146-466d-90f5-4bc701ada4c0',
  outdial_id: '40bea034-1d17-474d-a5de-da00d0861c69',
  name: 'test destination 0',
  detail: 'test detatination 0 detail',
  data: 'test data',
  status: 'idle',
  destination_0: { type: 'tel', target: '+15559876543', target_name: '', name: '', detail: '' },
  destination_1: null,
  destination_2: null,
  destination_3: null,
  destination_4: null,
  try_count_0: 0,
  try_count_1: 0,
  try_count_2: 0,
  try_count_3: 0,
  try_count_4: 0,
  tm_create: '2022-04-30 17:52:16.484341',
  tm_update: '2022-04-30 17:52:16.484341',
  tm_delete: '9999-01-01 00:00:00.000000',
};

const DONE_TARGET_EXAMPLE = { ...NEW_TARGET_EXAMPLE, status: 'done', try_count_0: 1, tm_update: '2022-04-30 17:53:51.183345' };

/** Sent as it stands in the document, by a client that knows no header of ours: no Authorization. */
const raw = (): Client => ({ ...service.root, send: (method, path, body, ask) => service.root.send(method, `/v1.0${path}`, body, ask) });

const LETTERS = { 'content-type': 'application/json' };

/** The fields of `answer` that the document knows, in the order in which they came. */
const known = (answer: object, example: object): object => Object.fromEntries(Object.entries(answer).filter(([name]) => name in example));

/** Same fields in the same order, and the same values but for ids and moments, which have the same form. */
function expectLike(answer: WireOutdial | WireTarget, example: object, ids: Fields = {}): void {
  expect(Object.keys(known(answer, example))).toEqual(Object.keys(example));
  expect(answer.id).toMatch(UUID);
  for (const moment of [answer.tm_create, answer.tm_update, answer.tm_delete]) expect(moment).toMatch(TIMESTAMP);
  expect(known(answer, example)).toEqual({
    ...example,
    id: answer.id,
    tm_create: answer.tm_create,
    ...('tm_update' in example && example.tm_update !== NEVER ? { tm_update: answer.tm_update } : {}),
    ...ids,
  });
}

describe('the outdial of the tutorial', () => {
  const CREATE = `{
    "name": "test outdial",
    "detail": "outdial for test use.",
    "data": "test data"
}`;
  const create = (): Promise<Answer<WireOutdial>> =>
    raw().send<WireOutdial>('POST', '/outdials', CREATE, { query: inQuery, headers: { ...LETTERS, ...inCookie } });

  test('is created with the token in the query and in the cookie, and answered as the document shows it', async () => {
    const answer = await create();
    expect(answer.status).toBe(201);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expectLike(answer.body, { ...OUTDIAL_EXAMPLE, data: 'test data' });
  });

  test.each([
    ['the query alone', () => ({ query: inQuery })],
    ['the cookie alone', () => ({ headers: inCookie })],
  ])('is read with the token in %s', async (_, credentials) => {
    const created = (await create()).body;
    const answer = await raw().send<WireOutdial>('GET', `/outdials/${created.id}`, undefined, credentials());
    expect(bodyOf(answer)).toEqual(created);
  });

  test('is listed in an envelope of result and next_page_token', async () => {
    const created = (await create()).body;
    const answer = await raw().send<Page<WireOutdial>>('GET', '/outdials', undefined, { query: inQuery });
    expect(Object.keys(bodyOf(answer))).toEqual(['result', 'next_page_token']);
    expect(answer.body).toEqual({ result: [created], next_page_token: '' });
  });

  test('gives its tm_create as the token of the page that follows it', async () => {
    const older = (await create()).body;
    const newer = (await create()).body;
    const first = bodyOf(await raw().send<Page<WireOutdial>>('GET', '/outdials', undefined, { query: { ...inQuery, page_size: 1 } }));
    expect(first).toEqual({ result: [newer], next_page_token: newer.tm_create });
    const rest = await raw().send('GET', '/outdials', undefined, { query: { ...inQuery, page_token: first.next_page_token } });
    expect(bodyOf(rest)).toEqual({ result: [older], next_page_token: '' });
  });

  test('has an empty string where its data was left out', async () => {
    const body = '{"name": "January Leads", "detail": "Sales leads for Q1 campaign"}';
    const answer = await raw().send<WireOutdial>('POST', '/outdials', body, { query: inQuery, headers: LETTERS });
    expectLike(bodyOf(answer, 201), { ...OUTDIAL_EXAMPLE, name: 'January Leads', detail: 'Sales leads for Q1 campaign' });
  });

  test('has a tm_update from its first update on, and no tm_delete until it is deleted', async () => {
    const created = (await create()).body;
    const updated = bodyOf(await api.put<WireOutdial>(`/outdials/${created.id}`, { name: 'another name' }));
    expect(micros(updated.tm_update)).toBeGreaterThan(micros(created.tm_create));
    expect(updated).toEqual({ ...created, name: 'another name', tm_update: updated.tm_update });
    const deleted = bodyOf(await api.del<WireOutdial>(`/outdials/${created.id}`));
    expect(micros(deleted.tm_delete)).toBeGreaterThan(micros(updated.tm_update));
  });

  test('is attached to a campaign, and to none again with the zero UUID', async () => {
    const { id } = (await create()).body;
    const campaign_id = '183c0d5c-691e-42f3-af2b-9bffc2740f83';
    expect(bodyOf(await api.put<WireOutdial>(`/outdials/${id}/campaign_id`, { campaign_id })).campaign_id).toBe(campaign_id);
    expect(bodyOf(await api.put<WireOutdial>(`/outdials/${id}/data`, { data: 'other data' }))).toMatchObject({
      campaign_id,
      data: 'other data',
    });
    expect(bodyOf(await api.put<WireOutdial>(`/outdials/${id}/campaign_id`, { campaign_id: NO_ID })).campaign_id).toBe(NO_ID);
  });
});

describe('the outdialtarget of the tutorial', () => {
  const CREATE = `{
    "name": "test destination 0",
    "detail": "test detatination 0 detail",
    "data": "test data",
    "destination_0": {
        "type": "tel",
        "target": "+15559876543"
    }
}`;

  test('is created idle, with every destination and count, and updated when it was created', async () => {
    const outdial = await newOutdial(api);
    const path = `${outdial.path}/targets`;
    const answer = await raw().send<WireTarget>('POST', path, CREATE, { query: inQuery, headers: { ...LETTERS, ...inCookie } });
    expect(answer.status).toBe(201);
    expectLike(answer.body, NEW_TARGET_EXAMPLE, { outdial_id: outdial.id });
    expect(answer.body.tm_update).toBe(answer.body.tm_create);
  });

  test('is listed as done after one try that was answered', async () => {
    const outdial = await newOutdial(api);
    await raw().send('POST', `${outdial.path}/targets`, CREATE, { query: inQuery, headers: LETTERS });
    await outdial.report(await outdial.lease(), 'answered');
    const page = bodyOf(await raw().send<Page<WireTarget>>('GET', `${outdial.path}/targets`, undefined, { query: inQuery }));
    const [target] = page.result;
    if (!target) throw new Error('the target is not listed');
    expect(page.result).toHaveLength(1);
    expectLike(target, DONE_TARGET_EXAMPLE, { outdial_id: outdial.id });
    expect(micros(target.tm_update)).toBeGreaterThan(micros(target.tm_create));
  });

  test('reaches the number of the object example', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add({ destination_0: { type: 'tel', target: '+821100000001' } });
    expect(target.destination_0).toEqual({ type: 'tel', target: '+821100000001', target_name: '', name: '', detail: '' });
  });

  test('keeps all five fields of all five destinations, in their order', async () => {
    const outdial = await newOutdial(api);
    const named = (n: number): object => ({
      type: 'tel',
      target: phone(n),
      target_name: `line ${n}`,
      name: `name ${n}`,
      detail: `detail ${n}`,
    });
    const sent = Object.fromEntries([0, 1, 2, 3, 4].map((n) => [`destination_${n}`, named(n)]));
    const target = await outdial.add(sent);
    expect(known(target, sent)).toEqual(sent);
    expect(Object.keys(target.destination_4 ?? {})).toEqual(['type', 'target', 'target_name', 'name', 'detail']);
  });

  test.each([
    ['tel', '+15551234567'],
    ['sip', 'sip:user@domain.com'],
    ['email', 'user@domain.com'],
  ])('may be of the type %s', async (type, target) => {
    const outdial = await newOutdial(api);
    const added = await outdial.add({ destination: { type, target }, try_count_max: 2 });
    expect(added.destination_0).toEqual({ type, target, target_name: '', name: '', detail: '' });
    expect(added.try_count_max).toBe(2);
    expect((await outdial.lease()).destination).toEqual(added.destination_0);
  });
});

describe('the bulk example', () => {
  const TARGETS = `{
    "targets": [
      {
        "destination": {
          "type": "tel",
          "target": "+15551234567"
        },
        "try_count_max": 3
      },
      {
        "destination": {
          "type": "tel",
          "target": "+15559876543"
        },
        "try_count_max": 3
      }
    ]
}`;

  test('adds each target with its destination as destination_0 and its own limit', async () => {
    const outdial = await newOutdial(api);
    const added = bodyOf(await raw().send<Added>('POST', `${outdial.path}/targets`, TARGETS, { query: inQuery, headers: LETTERS }));
    expect(added).toMatchObject({ duplicates: [], errors: [], summary: { total: 2, created: 2, duplicates: 0, invalid: 0 } });
    expect(added.result.map(({ destination_0, try_count_max }) => [destination_0?.target, try_count_max])).toEqual([
      ['+15551234567', 3],
      ['+15559876543', 3],
    ]);
    const listed = await listAll<WireTarget>(api, `${outdial.path}/targets`);
    expect(new Set(listed)).toEqual(new Set(added.result));
  });

  test('limits the dialing of each target to the limit it names', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0, max_try_count_0: 9 });
    await raw().send('POST', `${outdial.path}/targets`, TARGETS, { query: inQuery, headers: LETTERS });
    let tries = 0;
    for (let claim = await outdial.claim(); claim.result.length > 0; claim = await outdial.claim()) {
      for (const lease of claim.result) await outdial.report(lease, 'no_answer');
      tries += claim.result.length;
    }
    expect(tries).toBe(2 * 3);
    expect((await outdial.progress()).done).toEqual({ answered: 0, exhausted: 2, canceled: 0 });
  });
});

describe('the scenarios', () => {
  /** Dials everything that is callable until nothing is. */
  async function dialAll(outdialId: string, outcomeOf: (lease: WireLease) => string): Promise<readonly WireLease[]> {
    const outdial = outdialAt(api, outdialId);
    const dialed: WireLease[] = [];
    for (;;) {
      const { result } = await outdial.claim({ limit: 500 });
      if (result.length === 0) return dialed;
      dialed.push(...result);
      const outcomes = result.map((lease) => ({ attempt_id: lease.attempt_id, target_id: lease.target_id, outcome: outcomeOf(lease) }));
      bodyOf(await api.post(`${outdial.path}/outcomes`, { outcomes }));
    }
  }

  test('a sales list of a thousand with 3 retries ends with 800 answered, 150 that used up their retries and 50 waiting for one', async () => {
    const day = 24 * 60 * 60 * 1000;
    const plan = await newOutplan(api, { name: 'sales', max_try_count_0: 3, try_interval: 0, retry: { no_answer: { interval: day } } });
    const outdial = await newOutdial(api, { name: 'Q1 Sales Leads', outplan_id: plan.id });
    const named = [
      { name: 'John Smith', destination: tel('+15551234567') },
      { name: 'Jane Doe', destination: tel('+15552345678') },
      { name: 'Bob Johnson', destination: tel('+15553456789') },
    ];
    const others = Array.from({ length: 997 }, (_, n) => ({ name: `Lead ${n}`, destination: tel(phone(n, '+1666')) }));
    const added = await outdial.addAll([...named, ...others].map((lead, n) => ({ ...lead, data: String(n), try_count_max: 3 })));
    expect(added.summary).toEqual({ total: 1000, created: 1000, duplicates: 0, invalid: 0 });

    // The first 800 answer, at the first, second or third try; 150 never do; 50 do not pick up and are to be tried tomorrow.
    const dialed = await dialAll(outdial.id, ({ data, try_count }) => {
      const n = Number(data);
      if (n < 800) return try_count === 1 + (n % 3) ? 'answered' : 'busy';
      return n < 950 ? 'busy' : 'no_answer';
    });

    expect(await outdial.progress()).toMatchObject({
      targets: { total: 1000, idle: 50, progressing: 0, done: 950 },
      done: { answered: 800, exhausted: 150, canceled: 0 },
      attempts: { total: dialed.length },
      callable: 0,
      waiting: 50,
      penetration: 1,
    });
    const waiting = await listAll<WireTarget>(api, `${outdial.path}/targets`, { status: 'idle' });
    expect(waiting).toHaveLength(50);
    for (const target of waiting) expect(micros(target.tm_next_try) - micros(target.tm_update)).toBeGreaterThan((day - 60_000) * 1000);
    const done = await listAll<WireTarget>(api, `${outdial.path}/targets`, { status: 'done' });
    expect(done.filter(({ done_reason }) => done_reason === 'answered')).toHaveLength(800);
    expect(done.filter(({ done_reason }) => done_reason === 'exhausted').map(({ try_count_0 }) => try_count_0)).toEqual(
      Array.from({ length: 150 }, () => 3),
    );
  });

  test('an appointment list tries each patient twice, tells the dialer the appointment, and marks who confirmed', async () => {
    const outdial = await newOutdial(api, { name: 'Appointments 2024-01-16' }, { try_interval: 0 });
    const patients = ['09:00', '09:30', '10:15'].map((hour, n) => ({
      name: `Patient ${n}`,
      data: `{"appointment":"2024-01-16 ${hour}"}`,
      destination: tel(phone(n)),
      try_count_max: 2,
    }));
    await outdial.addAll(patients);
    const dialed = await dialAll(outdial.id, ({ name }) => (name === 'Patient 1' ? 'answered' : 'no_answer'));
    expect(dialed).toHaveLength(2 + 1 + 2);
    for (const { name, data } of dialed) expect(data).toBe(patients.find((patient) => patient.name === name)?.data);
    const targets = await listAll<WireTarget>(api, `${outdial.path}/targets`);
    expect(Object.fromEntries(targets.map(({ name, done_reason, try_count_0 }) => [name, [done_reason, try_count_0]]))).toEqual({
      'Patient 0': ['exhausted', 2],
      'Patient 1': ['answered', 1],
      'Patient 2': ['exhausted', 2],
    });
  });

  test('an emergency list uses up 5 tries on the primary mobile, 5 on the secondary and 3 on the office phone, in this order', async () => {
    const outdial = await newOutdial(api, { name: 'Emergency Contacts' }, { try_interval: 0 });
    const target = await outdial.add({
      destination_0: { ...tel('+15551234567'), name: 'Primary mobile' },
      destination_1: { ...tel('+15559876543'), name: 'Secondary mobile' },
      destination_2: { ...tel('+15551111111'), name: 'Office phone' },
      try_count_max_0: 5,
      try_count_max_1: 5,
      try_count_max_2: 3,
    });
    const dialed = await dialAll(outdial.id, () => 'no_answer');
    const tries = (n: number, name: string): unknown[] => Array.from({ length: n }, (_, i) => [name, i + 1, n]);
    expect(dialed.map(({ destination, try_count, try_count_max }) => [destination.name, try_count, try_count_max])).toEqual([
      ...tries(5, 'Primary mobile'),
      ...tries(5, 'Secondary mobile'),
      ...tries(3, 'Office phone'),
    ]);
    expect(await outdial.target(target.id)).toMatchObject({
      status: 'done',
      done_reason: 'exhausted',
      try_count_0: 5,
      try_count_1: 5,
      try_count_2: 3,
    });
  });

  test('an emergency contact who answers on the office phone is not dialed again', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0 });
    const destinations = { destination_0: tel('+15551234567'), destination_1: tel('+15559876543'), destination_2: tel('+15551111111') };
    const target = await outdial.add({ ...destinations, try_count_max_0: 2, try_count_max_1: 1, try_count_max_2: 3 });
    await dialAll(outdial.id, ({ destination_index }) => (destination_index === 2 ? 'answered' : 'busy'));
    expect(await outdial.target(target.id)).toMatchObject({
      status: 'done',
      done_reason: 'answered',
      try_count_0: 2,
      try_count_1: 1,
      try_count_2: 1,
    });
  });
});
