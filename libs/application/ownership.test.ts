import { StoreUnavailable, type StateRecord, type StateStore } from '#event-store';
import { BEAT_MILLIS, OWNER_PREFIX, Ownership, STILL_LOOKS, type OwnerRecord } from './ownership';
import { Presence, type Share } from './presence';

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A state store in memory whose network can be cut for one process. */
class SharedState {
  readonly records = new Map<string, StateRecord>();
  /** After each write of this many: made, but its answer is lost. */
  loseAnswers = 0;

  of(network: { cut: boolean }): StateStore {
    const reach = <T>(work: () => T): Promise<T> =>
      network.cut ? Promise.reject(new StoreUnavailable('cut off')) : Promise.resolve().then(work);
    return {
      get: (key) => reach(() => this.records.get(key) ?? null),
      put: (key, value, expected) =>
        reach(() => {
          const version = this.records.get(key)?.version ?? 0;
          if (version !== expected) return false;
          this.records.set(key, { key, value, version: version + 1 });
          if (this.loseAnswers > 0) {
            this.loseAnswers -= 1;
            throw new StoreUnavailable('the answer was lost');
          }
          return true;
        }),
      delete: (key) => reach(() => void this.records.delete(key)),
      list: (prefix) => reach(() => [...this.records.values()].filter(({ key }) => key.startsWith(prefix))),
      purge: () => reach(() => undefined),
      close: () => Promise.resolve(),
    };
  }
}

/** Timers of one process, which stand still while it is paused. All processes' time passes together. */
class World {
  readonly state = new SharedState();
  private timers: { due: number; run: () => void; owner: Machine }[] = [];
  private now = 0;

  machine(name: string): Machine {
    return new Machine(name, this);
  }

  after(owner: Machine, milliseconds: number, run: () => void): () => void {
    const timer = { due: this.now + milliseconds, run, owner };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  async pass(milliseconds: number): Promise<void> {
    for (const end = this.now + milliseconds; this.now < end;) {
      this.now += 100;
      const due = this.timers.filter((timer) => timer.due <= this.now && !timer.owner.paused);
      this.timers = this.timers.filter((timer) => !due.includes(timer));
      for (const { run } of due) run();
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

class Machine {
  readonly network = { cut: false };
  paused = false;
  /** Terms that it has worked in, and whether it works now. */
  readonly terms: number[] = [];
  works = false;
  failing = false;
  private readonly ownership: Ownership;

  constructor(
    readonly name: string,
    private readonly world: World,
  ) {
    this.ownership = new Ownership(
      {
        state: world.state.of(this.network),
        scheduler: { after: (milliseconds, run) => world.after(this, milliseconds, run) },
        log: quiet,
      },
      name,
      {
        name: 'work',
        start: async (term) => {
          if (this.failing) throw new Error('it cannot be done here');
          this.terms.push(term);
          this.works = true;
        },
        stop: async () => {
          this.works = false;
        },
        report: () => ({ by: name, versions: { targets: 2 } }),
      },
    );
  }

  start(): this {
    this.ownership.start();
    return this;
  }

  stop(): Promise<void> {
    return this.ownership.stop();
  }

  resign(): Promise<void> {
    return this.ownership.resign('a newer release is needed');
  }

  presence(onShare: (share: Share) => void = () => undefined): Presence {
    const { world } = this;
    return new Presence(
      {
        state: world.state.of(this.network),
        scheduler: { after: (milliseconds, run) => world.after(this, milliseconds, run) },
        log: quiet,
        now: () => 0,
      },
      { id: this.name, versions: { targets: 1 } },
      onShare,
    );
  }
}

/** Longer than it may take to notice that an owner is gone. */
const TAKEOVER = (STILL_LOOKS + 2) * BEAT_MILLIS;

describe('work that one process does at a time', () => {
  let world: World;
  let a: Machine;
  let b: Machine;
  beforeEach(async () => {
    world = new World();
    a = world.machine('a').start();
    await world.pass(100);
    b = world.machine('b').start();
    await world.pass(100);
  });
  const working = (): readonly string[] => [a, b].filter(({ works }) => works).map(({ name }) => name);

  it('is begun at once by who comes first, and by nobody else', async () => {
    expect(working()).toEqual(['a']);
    await world.pass(60_000);
    expect(working()).toEqual(['a']);
    expect(a.terms).toEqual([1]);
    const record = JSON.parse(world.state.records.get(`${OWNER_PREFIX}work`)?.value ?? '') as OwnerRecord;
    expect(record).toMatchObject({ owner: 'a', epoch: 1, report: { by: 'a' } });
    expect(record.beat).toBeGreaterThan(50);
  });

  it('is taken over within seconds when its owner is paused, in a new term; the old owner ends when it wakes', async () => {
    a.paused = true;
    await world.pass(TAKEOVER);
    expect(b.terms).toEqual([2]);
    a.paused = false;
    await world.pass(2 * BEAT_MILLIS);
    expect(working()).toEqual(['b']);
    await world.pass(60_000);
    expect(working()).toEqual(['b']);
  });

  it('is ended by an owner that is cut off before another begins', async () => {
    a.network.cut = true;
    let both = false;
    for (let step = 0; step < 2 * TAKEOVER; step += 100) {
      await world.pass(100);
      both ||= a.works && b.works;
    }
    expect(both).toBe(false);
    expect(working()).toEqual(['b']);
    a.network.cut = false;
    await world.pass(30_000);
    expect(working()).toEqual(['b']);
  });

  it('goes on when everybody is cut off for a while, by one of them', async () => {
    a.network.cut = b.network.cut = true;
    await world.pass(60_000);
    expect(working()).toEqual([]);
    a.network.cut = b.network.cut = false;
    await world.pass(TAKEOVER);
    expect(working()).toHaveLength(1);
  });

  it('is handed on at once by an owner that ends', async () => {
    await a.stop();
    expect(working()).toEqual([]);
    await world.pass(BEAT_MILLIS);
    expect(working()).toEqual(['b']);
    expect(b.terms).toEqual([2]);
  });

  it('is left to others by one that cannot do it, and taken again when nobody else can', async () => {
    await a.resign();
    await world.pass(2 * BEAT_MILLIS);
    expect(working()).toEqual(['b']);
    b.failing = true;
    await b.resign();
    await world.pass(30_000);
    expect(working()).toEqual(['a']);
  });

  it('is kept by an owner whose beat was written though its answer was lost', async () => {
    world.state.loseAnswers = 1;
    await world.pass(10_000);
    expect(working()).toEqual(['a']);
    expect(a.terms).toEqual([1]);
  });
});

describe('gateways that see each other', () => {
  const all = '0123456789abcdef';
  const sorted = (digits: string): string => Array.from(digits).sort().join('');

  it('share the targets evenly and without overlap, and take over the share of one that is gone', async () => {
    const world = new World();
    const machines = ['x', 'y', 'z'].map((name) => world.machine(name));
    const changed: Share[] = [];
    const presences = machines.map((machine, at) => machine.presence((share) => void (at === 0 && changed.push(share))));
    const shares = (): readonly string[] => presences.map(({ share }) => share.own);
    expect(shares()).toEqual([all, all, all]);
    for (const presence of presences) await presence.start();
    await world.pass(2 * BEAT_MILLIS);
    expect(sorted(shares().join(''))).toBe(all);
    expect(shares().map(({ length }) => length)).toEqual([6, 5, 5]);
    expect(presences[0]?.gateways).toEqual(['x', 'y', 'z']);
    expect(presences[0]?.versions).toEqual([{ targets: 1 }, { targets: 1 }, { targets: 1 }]);
    if (machines[1]) machines[1].paused = true;
    await world.pass(TAKEOVER);
    expect(sorted(`${shares()[0]}${shares()[2]}`)).toBe(all);
    await presences[2]?.stop();
    await world.pass(2 * BEAT_MILLIS);
    expect(presences[0]?.share.own).toBe(all);
    expect(changed.at(-1)?.own).toBe(all);
  });

  it('keep their shares while the record of them cannot be reached', async () => {
    const world = new World();
    const [x, y] = [world.machine('x'), world.machine('y')];
    const [one, other] = [x.presence(), y.presence()];
    await one.start();
    await other.start();
    await world.pass(2 * BEAT_MILLIS);
    const before = one.share.own;
    expect(before).toHaveLength(8);
    x.network.cut = true;
    await world.pass(2 * TAKEOVER);
    expect(one.share.own).toBe(before);
    expect(other.share.own).toBe(all);
    x.network.cut = false;
    await world.pass(2 * BEAT_MILLIS);
    expect([one.share.own, other.share.own].map(({ length }) => length)).toEqual([8, 8]);
  });

  it('see who does which work', async () => {
    const world = new World();
    const worker = world.machine('w').start();
    const presence = world.machine('g').presence();
    await presence.start();
    await world.pass(2 * BEAT_MILLIS);
    expect(presence.owners.get('work')?.owner).toBe('w');
    expect(presence.versions).toEqual([{ targets: 1 }, { targets: 2 }]);
    worker.paused = true;
    await world.pass(TAKEOVER);
    expect(presence.owners.has('work')).toBe(false);
  });
});
