import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decideTarget, DEFAULT_POLICY, five, streamOf } from '#dialing';
import type { Target } from '#dialing';
import { openSqliteEventStore, type EventStore, type SqliteEventStore } from '#event-store';
import { DoubtfulClaims } from './doubtful-claims';
import type { RequestContext } from './request';
import { Streams, TARGET } from './streams';

const OUTDIAL = '40bea034-1d17-474d-a5de-da00d0861c69';
const CLAIM = { outdialId: OUTDIAL, targetId: 't1', attemptId: 'a1' };

describe('a claim whose outcome is not known', () => {
  let directory: string;
  let store: SqliteEventStore;
  let streams: Streams;
  let away: boolean;
  let timers: { readonly milliseconds: number; readonly run: () => void }[];
  let waited: number[];
  let commands = 0;
  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'outdial-doubtful-'));
    store = await openSqliteEventStore({ directory, threads: false });
    away = false;
    timers = [];
    waited = [];
    const unsure: EventStore = {
      ...store,
      exclusive: false,
      append: async (requests, lane) =>
        away ? requests.map(() => ({ ok: false, error: 'StoreUnavailable' })) : store.append(requests, lane),
    };
    streams = new Streams(unsure);
    const destination = { type: 'tel', target: '+15551234567', target_name: '', name: '', detail: '' } as const;
    const target = {
      name: '',
      detail: '',
      data: '',
      priority: 0,
      externalId: 'x',
      destinations: five((index) => (index === 0 ? destination : null)),
      limits: { tryCountMax: null, tryCountMaxes: five(() => null) },
    };
    await run((state) =>
      decideTarget({ type: 'AddTarget', now: 1, outdialId: OUTDIAL, targetId: 't1', customerId: 'c', target, readd: false }, state),
    );
  });
  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });

  const context = (): RequestContext => {
    commands += 1;
    const commandId = `00000000-0000-4000-8000-${String(commands).padStart(12, '0')}`;
    return { customerId: 'c', admin: false, actor: 'c', requestId: commandId, commandId, fresh: true };
  };
  async function run(decide: (state: Target | null) => ReturnType<typeof decideTarget>): Promise<void> {
    const job = {
      stream: streamOf.target(OUTDIAL, 't1'),
      kind: TARGET,
      decide: ({ state }: { state: Target | null }) => ({ events: decide(state), result: () => null }),
    };
    await streams.runOne(job, { context: context() });
  }
  const start = (attemptId: string): Promise<void> =>
    run((state) =>
      decideTarget({ type: 'RecordDialAttempt', now: 2, attemptId, dialer: 'd', leaseMillis: 90_000, policy: DEFAULT_POLICY }, state),
    );
  const target = async (): Promise<Target | null> => (await streams.load(TARGET, streamOf.target(OUTDIAL, 't1'))).state;
  const doubtful = (): DoubtfulClaims =>
    new DoubtfulClaims(
      {
        scheduler: {
          after: (milliseconds, run) => {
            timers.push({ milliseconds, run });
            return () => undefined;
          },
        },
        clock: { now: () => 3 },
        log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      },
      streams,
    );
  /** Lets the next timer run, and what it begins come to its end. */
  async function pass(): Promise<void> {
    const next = timers.shift();
    if (next) waited.push(next.milliseconds);
    next?.run();
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  it('that was made after all is released, and counts nowhere', async () => {
    doubtful().releaseLater(context(), [CLAIM]);
    await start('a1');
    await pass();
    expect(await target()).toMatchObject({
      status: 'idle',
      tryCounts: [0, 0, 0, 0, 0],
      attempts: [{ attemptId: 'a1', outcome: 'released' }],
    });
    expect(timers).toEqual([]);
  });

  it('is looked for while the store is away, and for half a minute after that', async () => {
    doubtful().releaseLater(context(), [CLAIM]);
    await start('a1');
    away = true;
    await pass();
    await pass();
    expect((await target())?.status).toBe('progressing');
    away = false;
    await pass();
    expect(waited).toEqual([1000, 1000, 1000]);
    expect((await target())?.status).toBe('idle');
  });

  it('that was never made is given up, and nothing is written', async () => {
    doubtful().releaseLater(context(), [CLAIM]);
    for (let look = 0; look < 6; look += 1) await pass();
    expect(waited).toEqual([1000, 4000, 10_000, 30_000]);
    expect(timers).toEqual([]);
    expect((await store.readStream(streamOf.target(OUTDIAL, 't1'))).map(({ type }) => type)).toEqual(['TargetAdded']);
  });

  it('that somebody else has started, or that has ended, is left alone', async () => {
    await start('another');
    doubtful().releaseLater(context(), [CLAIM, { ...CLAIM, attemptId: 'another' }]);
    await run((state) =>
      decideTarget(
        { type: 'RecordOutcome', now: 3, attemptId: 'another', outcome: 'busy', disposition: null, note: null, tmEnd: null },
        state,
      ),
    );
    await pass();
    expect((await target())?.attempts).toMatchObject([{ attemptId: 'another', outcome: 'busy' }]);
  });

  it('is not looked for any more when the process ends', async () => {
    const claims = doubtful();
    claims.releaseLater(context(), [CLAIM]);
    claims.stop();
    await start('a1');
    await pass();
    await pass();
    expect(timers).toEqual([]);
  });
});
