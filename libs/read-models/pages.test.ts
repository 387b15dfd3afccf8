import fc from 'fast-check';
import { streamOf } from '#dialing';
import { listAccessKeys, getAccessKey } from './access-keys';
import { getCustomer, listCustomers } from './customers';
import { getOutdial, listOutdials } from './outdials';
import { getOutplan, listOutplans } from './outplans';
import { pageOf, parsePageToken, type PageRequest } from './pages';
import { openRig, T0, TestLog, type Rig } from './projection.contract';
import { listTargets } from './targets';

const row = (value: number, id: string) => ({ value, id });

describe('A page token', () => {
  test.each<[string, readonly ReturnType<typeof row>[], string]>([
    ['is empty when nothing older exists', [row(T0, 'a')], ''],
    ['is empty for an empty page', [], ''],
    ['is the moment of the last row', [row(T0, 'b'), row(T0 - 1, 'a')], '2022-04-28 01:41:40.000000'],
    ['names the last row, too, when the next one has the same moment', [row(T0, 'b'), row(T0, 'a')], '2022-04-28 01:41:40.000000~b'],
  ])('%s', (_, rows, token) => {
    expect(pageOf(rows, 1, (one) => one).nextPageToken).toBe(token);
  });

  test('is read back as the row to go on after', () => {
    expect(parsePageToken('2022-04-28 01:41:40.000001')).toEqual({ value: T0 + 1 });
    expect(parsePageToken('2022-04-28T01:41:40Z~b')).toEqual({ value: T0, id: 'b' });
  });

  test.each(['', 'yesterday', '~b', '2022-04-28 01:41:40.000000~'])('%j is none', (token) => {
    expect(parsePageToken(token)).toBeUndefined();
  });
});

describe('Lists', () => {
  let log: TestLog;
  let rig: Rig;

  beforeEach(async () => {
    log = new TestLog();
    rig = await openRig(log);
  });
  afterEach(() => rig.close());

  const firstPage = (pageSize: number): PageRequest => ({ pageSize, after: null });
  /** Reads all pages, and lets `between` happen after each. */
  const readThrough = async (
    outdialId: string,
    pageSize: number,
    between: () => Promise<void> = async () => undefined,
  ): Promise<readonly string[]> => {
    const read: string[] = [];
    for (let page = firstPage(pageSize); ;) {
      const { targets, nextPageToken } = await listTargets(rig.reads, { outdialId, ...page });
      read.push(...targets.map(({ state }) => state.id));
      if (nextPageToken === '') return read;
      page = { pageSize, after: parsePageToken(nextPageToken) ?? null };
      await between();
    }
  };

  test('read page by page have every row once, newest first, however many share a moment', async () => {
    const letters = Array.from('abcdefghijkl');
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 3 }), { maxLength: letters.length, size: 'max' }),
        fc.integer({ min: 1, max: 5 }),
        async (moments, pageSize) => {
          const outdialId = `run${(runs += 1)}`;
          moments.forEach((moment, i) => log.add(`${outdialId}-${letters[i]}`, { now: T0 + moment, outdialId }));
          await rig.catchUp();
          const expected = moments
            .map((moment, i) => ({ moment, id: `${outdialId}-${letters[i]}` }))
            .sort((a, b) => b.moment - a.moment || (a.id < b.id ? 1 : -1));
          expect(await readThrough(outdialId, pageSize)).toEqual(expected.map(({ id }) => id));
        },
      ),
    );
  });

  test('lose and repeat nothing that was there at the first page, while rows are added and removed', async () => {
    for (let i = 0; i < 9; i += 1) log.add(`t${i}`, { now: T0 + Math.floor(i / 3) });
    await rig.catchUp();
    let added = 0;
    const read = await readThrough('o1', 2, async () => {
      added += 1;
      log.add(`new${added}`, { now: T0 + 100 + added });
      // Already read: its removal must not move the rows that follow.
      if (added === 1) log.target('t8', { type: 'RemoveTarget', now: T0 + 200 });
      await rig.catchUp();
    });
    expect(read).toEqual(['t8', 't7', 't6', 't5', 't4', 't3', 't2', 't1', 't0']);
  });

  test('go on strictly before a bare moment, as clients of the reference document expect', async () => {
    for (let i = 0; i < 4; i += 1) log.add(`t${i}`, { now: T0 + Math.floor(i / 2) });
    await rig.catchUp();
    const { targets } = await listTargets(rig.reads, { outdialId: 'o1', pageSize: 10, after: { value: T0 + 1 } });
    expect(targets.map(({ state }) => state.id)).toEqual(['t1', 't0']);
  });

  const outdial = (id: string, customerId: string, tm: number): void =>
    void log.append(streamOf.outdial(id), {
      type: 'OutdialCreated',
      tm,
      outdialId: id,
      customerId,
      name: id,
      detail: '',
      data: '',
      campaignId: '',
      outplanId: '',
    });
  const customer = (id: string, tm: number): void =>
    void log.append(streamOf.customer(id), {
      type: 'CustomerCreated',
      tm,
      customerId: id,
      name: id,
      detail: '',
      username: id,
      passwordHash: 'hash',
      admin: false,
    });
  const accessKey = (id: string, customerId: string, tm: number): void =>
    void log.append(streamOf.accessKey(id), {
      type: 'AccessKeyCreated',
      tm,
      accessKeyId: id,
      customerId,
      name: id,
      detail: '',
      tmExpire: tm + 1000,
    });
  const outplan = (id: string, customerId: string, tm: number): void =>
    void log.append(streamOf.outplan(id), {
      type: 'OutplanCreated',
      tm,
      outplanId: id,
      customerId,
      name: id,
      detail: '',
      policy: { source: null, dialTimeout: 1, tryInterval: 1, maxTryCounts: [1, 1, 1, 1, 1], retry: {} },
    });
  const ids = (documents: readonly { readonly state: { readonly id: string } }[]): readonly string[] =>
    documents.map(({ state }) => state.id);

  test('of outdials hold those of one customer, without the deleted, which are still found by their id', async () => {
    outdial('o1', 'c1', T0);
    outdial('o2', 'c2', T0 + 1);
    outdial('o3', 'c1', T0 + 2);
    outdial('o4', 'c1', T0 + 3);
    log.append(streamOf.outdial('o3'), { type: 'OutdialDeleted', tm: T0 + 4, outdialId: 'o3' });
    await rig.catchUp();
    expect(ids((await listOutdials(rig.reads, { customerId: 'c1', ...firstPage(10) })).outdials)).toEqual(['o4', 'o1']);
    expect(await listOutdials(rig.reads, { customerId: 'c1', ...firstPage(1) })).toMatchObject({
      nextPageToken: '2022-04-28 01:41:40.000003',
    });
    expect((await getOutdial(rig.reads, 'o3'))?.state.tmDelete).toBe(T0 + 4);
    expect(await getOutdial(rig.reads, 'o5')).toBeNull();
  });

  test('of outplans hold those of one customer, without the deleted, which still apply where they are attached', async () => {
    outplan('p1', 'c1', T0);
    outplan('p2', 'c1', T0 + 1);
    outplan('p3', 'c2', T0 + 1);
    log.append(streamOf.outplan('p1'), { type: 'OutplanDeleted', tm: T0 + 4, outplanId: 'p1' });
    await rig.catchUp();
    expect(ids((await listOutplans(rig.reads, { customerId: 'c1', ...firstPage(10) })).outplans)).toEqual(['p2']);
    expect((await getOutplan(rig.reads, 'p1'))?.state.policy.dialTimeout).toBe(1);
  });

  test('of customers hold all of them, without the deleted', async () => {
    customer('c1', T0);
    customer('c2', T0 + 1);
    customer('c3', T0 + 2);
    log.append(streamOf.customer('c2'), { type: 'CustomerDeleted', tm: T0 + 4, customerId: 'c2' });
    await rig.catchUp();
    expect(ids((await listCustomers(rig.reads, firstPage(10))).customers)).toEqual(['c3', 'c1']);
    expect((await getCustomer(rig.reads, 'c2'))?.state.tmDelete).toBe(T0 + 4);
  });

  test('of access keys hold those of one customer, without the deleted', async () => {
    accessKey('k1', 'c1', T0);
    accessKey('k2', 'c1', T0 + 1);
    accessKey('k3', 'c2', T0 + 2);
    log.append(streamOf.accessKey('k2'), { type: 'AccessKeyDeleted', tm: T0 + 4, accessKeyId: 'k2' });
    await rig.catchUp();
    expect(ids((await listAccessKeys(rig.reads, { customerId: 'c1', ...firstPage(10) })).accessKeys)).toEqual(['k1']);
    expect((await getAccessKey(rig.reads, 'k1'))?.state.tmExpire).toBe(T0 + 1000);
  });
});
