import fc from 'fast-check';
import { decodeEvent, streamOf, UnknownEventType, type Target } from '#dialing';
import { START, StreamDamaged, type EventBatch, type StreamsBatch } from '#event-store';
import { DocumentQuarantined } from './documents';
import { getOutdial } from './outdials';
import { getProgress } from './progress';
import { versionsOf, type AnyProjection } from './projection';
import { live, openRig, positionOf, steps, T0, TestLog, type Rig } from './projection.contract';
import { READ_MODELS } from './read-models';
import type { GenerationWriter, ReadDocument, WriteBatch } from './read-store';
import { FOLDED_ANEW, type ProjectionLog, type RunnerOptions } from './runner';
import { foldStreams, packFolds, unpackFolds, type Helper, type StreamFoldsOptions } from './stream-folds';
import { callableWindow, expiringLeases, getTarget, listTargets, targets } from './targets';

let log: TestLog;
let rig: Rig;

beforeEach(async () => {
  log = new TestLog();
  rig = await openRig(log);
});
afterEach(() => rig.close());

const target = async (id: string): Promise<Target | undefined> => (await getTarget(rig.reads, { outdialId: 'o1', targetId: id }))?.state;
const progress = () => getProgress(rig.reads, { outdialId: 'o1', mode: 'active', now: T0 + 1000 });
const cancel = (id: string, now = T0 + 10) => log.target(id, { type: 'CancelTarget', now, reason: '' });
/** The same log, delivered otherwise. */
const delivering = (batches: readonly EventBatch[]): ProjectionLog => ({
  async *subscribe() {
    yield* batches;
  },
  readStream: (stream) => log.readStream(stream),
});
const batchOf = (from: number, to: number): EventBatch => ({
  events: log.events.slice(from, to),
  position: positionOf(to),
  caughtUp: to === log.events.length,
});
const overriding = (writer: GenerationWriter, methods: Partial<GenerationWriter>): GenerationWriter => ({
  name: writer.name,
  position: () => writer.position(),
  load: (collection, ids) => writer.load(collection, ids),
  commit: (batch) => writer.commit(batch),
  prepare: () => writer.prepare(),
  quarantined: () => writer.quarantined(),
  close: () => writer.close(),
  ...methods,
});

describe('Following the log', () => {
  test('what happened is in the read models, and the checkpoint is the last event', async () => {
    log.add('t1');
    const { end, commits } = await rig.catchUp();
    expect(end).toEqual({ reason: 'stopped' });
    expect(commits.at(-1)).toMatchObject({ position: log.end, caughtUp: true });
    expect(await target('t1')).toEqual(log.targets.get('t1'));
    expect(await rig.reads.position()).toBe(log.end);
  });

  test('it goes on where it stopped', async () => {
    log.add('t1');
    await rig.catchUp();
    cancel('t1');
    const { commits } = await rig.catchUp();
    expect(commits.reduce((total, { events }) => total + events, 0)).toBe(1);
    expect((await target('t1'))?.status).toBe('done');
  });

  test('a target that changed often since the last commit is written once', async () => {
    log.add('t1');
    cancel('t1');
    const { commits } = await rig.catchUp();
    // The target and the progress of its outdial.
    expect(commits.map(({ events, documents }) => [events, documents])).toEqual([[2, 2]]);
  });

  test('far behind it commits in larger and larger steps, and an empty generation at once in the largest', async () => {
    for (let i = 0; i < 40; i += 1) log.add(`t${String(i).padStart(2, '0')}`);
    const limits = { firstEvents: 4, mostEvents: 16 };
    const paged = new TestLog(4);
    paged.events.push(...log.events);
    const first = await rig.catchUp({ log: paged, limits });
    expect(first.commits.map(({ events }) => events)).toEqual([16, 16, 8]);
    for (let i = 40; i < 80; i += 1) log.add(`t${i}`);
    paged.events.push(...log.events.slice(40));
    const second = await rig.catchUp({ log: paged, limits });
    expect(second.commits.map(({ events }) => events)).toEqual([4, 8, 16, 12]);
  });

  test('the number of documents held before a commit is bounded, too', async () => {
    for (let i = 0; i < 30; i += 1) log.add(`t${i}`);
    const paged = new TestLog(5);
    paged.events.push(...log.events);
    const { commits } = await rig.catchUp({ log: paged, limits: { mostDocuments: 10 } });
    expect(commits.map(({ events }) => events)).toEqual([10, 10, 10]);
  });

  test('documents that fell out of its memory are loaded again', async () => {
    for (let i = 0; i < 20; i += 1) log.add(`t${i}`);
    await rig.catchUp({ limits: { cachedDocuments: 2 } });
    for (let i = 0; i < 20; i += 1) cancel(`t${i}`);
    await rig.catchUp({ limits: { cachedDocuments: 2 } });
    expect(await target('t0')).toEqual(log.targets.get('t0'));
    expect(await progress()).toMatchObject({ targets: { total: 20, done: 20 } });
  });

  test('streams that no read model is of are passed over, whatever is in them', async () => {
    log.appendRaw(streamOf.deployment(), { type: 'SomethingNew', data: 'not JSON', metadata: '' });
    log.add('t1');
    const { end } = await rig.catchUp();
    expect(end).toEqual({ reason: 'stopped' });
    expect(await rig.reads.position()).toBe(log.end);
  });
});

describe('An event that is delivered again', () => {
  test('changes nothing', async () => {
    log.add('t1');
    cancel('t1');
    log.add('t2');
    await rig.catchUp();
    const before = [await target('t1'), await progress()];
    const writer = await rig.writer();
    const again = delivering([batchOf(0, 2), batchOf(0, 3)]);
    await rig.catchUp({ log: again, writer });
    expect([await target('t1'), await progress()]).toEqual(before);
  });

  test('after a crash between documents and checkpoint it is not counted twice', async () => {
    log.add('t1');
    cancel('t1');
    const writer = await rig.writer();
    const stop = new AbortController();
    const crash = async ({ documents, checkpoint }: WriteBatch): Promise<boolean> => {
      await writer.commit({ documents, checkpoint: { from: checkpoint.from, to: checkpoint.from } });
      stop.abort();
      throw new Error('crashed');
    };
    await rig.catchUp({ writer: overriding(writer, { commit: crash }), signal: stop.signal });
    expect(await rig.reads.position()).toBe(START);
    expect((await target('t1'))?.status).toBe('done');
    await rig.catchUp();
    expect(await progress()).toMatchObject({ targets: { total: 1, done: 1 }, done: { canceled: 1 } });
    expect(await target('t1')).toEqual(log.targets.get('t1'));
  });
});

describe('A store that fails', () => {
  test('is tried again, less and less often, until it works', async () => {
    log.add('t1');
    const writer = await rig.writer();
    const waits: number[] = [];
    let failures = 9;
    const commit = async (batch: WriteBatch): Promise<boolean> => {
      if ((failures -= 1) >= 0) throw new Error('disk full');
      return writer.commit(batch);
    };
    const wait = async (milliseconds: number): Promise<void> => void waits.push(milliseconds);
    await rig.catchUp({ writer: overriding(writer, { commit }), wait });
    expect(waits).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(await target('t1')).toBeDefined();
  });

  test('when it is the log, the subscription is taken up again behind what was folded', async () => {
    log.add('t1');
    cancel('t1');
    const asked: string[] = [];
    const flaky: ProjectionLog = {
      async *subscribe(after) {
        asked.push(after);
        if (asked.length === 1) {
          yield batchOf(0, 1);
          throw new Error('connection lost');
        }
        yield batchOf(1, 2);
      },
      readStream: (stream) => log.readStream(stream),
    };
    await rig.catchUp({ log: flaky });
    expect(asked).toEqual([START, positionOf(1)]);
    expect((await target('t1'))?.status).toBe('done');
  });

  test('a commit whose answer was lost is not taken for that of another owner', async () => {
    log.add('t1');
    const writer = await rig.writer();
    let lost = false;
    const commit = async (batch: WriteBatch): Promise<boolean> => {
      const written = await writer.commit(batch);
      if (lost) return written;
      lost = true;
      throw new Error('no answer');
    };
    const { end } = await rig.catchUp({ writer: overriding(writer, { commit }) });
    expect(end).toEqual({ reason: 'stopped' });
    expect(await rig.reads.position()).toBe(log.end);
  });

  test('when another owner has moved the checkpoint, it stops and says so', async () => {
    log.add('t1');
    const writer = await rig.writer();
    const stolen = async (): Promise<string> => {
      const other = await rig.writer();
      await other.commit({ documents: new Map(), checkpoint: { from: START, to: positionOf(1) } });
      await other.close();
      return START;
    };
    const { end } = await rig.catchUp({ writer: overriding(writer, { position: stolen }) });
    expect(end).toEqual({ reason: 'ownership-lost' });
    expect(await target('t1')).toBeUndefined();
  });
});

describe('An event of a type that this release does not know', () => {
  test('stops it with the name of the type: only a newer release can go on', async () => {
    log.add('t1');
    log.appendRaw(streamOf.target('o1', 't1'), { ...(log.events[0] ?? fail()), type: 'TargetTeleported' });
    log.add('t2');
    const { end } = await rig.catchUp();
    expect(end).toEqual({ reason: 'unknown-event-type', type: 'TargetTeleported', position: positionOf(2) });
    expect(await rig.reads.position()).toBe(START);
  });
});

describe('An event that cannot be folded', () => {
  const malformed = (id: string) =>
    log.appendRaw(streamOf.target('o1', id), { type: 'TargetCanceled', data: '{', metadata: '{"tm":1,"v":1}' });

  test('quarantines its document and those it is counted in; the others go on', async () => {
    log.add('t1');
    malformed('t1');
    log.add('t2', { outdialId: 'o2' });
    const { end, commits } = await rig.catchUp();
    expect(end).toEqual({ reason: 'stopped' });
    expect(commits.flatMap(({ quarantined }) => quarantined)).toMatchObject([
      { stream: 'outdialtarget-o1.t1', revision: 1, eventId: 'event-2' },
      { stream: 'outdialtarget-o1.t1', revision: 1, eventId: 'event-2' },
    ]);
    expect(await getTarget(rig.reads, { outdialId: 'o2', targetId: 't2' })).toMatchObject({ state: { status: 'idle' } });
    expect((await rig.generations.list())[0]?.quarantined).toBe(2);
  });

  test('whoever reads the document is told, with a code', async () => {
    log.add('t1');
    malformed('t1');
    await rig.catchUp();
    await expect(target('t1')).rejects.toThrow(DocumentQuarantined);
    await expect(target('t1')).rejects.toMatchObject({
      code: 'DocumentQuarantined',
      documentId: 't1',
      quarantine: { revision: 1, eventId: 'event-2' },
    });
    await expect(progress()).rejects.toMatchObject({ code: 'DocumentQuarantined', documentId: 'o1' });
  });

  test('takes its target out of the hopper, the lists and the expiry', async () => {
    log.add('t1');
    log.add('t2');
    log.target('t2', {
      type: 'RecordDialAttempt',
      now: T0 + 1,
      attemptId: 'a1',
      dialer: 'd',
      leaseMillis: 1,
      policy: (await import('#dialing')).DEFAULT_POLICY,
    });
    await rig.catchUp();
    malformed('t1');
    malformed('t2');
    await rig.catchUp();
    expect((await callableWindow(rig.reads, { outdialId: 'o1', priority: 0, limit: 10 })).targets).toEqual([]);
    expect((await listTargets(rig.reads, { outdialId: 'o1', pageSize: 10, after: null })).targets).toEqual([]);
    expect((await expiringLeases(rig.reads, { upTo: Number.MAX_SAFE_INTEGER, limit: 10 })).targets).toEqual([]);
  });

  test('keeps what was folded before it, also within one run of events', async () => {
    log.add('t1');
    cancel('t1');
    malformed('t1');
    await rig.catchUp();
    const writer = await rig.writer();
    const [document] = await writer.load('targets', ['t1']);
    expect(targets.decode(document?.body ?? '').state.status).toBe('done');
    await writer.close();
  });

  test('a document that begins with it has nothing in it, and is marked all the same', async () => {
    malformed('t1');
    await rig.catchUp();
    await expect(target('t1')).rejects.toThrow(DocumentQuarantined);
  });

  test('later events leave the document as it is, after a restart too', async () => {
    log.add('t1');
    malformed('t1');
    await rig.catchUp();
    log.append(streamOf.target('o1', 't1'), decodeEvent(log.events[0] ?? fail()));
    const { end, commits } = await rig.catchUp();
    expect(end).toEqual({ reason: 'stopped' });
    expect(commits.flatMap(({ quarantined }) => quarantined)).toEqual([]);
    await expect(target('t1')).rejects.toThrow('event 1 of outdialtarget-o1.t1');
  });

  test('a fold that throws is no different from an event that cannot be read', async () => {
    const broken: AnyProjection[] = READ_MODELS.map((model) =>
      model.name === 'progress'
        ? {
            ...model,
            evolveAll: (document, facts) => facts.reduce<unknown>((so, fact) => broken[2]?.evolve(so, fact), document),
            evolve: (document, fact) => {
              if (fact.event.type === 'TargetCanceled') throw new Error('cannot count that');
              return model.evolve(document, fact);
            },
          }
        : model,
    );
    log.add('t1');
    cancel('t1');
    log.add('t2');
    const { commits } = await rig.catchUp({ projections: broken });
    expect(commits.flatMap(({ quarantined }) => quarantined)).toMatchObject([{ revision: 1, reason: 'cannot count that' }]);
    const writer = await rig.writer();
    const [document] = await writer.load('progress', ['o1']);
    expect(JSON.parse(document?.body ?? '')).toMatchObject({ statuses: { idle: 1, done: 0 } });
    await writer.close();
    expect((await target('t1'))?.status).toBe('done');
  });

  test('an event of another kind of stream is one of them', async () => {
    log.append(streamOf.outdial('o1'), decodeEvent(log.add('t1') === null ? fail() : (log.events[0] ?? fail())));
    await rig.catchUp();
    await expect(getOutdial(rig.reads, 'o1')).rejects.toThrow('TargetAdded');
  });
});

describe('An event that is not the next one of its document', () => {
  test('makes it fold the whole stream anew', async () => {
    log.add('t1');
    log.target('t1', { type: 'UpdateTarget', now: T0 + 5, changes: { priority: 7 }, policy: (await import('#dialing')).DEFAULT_POLICY });
    cancel('t1');
    const { end } = await rig.catchUp({ log: delivering([batchOf(0, 1), { ...batchOf(2, 3), caughtUp: true }]) });
    expect(end).toEqual({ reason: 'stopped' });
    expect(await target('t1')).toEqual(log.targets.get('t1'));
  });

  test('a stream that is read without that event is read again', async () => {
    log.add('t1');
    cancel('t1');
    let reads = 0;
    const behind: ProjectionLog = {
      ...delivering([{ ...batchOf(1, 2), caughtUp: true }]),
      readStream: async (stream) => (await log.readStream(stream)).slice(0, (reads += 1)),
    };
    await rig.catchUp({ log: behind });
    expect(reads).toBe(2);
    expect(await target('t1')).toEqual(log.targets.get('t1'));
  });

  test('of a stream that lacks an event quarantines its document, which keeps what it was; the others go on', async () => {
    log.add('t1');
    await rig.catchUp();
    cancel('t1');
    log.target('t1', { type: 'RemoveTarget', now: T0 + 20 });
    log.add('t2');
    const [deleted] = log.events.splice(1, 1, { ...(log.events[1] ?? fail()), stream: streamOf.deployment() });
    const reads: string[] = [];
    const damaged: ProjectionLog = {
      ...delivering([batchOf(1, 4)]),
      readStream: (stream) => {
        reads.push(stream);
        return Promise.reject(new StreamDamaged(stream));
      },
    };
    const { end, commits } = await rig.catchUp({ log: damaged });
    expect(end).toEqual({ reason: 'stopped' });
    expect(reads).toEqual([deleted?.stream]);
    expect(commits.flatMap(({ quarantined }) => quarantined)).toMatchObject([
      { stream: deleted?.stream, revision: 2, reason: expect.stringContaining('lacks an event') as string },
    ]);
    await expect(target('t1')).rejects.toThrow(DocumentQuarantined);
    expect(await target('t2')).toEqual(log.targets.get('t2'));
    const writer = await rig.writer();
    const [document] = await writer.load('targets', ['t1']);
    expect(targets.decode(document?.body ?? '').state.status).toBe('idle');
    await writer.close();
  });

  test('what the refolded document is ahead of is not folded again', async () => {
    log.add('t1');
    cancel('t1');
    log.target('t1', { type: 'RemoveTarget', now: T0 + 20 });
    const { commits } = await rig.catchUp({ log: delivering([batchOf(1, 2), batchOf(2, 3)]) });
    expect(commits.at(-1)?.position).toBe(positionOf(3));
    expect(await target('t1')).toEqual(log.targets.get('t1'));
  });
});

test('a generation remembers which read models it was built by', async () => {
  await expect(rig.generations.open('g1', { ...versionsOf(READ_MODELS), targets: 0 })).rejects.toThrow('other versions');
});

test('the error that stops it is the codec’s own', () => {
  expect(() => decodeEvent({ type: 'TargetTeleported', data: '{}', metadata: '{"tm":1,"v":1}' })).toThrow(UnknownEventType);
});

function fail(): never {
  throw new Error('The log is empty.');
}

describe('Building from nothing, stream by stream', () => {
  /** The log as one that can tell its streams, two at a time; `told` sees each batch before it is given. `mine`: those that fall to the caller. */
  const streamed = (
    of: TestLog,
    told: (batch: StreamsBatch, n: number) => StreamsBatch = (batch) => batch,
    mine: (n: number) => boolean = () => true,
  ): ProjectionLog & StreamFoldsOptions['log'] => ({
    subscribe: (after, signal) => of.subscribe(after, signal),
    readStream: (stream) => of.readStream(stream),
    head: async () => of.end,
    async *readStreams(_, upTo) {
      const events = of.events.filter(({ position }) => position <= upTo);
      const names = [...new Set(events.map(({ stream }) => stream))];
      let scanned = events.length;
      for (let n = 0; 2 * n < names.length; n += 1) {
        if (!mine(n)) continue;
        const streams = names
          .slice(2 * n, 2 * n + 2)
          .map((stream) => ({ stream, events: events.filter((event) => event.stream === stream) }));
        yield told({ at: n, streams, scanned }, n);
        scanned = 0;
      }
      yield { at: names.length, streams: [], scanned };
    },
  });
  /** Every document that a log can have made: of its targets, and of its outdials' progress. */
  const documents = async (of: Rig, ids: readonly string[]) => {
    const writer = await of.writer();
    const all = [writer.position(), writer.load('targets', ids), writer.load('progress', ['o1', 'o2'])] as const;
    return Promise.all(all).finally(() => writer.close());
  };
  const inOrder = async (of: TestLog): Promise<unknown> => {
    const other = await openRig(of);
    await other.catchUp();
    return documents(other, [...of.targets.keys()]).finally(() => other.close());
  };
  const lived = (): void => {
    for (let i = 0; i < 9; i += 1) log.add(`t${i}`, { outdialId: i % 2 === 0 ? 'o1' : 'o2' });
    for (let i = 0; i < 9; i += 1) cancel(`t${i}`, T0 + i);
  };
  const built = (): Promise<unknown> => documents(rig, [...log.targets.keys()]);

  test('makes the very documents that the order of the log makes', async () => {
    await fc.assert(
      fc.asyncProperty(steps, steps, async (one, other) => {
        const both = new TestLog();
        live(both, one, 'o1');
        live(both, other, 'o2');
        const byStreams = await openRig(both);
        try {
          await byStreams.catchUp({ log: streamed(both), limits: { finishedDocuments: 2 } });
          expect(await documents(byStreams, [...both.targets.keys()])).toEqual(await inOrder(both));
        } finally {
          await byStreams.close();
        }
      }),
      { numRuns: 20 },
    );
  });

  test('writes each document once, some at a time, and moves the checkpoint with the last', async () => {
    lived();
    const { commits } = await rig.catchUp({ log: streamed(log), limits: { finishedDocuments: 4 } });
    expect(commits.map(({ documents: written, position }) => [written, position])).toEqual([
      [4, START],
      [4, START],
      [3, log.end],
      [0, log.end],
    ]);
  });

  test('a stream that goes on meanwhile is taken up to where the build ends, and then followed', async () => {
    lived();
    const goingOn = streamed(log, (batch, n) => {
      if (n !== 0) return batch;
      log.target('t0', { type: 'RemoveTarget', now: T0 + 100 });
      return { ...batch, streams: batch.streams.map((one, at) => (at === 0 ? { ...one, events: [] } : one)) };
    });
    await rig.catchUp({ log: goingOn });
    expect((await target('t0'))?.tmDelete).not.toBeNull();
    expect(await built()).toEqual(await inOrder(log));
  });

  test.each([
    ['whose streams do not bring all its events', (batch: StreamsBatch) => ({ ...batch, streams: batch.streams.slice(0, 1) })],
    [
      'that is away meanwhile',
      (batch: StreamsBatch, n: number) => {
        if (n === 2) throw new Error('away');
        return batch;
      },
    ],
  ])('a log %s is built in its own order', async (_, told) => {
    lived();
    const warnings: string[] = [];
    const logger = {
      info: () => undefined,
      warn: (_fields: object, message: string) => void warnings.push(message),
      error: () => undefined,
    };
    await rig.catchUp({ log: streamed(log, told), logger, limits: { finishedDocuments: 2 } });
    expect(warnings).toEqual(['could not build stream by stream: building in the order of the log']);
    expect(await built()).toEqual(await inOrder(log));
  });

  test('one that was interrupted begins again, and counts nothing twice', async () => {
    lived();
    const stop = new AbortController();
    const cut = await rig.catchUp({
      log: streamed(log),
      limits: { finishedDocuments: 2 },
      signal: stop.signal,
      onCommitted: () => stop.abort(),
    });
    expect(cut.end).toEqual({ reason: 'stopped' });
    expect(await rig.reads.position()).toBe(START);
    await rig.catchUp({ log: streamed(log) });
    expect(await built()).toEqual(await inOrder(log));
  });

  test('an event of a newer release ends it', async () => {
    lived();
    log.appendRaw(streamOf.target('o1', 't0'), { type: 'TargetTeleported', data: '{}', metadata: '{"tm":1,"v":1}' });
    const { end } = await rig.catchUp({ log: streamed(log) });
    expect(end).toEqual({ reason: 'unknown-event-type', type: 'TargetTeleported', position: log.end });
  });

  describe('by several threads', () => {
    type Told = Parameters<typeof streamed>[1];
    /** Batch n falls to the thread deal[n % length], 0 being the runner's own; what they make comes over as between threads. */
    const dealt = (of: TestLog, deal: readonly number[], told?: Told): Partial<RunnerOptions> => {
      const mine = (thread: number) => (n: number) => deal[n % deal.length] === thread;
      const helper = (thread: number): Helper =>
        async function* (upTo, share) {
          const streams = streamed(of, told, mine(thread));
          const folds = { log: streams, decode: decodeEvent, projections: READ_MODELS, upTo, share, together: 3 };
          for await (const folded of foldStreams(folds)) yield unpackFolds(structuredClone(packFolds(folded)));
        };
      return { log: streamed(of, told, mine(0)), helpers: [helper(1), helper(2)], limits: { helpedEvents: 0, finishedDocuments: 4 } };
    };
    const deals = fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 7 });
    /** As a thread that has nothing to tell yet. */
    const waiting = (): { readonly helper: Helper; readonly ended: () => boolean } => {
      let ended = false;
      const helper: Helper = async function* (_, __, signal) {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        ended = true;
        yield* [];
      };
      return { helper, ended: () => ended };
    };
    const warned = (): { readonly logger: RunnerOptions['logger']; readonly warnings: string[] } => {
      const warnings: string[] = [];
      const warn = (_: object, message: string): void => void warnings.push(message);
      return { warnings, logger: { info: () => undefined, warn, error: () => undefined } };
    };
    const IN_ORDER = 'could not build stream by stream: building in the order of the log';

    test('makes the very documents that one makes, whoever folds which, also of streams with events that cannot be folded', async () => {
      const quarantines: number[] = [];
      const damage = fc.array(fc.record({ target: fc.nat({ max: 3 }), kind: fc.constantFrom('malformed', 'misplaced') }), { maxLength: 2 });
      await fc.assert(
        fc.asyncProperty(steps, steps, damage, deals, async (one, other, damaged, deal) => {
          const both = new TestLog();
          live(both, one, 'o1');
          for (const { target: n, kind } of damaged) {
            const stream = streamOf.target('o1', `o1-t${n}`);
            if (kind === 'malformed') both.appendRaw(stream, { type: 'TargetCanceled', data: '{', metadata: '{"tm":1,"v":1}' });
            else both.append(stream, { type: 'OutdialDeleted', tm: T0, outdialId: 'o1' });
          }
          live(both, other, 'o2');
          const [alone, together] = [await openRig(both), await openRig(both)];
          try {
            const ids = ['o1', 'o2'].flatMap((outdial) => [0, 1, 2, 3].map((n) => `${outdial}-t${n}`));
            const ends = [await alone.catchUp({ log: streamed(both) }), await together.catchUp(dealt(both, deal))];
            const [of, as] = [await documents(alone, ids), await documents(together, ids)];
            // Of several events that progress lacks any may be named; what it was before them is nobody's to read.
            const lacking = ({ quarantine, ...document }: ReadDocument): object =>
              quarantine === null ? document : { ...document, position: 'any', body: 'any' };
            expect(as.slice(0, 2)).toEqual(of.slice(0, 2));
            expect(as[2].map(lacking)).toEqual(of[2].map(lacking));
            const marks = ends.map(({ commits }) => commits.flatMap(({ quarantined }) => quarantined).length);
            expect(marks[1]).toBe(marks[0]);
            quarantines.push(marks[0] ?? 0);
          } finally {
            await alone.close();
            await together.close();
          }
        }),
        { numRuns: 25 },
      );
      expect(Math.max(...quarantines)).toBeGreaterThan(1);
    });

    test('a small log is folded alone', async () => {
      lived();
      const refuses: Helper = () => fail();
      const { warnings, logger } = warned();
      await rig.catchUp({ log: streamed(log), helpers: [refuses], limits: { helpedEvents: 19 }, logger });
      expect(warnings).toEqual([]);
      expect(await built()).toEqual(await inOrder(log));
    });

    test('a stream whose events do not follow one another is folded anew, and that is told, whoever met it', async () => {
      lived();
      const cut: Told = (batch, n) =>
        n === 1 ? { ...batch, streams: batch.streams.map((one) => ({ ...one, events: one.events.toReversed() })) } : batch;
      const { warnings, logger } = warned();
      await rig.catchUp({ ...dealt(log, [0, 1], cut), logger });
      expect(warnings).toEqual([FOLDED_ANEW, FOLDED_ANEW]);
      expect(await built()).toEqual(await inOrder(log));
    });

    test('what one of them does not bring, nobody does: the log is built in its own order', async () => {
      lived();
      const cut: Told = (batch, n) => (n === 1 ? { ...batch, streams: batch.streams.slice(1) } : batch);
      const { warnings, logger } = warned();
      await rig.catchUp({ ...dealt(log, [0, 1], cut), logger });
      expect(warnings).toEqual([IN_ORDER]);
      expect(await built()).toEqual(await inOrder(log));
    });

    test.each(['at once', 'when it has folded some'])(
      'one that fails %s is told of, the others end, and the log is built in its own order',
      async (when) => {
        lived();
        const idle = waiting();
        const fails: Helper = async function* (...build) {
          for await (const folded of dealt(log, [0, 1, 2]).helpers![0]!(...build)) {
            if (when === 'at once') break;
            yield folded;
          }
          throw new Error('killed');
        };
        const { warnings, logger } = warned();
        await rig.catchUp({ ...dealt(log, [0, 1, 2]), helpers: [idle.helper, fails], logger });
        expect(warnings).toEqual([IN_ORDER]);
        expect(idle.ended()).toBe(true);
        expect(await built()).toEqual(await inOrder(log));
      },
    );

    test('they end when it is stopped, or has lost the generation', async () => {
      lived();
      for (const reason of ['stopped', 'ownership-lost'] as const) {
        const idle = waiting();
        const stop = new AbortController();
        const writer = await rig.writer();
        let commits = 0;
        const commit = async (batch: WriteBatch): Promise<boolean> => {
          commits += 1;
          if (commits === 2 && reason === 'stopped') stop.abort();
          return commits < 2 || reason === 'stopped' ? writer.commit(batch) : false;
        };
        const build = { ...dealt(log, [0]), helpers: [idle.helper], writer: overriding(writer, { commit }), signal: stop.signal };
        expect((await rig.catchUp(build)).end).toEqual({ reason });
        expect(idle.ended()).toBe(true);
      }
    });

    test('one that has not come to anything when all is folded is not waited for', async () => {
      lived();
      const idle = waiting();
      const { warnings, logger } = warned();
      await rig.catchUp({ ...dealt(log, [0]), helpers: [idle.helper], logger });
      expect(warnings).toEqual([]);
      expect(idle.ended()).toBe(true);
      expect(await built()).toEqual(await inOrder(log));
    });

    test('an event of a newer release ends it, whoever meets it', async () => {
      lived();
      log.appendRaw(streamOf.target('o2', 't3'), { type: 'TargetTeleported', data: '{}', metadata: '{"tm":1,"v":1}' });
      for (const deal of [
        [0, 1],
        [1, 0],
      ]) {
        const { end } = await rig.catchUp(dealt(log, deal));
        expect(end).toEqual({ reason: 'unknown-event-type', type: 'TargetTeleported', position: log.end });
      }
    });
  });

  test('a store that fails meanwhile is tried again, and no document is lost', async () => {
    lived();
    const writer = await rig.writer();
    let commits = 0;
    const commit = async (batch: WriteBatch): Promise<boolean> => {
      if ((commits += 1) % 2 === 1) throw new Error('disk full');
      return writer.commit(batch);
    };
    await rig.catchUp({ log: streamed(log), limits: { finishedDocuments: 4 }, writer: overriding(writer, { commit }) });
    expect(await built()).toEqual(await inOrder(log));
  });
});
