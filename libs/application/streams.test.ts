import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decideOutdial, NO_ID, streamOf, type Outdial, type OutdialCommand } from '#dialing';
import { openSqliteEventStore, type AppendResult, type EventStore, type SqliteEventStore } from '#event-store';
import type { RequestContext } from './request';
import { OUTDIAL, Streams, type Job, type Known } from './streams';

const details = { name: 'January leads', detail: '', data: '', campaignId: NO_ID, outplanId: NO_ID };
const outdialId = '40bea034-1d17-474d-a5de-da00d0861c69';
const stream = streamOf.outdial(outdialId);

let commands = 0;
const context = (over: Partial<RequestContext> = {}): RequestContext => {
  commands += 1;
  const commandId = `00000000-0000-4000-8000-${String(commands).padStart(12, '0')}`;
  return { customerId: 'customer', admin: false, actor: 'customer', requestId: commandId, commandId, fresh: true, ...over };
};

const create: OutdialCommand = { type: 'CreateOutdial', now: 1000, outdialId, customerId: 'customer', ...details };
const rename = (name: string): OutdialCommand => ({ type: 'UpdateOutdial', now: 2000, changes: { name } });
const job = (command: OutdialCommand, more: Partial<Job<Outdial, Known<Outdial>>> = {}): Job<Outdial, Known<Outdial>> => ({
  stream,
  kind: OUTDIAL,
  decide: ({ state }) => ({ events: decideOutdial(command, state), result: (after) => after }),
  ...more,
});

describe('commands on streams', () => {
  let directory: string;
  let store: SqliteEventStore;
  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'outdial-streams-'));
    store = await openSqliteEventStore({ directory, threads: false });
  });
  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });

  it('decide on what the stream holds, and answer what it holds then', async () => {
    const streams = new Streams(store);
    await streams.runOne(job(create, { assumeNew: true }), { context: context() });
    const { result } = await streams.runOne(job(rename('February leads')), { context: context() });
    expect(result.state?.name).toBe('February leads');
    expect(result.head.revision).toBe(1);
    expect((await new Streams(store).load(OUTDIAL, stream)).state).toEqual(result.state);
  });

  it('append nothing when it is already so', async () => {
    const streams = new Streams(store);
    await streams.runOne(job(create), { context: context() });
    const { position, result } = await streams.runOne(job(rename(details.name)), { context: context() });
    expect(position).toBeNull();
    expect(result.head.revision).toBe(0);
  });

  it('on the same stream in one call are decided one after the other, each result without the later ones', async () => {
    const streams = new Streams(store);
    await streams.runOne(job(create), { context: context() });
    const outcomes = await streams.run([job(rename('one')), job(rename('two')), job({ type: 'PauseOutdial', now: 3000 })], {
      context: context(),
    });
    expect(outcomes.map((outcome) => outcome.ok && [outcome.result.state?.name, outcome.result.state?.mode])).toEqual([
      ['one', 'active'],
      ['two', 'active'],
      ['two', 'paused'],
    ]);
    expect(await store.readStream(stream)).toHaveLength(4);
  });

  it('that lose a race are decided again, so that both changes stand', async () => {
    const streams = [new Streams(store), new Streams(store)] as const;
    await streams[0].runOne(job(create), { context: context() });
    await Promise.all([
      streams[0].runOne(job(rename('renamed')), { context: context() }),
      streams[1].runOne(job({ type: 'UpdateOutdial', now: 2000, changes: { data: 'changed' } }), { context: context() }),
    ]);
    const { state } = await new Streams(store).load(OUTDIAL, stream);
    expect(state).toMatchObject({ name: 'renamed', data: 'changed' });
  });

  it('under If-Match are refused when the stream is elsewhere, also when they lose a race', async () => {
    const streams = new Streams(store);
    await streams.runOne(job(create), { context: context() });
    const both = await Promise.allSettled([
      streams.runOne(job(rename('one')), { context: context({ ifMatch: 0 }) }),
      streams.runOne(job(rename('two')), { context: context({ ifMatch: 0 }) }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(streams.runOne(job(rename('three')), { context: context({ ifMatch: 0 }) })).rejects.toMatchObject({
      status: 'FAILED_PRECONDITION',
    });
  });

  it('of one command that ran before a crash are found as they were stored, not as they would be decided now', async () => {
    const once = context({ fresh: false });
    await new Streams(store).runOne(job(create, { assumeNew: true }), { context: once });
    const again = new Streams(store);
    const later = job({ ...create, now: 9000 }, { assumeNew: true });
    const { result } = await again.runOne(later, { context: once });
    expect(result.state?.tmCreate).toBe(1000);
    expect((await again.load(OUTDIAL, stream)).state?.tmCreate).toBe(1000);
    expect(await store.readStream(stream)).toHaveLength(1);
  });

  it('under an Idempotency-Key that made a stream before a crash are found, though others have changed it since', async () => {
    const once = context({ intent: { noted: null, note: async () => undefined } });
    await new Streams(store).runOne(job(create, { assumeNew: true }), { context: once });
    const again = new Streams(store);
    await again.runOne(job(rename('renamed')), { context: context() });
    const { result } = await again.runOne(job(create, { assumeNew: true }), { context: once });
    expect(result.state?.name).toBe('renamed');
    expect(await store.readStream(stream)).toHaveLength(2);
  });

  it('of another command with the same content are conflicts', async () => {
    await new Streams(store).runOne(job(create, { assumeNew: true }), { context: context() });
    await expect(new Streams(store).runOne(job(create, { assumeNew: true }), { context: context() })).rejects.toMatchObject({
      reason: 'ALREADY_EXISTS',
    });
  });

  it('fail alone when the store is away for them, and tell those who listen only of what was appended', async () => {
    const other = streamOf.outdial('other');
    const flaky: EventStore = {
      ...store,
      append: async (requests, lane) => {
        const reached = requests.filter((request) => request.stream !== other);
        const results = await store.append(reached, lane);
        return requests.map((request): AppendResult => results[reached.indexOf(request)] ?? { ok: false, error: 'StoreUnavailable' });
      },
    };
    const streams = new Streams(flaky);
    const told: string[] = [];
    streams.onCommitted((committed) => told.push(...committed.map((one) => one.stream)));
    const outcomes = await streams.run([job(create, { assumeNew: true, stream: other }), job(create, { assumeNew: true })], {
      context: context(),
    });
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, true]);
    expect(told).toEqual([stream]);
  });
});
