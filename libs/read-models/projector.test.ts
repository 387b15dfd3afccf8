import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeEvent, streamOf } from '#dialing';
import { START, StreamDamaged } from '#event-store';
import { positionOf, T0, TestLog } from './projection.contract';
import { getProgress } from './progress';
import { startProjector, type Projector, type ProjectorOptions, type ProjectorProgress } from './projector';
import { READ_MODELS } from './read-models';
import type { Generations } from './read-store';
import { openSqliteGenerations } from './sqlite-generations';
import { openSqliteReadStore, type SqliteReadStore } from './sqlite-read-store';
import { getTarget } from './targets';

let directory: string;
let log: TestLog;
let generations: Generations;
let reads: SqliteReadStore;
let projector: Projector | null;
let heard: ProjectorProgress[];
let listeners: (() => void)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'projector-'));
  log = new TestLog();
  generations = openSqliteGenerations({ directory, projections: READ_MODELS });
  reads = openSqliteReadStore({ directory, projections: READ_MODELS });
  projector = null;
  heard = [];
  listeners = [];
});
afterEach(async () => {
  await projector?.stop();
  await reads.close();
  rmSync(directory, { recursive: true });
});

function start(options: Partial<ProjectorOptions> = {}): Projector {
  projector = startProjector({
    log,
    generations,
    projections: READ_MODELS,
    decode: decodeEvent,
    wait: () => new Promise((resolve) => setImmediate(resolve)),
    onProgress: (progress) => {
      heard.push(progress);
      reads.refresh();
      for (const listener of listeners.splice(0)) listener();
    },
    ...options,
  });
  return projector;
}

/** Resolves with the first progress, of those heard already or to come, that fits. */
async function until(fits: (progress: ProjectorProgress) => boolean): Promise<ProjectorProgress> {
  for (;;) {
    const found = heard.find(fits);
    if (found !== undefined) return found;
    await new Promise<void>((resolve) => listeners.push(resolve));
  }
}
const reached = (position: string) => until((progress) => progress.position >= position && progress.generation !== null);
const target = async (id: string) => (await getTarget(reads, { outdialId: 'o1', targetId: id }))?.state;

describe('The projector', () => {
  test('builds the first generation and makes it live when it has caught up', async () => {
    log.add('t1');
    start();
    expect(await until(({ generation }) => generation !== null)).toEqual({
      position: log.end,
      generation: 'g1',
      caughtUp: true,
      quarantined: 0,
    });
    expect(await target('t1')).toEqual(log.targets.get('t1'));
  });

  test('says that an empty log is caught up with', async () => {
    start();
    expect(await until(({ caughtUp }) => caughtUp)).toEqual({ position: START, generation: 'g1', caughtUp: true, quarantined: 0 });
  });

  test('keeps the live generation up to date', async () => {
    start();
    await until(({ generation }) => generation === 'g1');
    log.add('t1');
    await reached(log.end);
    expect(await target('t1')).toBeDefined();
  });

  test('goes on with the live generation after a restart', async () => {
    log.add('t1');
    start();
    await reached(log.end);
    await projector?.stop();
    heard = [];
    log.add('t2');
    start();
    expect(await reached(log.end)).toMatchObject({ generation: 'g1' });
    expect(await target('t2')).toBeDefined();
  });

  test('rebuilds beside the live generation, which goes on meanwhile, and promotes when it is told to', async () => {
    log.add('t1');
    const running = start();
    await reached(log.end);
    expect(await running.rebuild()).toBe('g2');
    log.add('t2');
    expect(await reached(log.end)).toMatchObject({ generation: 'g1' });
    await running.promote('g2');
    expect(heard.at(-1)).toMatchObject({ generation: 'g2', position: log.end });
    expect([await target('t1'), await target('t2')]).toEqual([log.targets.get('t1'), log.targets.get('t2')]);
    log.add('t3');
    expect(await reached(log.end)).toMatchObject({ generation: 'g2' });
  });

  test('the old generation is removed after the switch', async () => {
    const running = start();
    await until(({ generation }) => generation === 'g1');
    await running.promote(await running.rebuild());
    await running.stop();
    expect((await running.status()).map(({ name, live }) => ({ name, live }))).toEqual([{ name: 'g2', live: true }]);
  });

  test('a rebuild that is asked for twice is one', async () => {
    const running = start();
    expect(await Promise.all([running.rebuild(), running.rebuild()])).toHaveLength(2);
    expect(new Set(await Promise.all([running.rebuild(), running.rebuild()])).size).toBe(1);
  });

  test('a generation that is not being built cannot be promoted; promoting the live one is already so', async () => {
    const running = start();
    await until(({ generation }) => generation === 'g1');
    await expect(running.promote('g7')).rejects.toThrow('g7');
    await expect(running.promote('g1')).resolves.toBeUndefined();
  });

  test('read models of a newer version are built beside those of the older release, which readers of that one keep until the switch', async () => {
    const older = READ_MODELS.map((model) => ({ ...model, version: model.version - 1 }));
    log.add('t1');
    start({ projections: older, generations: openSqliteGenerations({ directory, projections: older }) });
    await until(({ generation }) => generation === 'g1');
    await projector?.stop();
    heard = [];
    const readsOfOlder = openSqliteReadStore({ directory, projections: older });
    expect(await readsOfOlder.position()).toBe(log.end);
    expect(await reads.position()).toBe(START);
    start();
    expect(await until(({ generation }) => generation !== null)).toMatchObject({ generation: 'g2', position: log.end });
    expect(await reads.position()).toBe(log.end);
    await readsOfOlder.close();
  });

  test('a promotion that fails is tried again', async () => {
    let failures = 2;
    const flaky: Generations = {
      ...generations,
      promote: async (name) => {
        if ((failures -= 1) >= 0) throw new Error('disk full');
        return generations.promote(name);
      },
    };
    start({ generations: flaky });
    expect(await until(({ generation }) => generation !== null)).toMatchObject({ generation: 'g1' });
    expect(failures).toBe(-1);
  });

  test('generations that cannot be opened are tried again', async () => {
    let failures = 2;
    const flaky: Generations = {
      ...generations,
      list: async () => {
        if ((failures -= 1) >= 0) throw new Error('unreachable');
        return generations.list();
      },
    };
    start({ generations: flaky });
    expect(await until(({ generation }) => generation !== null)).toMatchObject({ generation: 'g1' });
  });

  test('an event of a newer release stops it, and it says why', async () => {
    log.add('t1');
    start();
    await reached(log.end);
    log.appendRaw(streamOf.target('o1', 't1'), { type: 'TargetTeleported', data: '{}', metadata: '{"tm":1,"v":1}' });
    const { stopped, position } = await until((progress) => progress.stopped !== undefined);
    expect(stopped).toContain('TargetTeleported');
    expect(position).toBe(positionOf(1));
  });

  test('an event of a newer release stops the first build, too', async () => {
    log.appendRaw(streamOf.target('o1', 't1'), { type: 'TargetTeleported', data: '{}', metadata: '{"tm":1,"v":1}' });
    start();
    expect(await until((progress) => progress.stopped !== undefined)).toMatchObject({ generation: null, position: START, caughtUp: false });
  });

  test('stopping ends a promotion that is waited for', async () => {
    log.add('t1');
    const running = start({ generations: { ...generations, promote: () => Promise.reject(new Error('disk full')) } });
    const name = await running.rebuild();
    const promoted = running.promote(name).catch((error: unknown) => error);
    await running.stop();
    expect(await promoted).toBeInstanceOf(Error);
  });
});

describe('Quarantined documents', () => {
  /** A release that cannot fold cancellations. */
  const broken = READ_MODELS.map((model) =>
    model.name === 'targets'
      ? {
          ...model,
          evolve: (document: unknown, fact: Parameters<typeof model.evolve>[1]) => {
            if (fact.event.type === 'TargetCanceled') throw new Error('cannot fold that');
            return model.evolve(document, fact);
          },
        }
      : model,
  );

  test('are counted in what it tells', async () => {
    log.add('t1');
    start({ projections: broken });
    log.target('t1', { type: 'CancelTarget', now: T0 + 1, reason: '' });
    await reached(log.end);
    expect(heard.at(-1)).toMatchObject({ quarantined: 1 });
  });

  test('are folded anew by a release that can, and go on from there', async () => {
    log.add('t1');
    log.target('t1', { type: 'CancelTarget', now: T0 + 1, reason: '' });
    start({ projections: broken });
    await reached(log.end);
    await projector?.stop();
    heard = [];
    const running = start();
    expect(await reached(log.end)).toMatchObject({ quarantined: 1 });
    await expect(target('t1')).rejects.toThrow('cannot fold that');
    expect(await running.retry()).toEqual([]);
    expect(await target('t1')).toEqual(log.targets.get('t1'));
    log.target('t1', { type: 'RemoveTarget', now: T0 + 2 });
    expect(await until(({ position, quarantined }) => position === log.end && quarantined === 0)).toBeDefined();
    expect(await target('t1')).toEqual(log.targets.get('t1'));
  });

  test('stay so when their events still cannot be folded, and are named', async () => {
    log.add('t1');
    log.appendRaw(streamOf.target('o1', 't1'), { type: 'TargetCanceled', data: '{', metadata: '{"tm":1,"v":1}' });
    const running = start();
    await reached(log.end);
    expect((await running.retry()).map(({ collection, id }) => [collection, id])).toEqual([
      ['targets', 't1'],
      ['progress', 'o1'],
    ]);
    await expect(getProgress(reads, { outdialId: 'o1', mode: 'active', now: T0 })).rejects.toThrow('quarantined');
  });

  test('of streams that are damaged stay so, and hold up no other', async () => {
    for (const id of ['t1', 't2']) {
      log.add(id);
      log.target(id, { type: 'CancelTarget', now: T0 + 1, reason: '' });
    }
    start({ projections: broken });
    await reached(log.end);
    await projector?.stop();
    const damaged = streamOf.target('o1', 't1');
    const running = start({
      log: {
        subscribe: (after, signal) => log.subscribe(after, signal),
        readStream: (stream) => (stream === damaged ? Promise.reject(new StreamDamaged(stream)) : log.readStream(stream)),
      },
    });
    await reached(log.end);
    expect((await running.retry()).map(({ id }) => id)).toEqual(['t1']);
    expect(await target('t2')).toEqual(log.targets.get('t2'));
  });

  test('there is nothing to fold anew before there is a live generation', async () => {
    const stuck = start({ generations: { ...generations, promote: () => Promise.reject(new Error('disk full')) } });
    expect(await stuck.retry()).toEqual([]);
  });
});
