/** Whom an outdial holds: adding, who counts as the same, changing, removing, adding again. */
import { bodyOf, errorOf, listAll, micros, newOutdial, nextPhone, phone, tel, NEVER } from '../support/api';
import type { Added, Answer, Client, Fields, Outdial, Page, WireTarget } from '../support/api';
import { useService } from '../support/service';

const service = useService();
let api: Client;
beforeAll(async () => {
  api = await service.customer();
});

const HOUR = 3_600_000;
const AT_ONCE = { try_interval: 0 };
const add = (outdial: Outdial, body: Fields, query: Readonly<Record<string, string>> = {}): Promise<Answer<WireTarget>> =>
  api.post<WireTarget>(`${outdial.path}/targets`, body, { query });
const addAll = async (outdial: Outdial, targets: readonly Fields[], query: Readonly<Record<string, string>> = {}): Promise<Added> =>
  bodyOf(await api.post<Added>(`${outdial.path}/targets`, { targets }, { query }));
const put = (target: WireTarget, body: Fields): Promise<Answer<WireTarget>> =>
  api.put<WireTarget>(`/outdials/${target.outdial_id}/targets/${target.id}`, body);
const remove = async (target: WireTarget): Promise<WireTarget> =>
  bodyOf(await api.del<WireTarget>(`/outdials/${target.outdial_id}/targets/${target.id}`));
const listed = async (outdial: Outdial, query: Readonly<Record<string, string>> = {}): Promise<readonly string[]> =>
  (await listAll<WireTarget>(api, `${outdial.path}/targets`, query)).map(({ id }) => id);
/** Of its newest event: unchanged when nothing was appended. */
const revision = async (target: WireTarget): Promise<string | null> =>
  (await api.get(`/outdials/${target.outdial_id}/targets/${target.id}`)).headers.get('etag');

describe('a new target', () => {
  test('has what was sent, and a value for everything else', async () => {
    const outdial = await newOutdial(api);
    expect(await outdial.add({ destination_0: tel('+15550100001') })).toMatchObject({
      name: '',
      detail: '',
      data: '',
      external_id: null,
      priority: 0,
      try_count_max: null,
      try_count_max_0: null,
      try_count_max_1: null,
      try_count_max_2: null,
      try_count_max_3: null,
      try_count_max_4: null,
      exhausted: [false, false, false, false, false],
      done_reason: null,
      tm_delete: NEVER,
    });
    const full = { external_id: 'crm-9', priority: -100, try_count_max: 100, try_count_max_0: 0, try_count_max_4: 7 };
    expect(await outdial.add({ destination_0: tel('+15550100002'), ...full })).toMatchObject(full);
  });

  test('needs a destination', async () => {
    const outdial = await newOutdial(api);
    for (const body of [{}, { name: 'x' }, { destination_0: null }, { destination: null, destination_3: null }]) {
      expect(errorOf(await add(outdial, body), 400).details[0]?.field).toMatch(/^destination/);
    }
  });

  test('has either destination or destination_0', async () => {
    const outdial = await newOutdial(api);
    errorOf(await add(outdial, { destination: tel(nextPhone()), destination_0: tel(nextPhone()) }), 400);
    expect((await outdial.add({ destination: tel(nextPhone()), destination_1: tel(nextPhone()) })).destination_1).not.toBeNull();
  });

  test.each([
    [{ priority: 101 }, 'priority'],
    [{ priority: -101 }, 'priority'],
    [{ priority: 0.5 }, 'priority'],
    [{ try_count_max: 101 }, 'try_count_max'],
    [{ try_count_max_3: -1 }, 'try_count_max_3'],
    [{ external_id: 5 }, 'external_id'],
    [{ name: 5 }, 'name'],
    [{ data: {} }, 'data'],
  ])('is refused with %j', async (fields, field) => {
    const outdial = await newOutdial(api);
    const error = errorOf(await add(outdial, { destination: tel(nextPhone()), ...fields }), 400);
    expect(error.details.map((detail) => detail.field)).toEqual([field]);
    expect(await listed(outdial)).toEqual([]);
  });

  test('keeps text as it is, in any script', async () => {
    const outdial = await newOutdial(api);
    const text = {
      name: '王秀英 – “Zoë” 👩🏽‍🚒',
      detail: 'a\nb\tc "quoted" \\ </script>',
      data: '{"𝒂": "\u{10FFFF}"}',
      external_id: 'ключ/№ 1?&=',
    };
    const target = await outdial.add(text);
    expect(target).toMatchObject(text);
    expect(await outdial.target(target.id)).toMatchObject(text);
    expect(await listed(outdial, { external_id: text.external_id })).toEqual([target.id]);
    expect(await outdial.lease()).toMatchObject(text);
  });
});

describe('an address', () => {
  test.each(['+1 (555) 123-4567', '+1-555-123-4567', ' +15551234567 ', '+1 555 1234567'])('%p is +15551234567', async (target) => {
    const outdial = await newOutdial(api);
    expect((await outdial.add({ destination: tel(target) })).destination_0?.target).toBe('+15551234567');
  });

  test.each(['5551234567', '15551234567', '0049 30 901820', '(555) 123-4567'])(
    '%p lacks its country: the error says how to write it',
    async (target) => {
      const outdial = await newOutdial(api);
      const error = errorOf(await add(outdial, { destination: tel(target) }), 400);
      expect(error.details[0]?.field).toBe('destination.target');
      expect(`${error.message} ${String(error.details[0]?.reason)}`).toContain('+');
      expect(error.details[0]?.value).toBe(target);
    },
  );

  test.each([
    ['tel', '+1'],
    ['tel', '+1555'],
    ['tel', '+155512345678901234'],
    ['tel', '+1555CALLNOW'],
    ['tel', ''],
    ['tel', '+'],
    ['sip', 'sip:'],
    ['sip', '+15551234567'],
    ['email', 'user'],
    ['email', 'user@'],
    ['email', '@domain.com'],
    ['email', 'a b@domain.com'],
    ['fax', '+15551234567'],
    ['', '+15551234567'],
  ])('of type %p may not be %p', async (type, target) => {
    const outdial = await newOutdial(api);
    const error = errorOf(await add(outdial, { destination_2: { type, target } }), 400);
    expect(error.details[0]?.field).toMatch(/^destination_2\.(type|target)$/);
    expect(await listed(outdial)).toEqual([]);
  });

  test.each(['sip:user@domain.com', 'sips:user@domain.com', 'sip:user@10.0.0.1:5070', 'sip:+15551234567@gw.example.com;user=phone'])(
    'of type sip may be %s',
    async (target) => {
      const outdial = await newOutdial(api);
      await outdial.add({ destination: { type: 'sip', target } });
      expect((await outdial.lease()).destination.type).toBe('sip');
    },
  );

  test('of type sip may be written without its scheme', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add({ destination: { type: 'sip', target: 'user@domain.com' } });
    expect(target.destination_0?.target).toBe('sip:user@domain.com');
    expect(errorOf(await add(outdial, { destination: { type: 'sip', target: 'sip:user@domain.com' } }), 409).reason).toBe('ALREADY_EXISTS');
  });

  test('knows no other fields than its five', async () => {
    const outdial = await newOutdial(api);
    const error = errorOf(await add(outdial, { destination: { ...tel(nextPhone()), country: 'US' } }), 400);
    expect(error.details[0]?.field).toBe('destination.country');
  });
});

describe('the same target', () => {
  test('is refused a second time, with the id of the first', async () => {
    const outdial = await newOutdial(api);
    const first = await outdial.add({ destination: tel('+15551234567') });
    for (const spelling of ['+15551234567', '+1 (555) 123-4567', '+1-555-123-4567']) {
      const error = errorOf(await add(outdial, { name: 'again', destination: tel(spelling) }), 409);
      expect(error).toMatchObject({ status: 'CONFLICT', reason: 'ALREADY_EXISTS' });
      expect(error.details.map(({ value }) => value)).toContain(first.id);
    }
    expect(await outdial.target(first.id)).toEqual(first);
    expect((await outdial.progress()).targets.total).toBe(1);
  });

  test('is welcome in another outdial', async () => {
    const [one, other] = [await newOutdial(api), await newOutdial(api)];
    const body = { destination: tel('+15551234567'), external_id: 'crm-1' };
    expect((await one.add(body)).id).not.toBe((await other.add(body)).id);
  });

  test('is told by its external id where it has one, whatever its number', async () => {
    const outdial = await newOutdial(api);
    const first = await outdial.add({ external_id: 'crm-1', destination: tel(phone(1)) });
    const error = errorOf(await add(outdial, { external_id: 'crm-1', destination: tel(phone(2)) }), 409);
    expect(error.details.map(({ value }) => value)).toContain(first.id);
    const second = await outdial.add({ external_id: 'crm-2', destination: tel(phone(1)) });
    expect(second.id).not.toBe(first.id);
  });

  test('with and without an external id is two', async () => {
    const outdial = await newOutdial(api);
    await outdial.add({ external_id: 'crm-1', destination: tel(phone(1)) });
    await outdial.add({ destination: tel(phone(1)) });
    expect((await outdial.progress()).targets.total).toBe(2);
  });

  test('is told by the lowest destination that is configured', async () => {
    const outdial = await newOutdial(api);
    const first = await outdial.add({ destination_0: tel(phone(1)), destination_1: tel(phone(2)) });
    await outdial.add({ destination_0: tel(phone(2)), destination_1: tel(phone(1)) });
    const error = errorOf(await add(outdial, { destination_3: tel(phone(1)), destination_4: tel(phone(9)) }), 409);
    expect(error.details.map(({ value }) => value)).toContain(first.id);
  });

  test('in one array is added once, and each other row has its own fate', async () => {
    const outdial = await newOutdial(api);
    const known = await outdial.add({ destination: tel(phone(1)) });
    const added = await addAll(outdial, [
      { destination: tel(phone(2)), name: 'first' },
      { destination: tel('+1 555 000 0001') },
      { destination: tel('12') },
      { destination: tel('+1 (555) 0000002') },
      { destination: tel(phone(3)), colour: 'red' },
      { destination: tel(phone(4)) },
    ]);
    expect(added.result.map(({ destination_0 }) => destination_0?.target)).toEqual([phone(2), phone(4)]);
    expect(added.duplicates).toEqual([
      { index: 1, id: known.id },
      { index: 3, id: added.result[0]?.id },
    ]);
    expect(added.errors.map(({ index, details }) => [index, details[0]?.field])).toEqual([
      [2, expect.stringContaining('destination.target')],
      [4, expect.stringContaining('colour')],
    ]);
    expect(added.summary).toEqual({ total: 6, created: 2, duplicates: 2, invalid: 2 });
    expect((await listed(outdial)).length).toBe(3);
  });

  test('in an array of many is told by its row, wherever the first one stands, and is answered alike under the same key', async () => {
    const outdial = await newOutdial(api);
    const targets: Fields[] = Array.from({ length: 1600 }, (_, n) => ({ destination: tel(nextPhone()), name: `row ${n}` }));
    targets[1203] = { ...targets[3], name: 'again' };
    targets[700] = { destination: tel('not a number') };
    const headers = { 'idempotency-key': 'many rows' };
    const send = (): Promise<Answer<Added>> =>
      api.post<Added>(`${outdial.path}/targets`, { targets }, { headers, query: { on_duplicate: 'update' } });
    const added = bodyOf(await send());
    expect(added.summary).toEqual({ total: 1600, created: 1598, duplicates: 1, invalid: 1 });
    const third = added.result.find(({ name }) => name === 'row 3');
    expect(added.duplicates).toEqual([{ index: 1203, id: third?.id, updated: true }]);
    expect(added.errors.map(({ index, details }) => [index, details[0]?.field])).toEqual([[700, 'targets[700].destination.target']]);
    expect(added.result.map(({ name }) => name)).toEqual(targets.flatMap(({ name }, n) => (n === 1203 || n === 700 ? [] : [name])));
    expect((await outdial.target(third?.id ?? '')).name).toBe('again');
    expect(bodyOf(await send())).toEqual(added);
    expect((await outdial.progress()).targets.total).toBe(1598);
  });

  test('sent again as a whole changes nothing, least of all the counts', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const rows = Array.from({ length: 20 }, (_, n) => ({ destination: tel(phone(n)), name: `row ${n}` }));
    const first = await addAll(outdial, rows);
    await outdial.report(await outdial.lease(), 'busy');
    const before = await listAll(api, `${outdial.path}/targets`);
    const again = await addAll(outdial, rows);
    expect(again).toMatchObject({ result: [], errors: [], summary: { total: 20, created: 0, duplicates: 20, invalid: 0 } });
    expect(again.duplicates.map(({ id }) => id)).toEqual(first.result.map(({ id }) => id));
    expect(await listAll(api, `${outdial.path}/targets`)).toEqual(before);
  });

  test('takes over name, detail, data, priority and limits when duplicates are to be updated, and keeps its counts', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const first = await outdial.add({ destination: tel(phone(1)), name: 'old', data: 'old' });
    await outdial.report(await outdial.lease(), 'busy');
    const changes = { name: 'new', detail: 'new', data: 'new', priority: 7, try_count_max: 9, try_count_max_0: 2 };
    const updated = await add(outdial, { destination: tel(phone(1)), ...changes }, { on_duplicate: 'update' });
    expect(bodyOf(updated)).toMatchObject({ id: first.id, ...changes, try_count_0: 1, status: 'idle' });
    const array = await addAll(outdial, [{ destination: tel(phone(1)), name: 'newest' }], { on_duplicate: 'update' });
    expect(array.summary).toMatchObject({ total: 1, created: 0 });
    expect(await outdial.target(first.id)).toMatchObject({ name: 'newest', try_count_0: 1 });
    errorOf(await add(outdial, { destination: tel(phone(1)) }, { on_duplicate: 'replace' }), 400);
  });
});

describe('a change of a target', () => {
  test('reaches its name, detail, data, priority, limits and destinations', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add({ destination_0: tel(phone(1)), destination_1: tel(phone(2)) });
    const changes = { name: 'n', detail: 'd', data: 'x', priority: 3, try_count_max: 5, try_count_max_1: 1 };
    const changed = bodyOf(await put(target, { ...changes, destination_1: tel('+1 555 0000003'), destination_4: tel(phone(4)) }));
    expect(changed).toMatchObject({ ...changes, destination_1: { target: phone(3) }, destination_4: { target: phone(4) } });
    expect(micros(changed.tm_update)).toBeGreaterThan(micros(target.tm_update));
    expect(bodyOf(await put(target, { destination_1: null, try_count_max: null }))).toMatchObject({
      destination_1: null,
      try_count_max: null,
      priority: 3,
    });
  });

  test('does not reach its external id, nor the destination that it is told by', async () => {
    const outdial = await newOutdial(api);
    const named = await outdial.add({ external_id: 'crm-1', destination: tel(phone(1)) });
    const numbered = await outdial.add({ destination_1: tel(phone(2)), destination_2: tel(phone(3)) });
    for (const answer of [
      await put(named, { external_id: 'crm-2' }),
      await put(numbered, { external_id: 'crm-2' }),
      await put(numbered, { destination_1: tel(phone(9)) }),
      await put(numbered, { destination_1: null }),
    ]) {
      expect([400, 409]).toContain(answer.status);
      expect(errorOf(answer, answer.status).details[0]?.field).toMatch(/^(external_id|destination_1)/);
    }
    expect(await outdial.target(named.id)).toEqual(named);
    expect(await outdial.target(numbered.id)).toEqual(numbered);
    expect(bodyOf(await put(named, { destination_0: tel(phone(9)) })).destination_0?.target).toBe(phone(9));
    expect(bodyOf(await put(numbered, { external_id: null, destination_1: tel('+1 (555) 0000002') })).destination_1?.target).toBe(phone(2));
  });

  test('comes too late for a destination that was tried', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add({ external_id: 'crm-1', destination_0: tel(phone(1)), destination_1: tel(phone(2)) });
    await outdial.lease();
    const error = errorOf(await put(target, { destination_0: tel(phone(3)) }), 409);
    expect(error.status).toBe('CONFLICT');
    expect(error.details[0]?.field).toMatch(/^destination_0/);
    expect(bodyOf(await put(target, { destination_0: tel(phone(1)), destination_1: tel(phone(4)) })).destination_1?.target).toBe(phone(4));
  });

  test('of destinations and limits comes too late for one that is done, of its name never', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'answered');
    for (const changes of [{ destination_3: tel(phone(1)) }, { try_count_max: 9 }, { try_count_max_0: 9 }]) {
      expect(errorOf(await put(target, changes), 409).status).toBe('CONFLICT');
    }
    expect(bodyOf(await put(target, { name: 'n', detail: 'd', data: 'x' }))).toMatchObject({
      name: 'n',
      status: 'done',
      done_reason: 'answered',
    });
  });

  test('of its limits holds from its next try on', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'busy');
    bodyOf(await put(target, { try_count_max_0: 2 }));
    const lease = await outdial.lease();
    expect(lease).toMatchObject({ try_count: 2, try_count_max: 2 });
    expect(await outdial.report(lease, 'busy')).toMatchObject({ status: 'done', done_reason: 'exhausted' });
  });

  test('may add a number while another is being dialed, which is then dialed too', async () => {
    const outdial = await newOutdial(api, {}, { ...AT_ONCE, max_try_count_0: 1, max_try_count_1: 1 });
    const target = await outdial.add();
    const lease = await outdial.lease();
    bodyOf(await put(target, { destination_1: tel(nextPhone()) }));
    expect(await outdial.report(lease, 'busy')).toMatchObject({ status: 'idle' });
    expect((await outdial.lease()).destination_index).toBe(1);
  });
});

describe('a call-back', () => {
  test('is dialed when it says, not before', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    expect(bodyOf(await put(target, { tm_next_try: '2199-01-01T00:00:00Z' }))).toMatchObject({
      status: 'idle',
      tm_next_try: '2199-01-01 00:00:00.000000',
    });
    expect(await outdial.claim()).toEqual({ result: [], next_callable_at: '2199-01-01 00:00:00.000000' });
    expect(await outdial.progress()).toMatchObject({ callable: 0, waiting: 1 });
    bodyOf(await put(target, { tm_next_try: target.tm_create }));
    expect((await outdial.lease()).target_id).toBe(target.id);
  });

  test('may come before the end of the interval', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: HOUR });
    const target = await outdial.add();
    await outdial.report(await outdial.lease(), 'busy');
    bodyOf(await put(target, { tm_next_try: target.tm_create }));
    expect(await outdial.lease()).toMatchObject({ target_id: target.id, try_count: 2 });
  });

  test('is taken in its turn by the time that it was promised', async () => {
    const outdial = await newOutdial(api);
    const [first, second] = [await outdial.add(), await outdial.add()];
    bodyOf(await put(second, { tm_next_try: '2001-01-01 00:00:00.000000' }));
    expect((await outdial.claim({ limit: 2 })).result.map(({ target_id }) => target_id)).toEqual([second.id, first.id]);
  });

  test('is only for a target that is idle', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const lease = await outdial.lease();
    const when = { tm_next_try: '2199-01-01 00:00:00.000000' };
    expect([400, 409]).toContain((await put(target, when)).status);
    await outdial.report(lease, 'answered');
    expect([400, 409]).toContain((await put(target, when)).status);
    expect(await outdial.target(target.id)).toMatchObject({ status: 'done', tm_next_try: NEVER });
  });
});

describe('a deleted target', () => {
  test('is handed out no more, nor listed', async () => {
    const outdial = await newOutdial(api);
    const [target, other] = [await outdial.add(), await outdial.add()];
    expect((await remove(target)).tm_next_try).toBe(NEVER);
    expect(await listed(outdial)).toEqual([other.id]);
    expect((await outdial.claim({ limit: 10 })).result.map(({ target_id }) => target_id)).toEqual([other.id]);
    expect((await outdial.progress()).targets).toMatchObject({ total: 1 });
  });

  test('takes no changes', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    await remove(target);
    const path = `${outdial.path}/targets/${target.id}`;
    for (const answer of [
      await put(target, { name: 'x' }),
      await api.post(`${path}/cancel`, { reason: 'x' }),
      await api.post(`${path}/destinations/0/exhaust`, { reason: 'x' }),
    ]) {
      expect(errorOf(answer, 409)).toMatchObject({ status: 'CONFLICT', reason: 'DELETED' });
    }
  });

  test('lets its attempt under way end, and counts until then', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    const lease = await outdial.lease();
    expect(await remove(target)).toMatchObject({ status: 'progressing' });
    expect(await listed(outdial)).toEqual([]);
    expect((await outdial.progress()).targets).toMatchObject({ total: 1, progressing: 1 });
    const body = { destination: target.destination_0 };
    expect((await add(outdial, body)).status).toBe(409);
    expect((await outdial.report(lease, 'busy')).result).toBe('recorded');
    expect((await outdial.progress()).targets.total).toBe(0);
    expect((await outdial.claim()).result).toEqual([]);
    expect((await outdial.attempts(target.id))[0]).toMatchObject({ outcome: 'busy' });
    expect((await add(outdial, body)).status).toBe(201);
  });

  test('is added again under the same id with fresh counts, its history kept', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const body = { name: 'once', destination: tel(phone(1)) };
    const target = await outdial.add(body);
    const old = await outdial.lease();
    await outdial.report(old, 'busy');
    await remove(target);
    const again = await outdial.add({ ...body, name: 'again' });
    expect(again).toMatchObject({
      id: target.id,
      tm_create: target.tm_create,
      name: 'again',
      status: 'idle',
      try_count_0: 0,
      tm_delete: NEVER,
    });
    expect(await outdial.attempts(target.id)).toMatchObject([{ attempt_id: old.attempt_id, outcome: 'busy' }]);
    expect(await listed(outdial)).toEqual([target.id]);
    expect(await outdial.lease()).toMatchObject({ target_id: target.id, try_count: 1 });
    expect((await outdial.attempts(target.id)).length).toBe(2);
    expect((await outdial.progress()).attempts.total).toBe(2);
  });

  test('added again is not touched by reports on attempts from before', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const target = await outdial.add();
    const old = await outdial.lease();
    await outdial.report(old, 'busy');
    await remove(target);
    const again = await outdial.add({ destination: target.destination_0 });
    expect((await outdial.report(old, 'answered')).result).toBe('stale');
    expect(await outdial.target(target.id)).toEqual(again);
  });

  test('is not revived by an array, for it may be an opt-out', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add({ destination: tel(phone(1)) });
    const deleted = await remove(target);
    const before = await revision(target);
    const row = { destination: tel('+1 555 0000001') };
    for (const query of [{}, { readd: 'false' }, { on_duplicate: 'update' }] as readonly Readonly<Record<string, string>>[]) {
      const added = await addAll(outdial, [row], query);
      expect(added).toMatchObject({ result: [], duplicates: [{ index: 0, id: target.id, deleted: true }] });
    }
    expect(await outdial.target(target.id)).toEqual(deleted);
    expect(await revision(target)).toBe(before);
    expect((await outdial.claim()).result).toEqual([]);
    const readded = await addAll(outdial, [row], { readd: 'true' });
    expect(readded.result).toMatchObject([{ id: target.id, status: 'idle', tm_delete: NEVER }]);
    expect((await outdial.lease()).target_id).toBe(target.id);
  });

  test('answers its DELETE again with itself', async () => {
    const outdial = await newOutdial(api);
    const target = await outdial.add();
    const once = await remove(target);
    expect(await remove(target)).toEqual(once);
  });
});

describe('the list of targets', () => {
  test('is filtered by status, external id and destination, and by all of them', async () => {
    const outdial = await newOutdial(api, {}, AT_ONCE);
    const [a, b, c] = [
      await outdial.add({ external_id: 'a', destination_0: tel(phone(1)), destination_4: tel(phone(9)) }),
      await outdial.add({ external_id: 'b', destination_0: tel(phone(2)) }),
      await outdial.add({ destination_0: tel(phone(9)) }),
    ];
    await outdial.report(await outdial.lease(), 'answered');
    await outdial.lease();
    expect(await listed(outdial, { status: 'done' })).toEqual([a.id]);
    expect(await listed(outdial, { status: 'progressing' })).toEqual([b.id]);
    expect(await listed(outdial, { status: 'idle' })).toEqual([c.id]);
    expect(await listed(outdial, { external_id: 'b' })).toEqual([b.id]);
    expect(await listed(outdial, { external_id: 'nobody' })).toEqual([]);
    expect(await listed(outdial, { destination: phone(9) })).toEqual([c.id, a.id]);
    expect(await listed(outdial, { destination: '+1 (555) 000-0009' })).toEqual([c.id, a.id]);
    expect(await listed(outdial, { destination: phone(9), status: 'done' })).toEqual([a.id]);
  });

  test('pages through what a filter finds', async () => {
    const outdial = await newOutdial(api);
    const { result } = await outdial.addAll(
      Array.from({ length: 25 }, (_, n) => ({ destination_0: tel(phone(n)), destination_1: tel(phone(999)) })),
    );
    const first = bodyOf(
      await api.get<Page<WireTarget>>(`${outdial.path}/targets`, { query: { destination: phone(999), page_size: 10, status: 'idle' } }),
    );
    expect(first.result).toHaveLength(10);
    expect([...(await listed(outdial, { destination: phone(999), page_size: '10' }))].sort()).toEqual(result.map(({ id }) => id).sort());
  });

  test.each([
    ['status', 'finished'],
    ['status', ''],
    ['destination', '12'],
  ])('cannot be filtered by the %s %p', async (name, value) => {
    const outdial = await newOutdial(api);
    const error = errorOf(await api.get(`${outdial.path}/targets`, { query: { [name]: value } }), 400);
    expect(error.reason).toBe('INVALID_REQUEST_PARAMETER');
    expect(error.details[0]?.field).toBe(name);
  });
});
