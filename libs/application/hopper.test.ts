import fc from 'fast-check';
import { OutdialHopper, type Candidate, type HopperSource } from './hopper';

/** An outdial as it really is, and a read model that shows it as of some earlier moment. */
class World {
  readonly now = new Map<string, Candidate>();
  private readonly shown = new Map<string, Candidate>();
  private readonly unprojected: { readonly targetId: string; readonly candidate: Candidate | null; readonly position: number }[] = [];
  private appended = 0;
  private projected = 0;
  windows = 0;
  /** Whether the read model gets on when somebody waits for it. */
  moves = true;

  readonly source: HopperSource = {
    window: async (priority, after, limit) => {
      this.windows += 1;
      const rows = ordered([...this.shown.values()].filter((one) => one.priority === priority)).filter(
        (one) => after === null || one.due > after.due || (one.due === after.due && one.targetId > after.targetId),
      );
      const position = at(this.projected);
      // The answer travels: what happens meanwhile is not in it.
      await new Promise((resolve) => setImmediate(resolve));
      return { candidates: rows.slice(0, limit), more: rows.length >= limit, position };
    },
    highestPriority: (below) => {
      const priorities = [...this.shown.values()].map(({ priority }) => priority).filter((one) => below === null || one < below);
      return Promise.resolve(priorities.length === 0 ? null : Math.max(...priorities));
    },
    shown: async (position) => {
      while (this.moves && at(this.projected) < position) this.project(1);
      return at(this.projected) >= position;
    },
  };
  hopper: OutdialHopper;

  constructor(private readonly rows?: number) {
    this.hopper = this.open();
  }

  open(): OutdialHopper {
    return new OutdialHopper(this.source, this.rows);
  }

  append(targetId: string, candidate: Candidate | null): void {
    this.appended += 1;
    if (candidate) this.now.set(targetId, candidate);
    else this.now.delete(targetId);
    this.unprojected.push({ targetId, candidate, position: this.appended });
    this.hopper.committed(targetId, candidate, at(this.appended));
  }

  /** New targets, some of many: told in another order than they were appended in. */
  import(dues: readonly number[], priority = 0): void {
    const told = dues.map((due) => {
      this.appended += 1;
      const targetId = `new${String(this.appended).padStart(6, '0')}`;
      const candidate = idle(targetId, due, priority);
      this.now.set(targetId, candidate);
      this.unprojected.push({ targetId, candidate, position: this.appended });
      return { candidate, position: this.appended };
    });
    for (const { candidate, position } of told.reverse()) this.hopper.committed(candidate.targetId, candidate, at(position), true);
  }

  project(events: number): void {
    for (const { targetId, candidate, position } of this.unprojected.splice(0, events)) {
      if (candidate) this.shown.set(targetId, candidate);
      else this.shown.delete(targetId);
      this.projected = position;
    }
    this.hopper.caughtUpTo(at(this.projected));
  }

  /** A claim by this process: each of what was taken is appended as leased. */
  async claim(limit: number, now: number): Promise<readonly string[]> {
    const taken = await this.hopper.take(limit, now);
    for (const { targetId } of taken) {
      this.append(targetId, null);
      this.hopper.settle(targetId, null);
    }
    return taken.map(({ targetId }) => targetId);
  }

  due(limit: number, now: number): readonly string[] {
    return ordered([...this.now.values()].filter(({ due }) => due <= now))
      .slice(0, limit)
      .map(({ targetId }) => targetId);
  }
}

const at = (position: number): string => String(position).padStart(9, '0');
const ordered = (candidates: Candidate[]): Candidate[] =>
  candidates.sort((a, b) => b.priority - a.priority || a.due - b.due || (a.targetId < b.targetId ? -1 : 1));
const idle = (targetId: string, due: number, priority = 0): Candidate => ({ targetId, due, priority, known: null });

describe('the hopper', () => {
  it('gives the highest priority first, then who has been due longest', async () => {
    const world = new World();
    world.append('late', idle('late', 20));
    world.append('early', idle('early', 10));
    world.append('urgent', idle('urgent', 30, 5));
    expect(await world.claim(3, 100)).toEqual(['urgent', 'early', 'late']);
  });

  it('gives nothing that is not due, whatever its priority, and gives it when time has passed', async () => {
    const world = new World();
    world.append('urgent', idle('urgent', 50, 100));
    world.append('now', idle('now', 10));
    expect(await world.claim(5, 40)).toEqual(['now']);
    expect(await world.hopper.nextDue()).toBe(50);
    expect(await world.claim(5, 50)).toEqual(['urgent']);
    expect(await world.hopper.nextDue()).toBeNull();
  });

  it('never gives one candidate to two claims at once', async () => {
    const world = new World();
    for (let n = 0; n < 50; n += 1) world.append(`t${n}`, idle(`t${n}`, n));
    world.project(50);
    const claims = await Promise.all(Array.from({ length: 10 }, () => world.hopper.take(10, 100)));
    const given = claims.flat().map(({ targetId }) => targetId);
    expect(new Set(given).size).toBe(50);
    expect(given).toHaveLength(50);
  });

  it('offers again what was taken and not dialed', async () => {
    const world = new World();
    world.append('one', idle('one', 1));
    const [taken] = await world.hopper.take(1, 10);
    expect(await world.hopper.take(1, 10)).toEqual([]);
    world.hopper.settle('one', taken ?? null);
    expect(await world.claim(1, 10)).toEqual(['one']);
  });

  it('finds what was appended before it was made, though the read model does not show it yet', async () => {
    const world = new World();
    for (let n = 0; n < 10; n += 1) world.append(`t${n}`, idle(`t${n}`, n));
    world.project(4);
    expect(await world.claim(100, 100)).toHaveLength(10);
  });

  it('keeps a million retries that are due later on disk, not in memory, and still finds each of them', async () => {
    const world = new World();
    expect(await world.claim(1, 0)).toEqual([]);
    const many = 12_000;
    for (let n = 0; n < many; n += 1) world.append(`t${n}`, idle(`t${n}`, 1000 + n));
    world.project(many);
    const held = (world.hopper as unknown as { readonly queued: Map<string, unknown> }).queued.size;
    expect(held).toBeLessThanOrEqual(5000);
    const given: string[] = [];
    for (let batch = await world.claim(1000, 1_000_000); batch.length > 0; batch = await world.claim(1000, 1_000_000)) {
      given.push(...batch);
      world.project(1000);
    }
    expect(new Set(given).size).toBe(many);
  });

  it('remembers little of an import that the read model lacks, and still finds each of its targets in order', async () => {
    const world = new World();
    expect(await world.claim(1, 0)).toEqual([]);
    const many = 40_000;
    for (let n = 0; n < many; n += 100) world.import(Array.from({ length: 100 }, (_, more) => 1000 + n + more));
    const held = (world.hopper as unknown as { readonly queued: Map<string, unknown> }).queued.size;
    expect(held).toBeLessThanOrEqual(5000);
    expect(await world.hopper.nextDue()).toBe(1000);
    const given: string[] = [];
    for (let batch = await world.claim(1000, 1_000_000); batch.length > 0; batch = await world.claim(1000, 1_000_000)) given.push(...batch);
    expect(given).toEqual(Array.from({ length: many }, (_, n) => `new${String(n + 1).padStart(6, '0')}`));
    world.project(Infinity);
    expect(world.hopper.forgettable).toBe(true);
  });

  it('gives what it has when the read model stands still, and the rest when it has moved', async () => {
    const world = new World(1);
    world.append('early', idle('early', 1));
    world.import(new Array<number>(100).fill(10));
    world.moves = false;
    expect(await world.claim(200, 50)).toEqual(['early']);
    expect(await world.hopper.nextDue()).toBe(10);
    world.moves = true;
    expect(await world.claim(200, 50)).toHaveLength(100);
  });

  it('answers what a scan of the whole list would, at any moment, however far the read model is behind', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('append' as const),
          id: fc.nat(40),
          due: fc.nat(100),
          priority: fc.integer({ min: -1, max: 1 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('import' as const),
          dues: fc.array(fc.nat(100), { maxLength: 30, size: 'max' }),
          priority: fc.integer({ min: -1, max: 1 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), id: fc.nat(40) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('project' as const), events: fc.integer({ min: 1, max: 30 }) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 8 }), now: fc.nat(120) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), fc.integer({ min: 1, max: 6 }), async (steps, rows) => {
        const world = new World(rows);
        for (const one of steps) {
          if (one.kind === 'append') world.append(`t${one.id}`, idle(`t${one.id}`, one.due, one.priority));
          else if (one.kind === 'import') world.import(one.dues, one.priority);
          else if (one.kind === 'remove') world.append(`t${one.id}`, null);
          else if (one.kind === 'project') world.project(one.events);
          else if (one.kind === 'reopen') world.hopper.reopen();
          else if (one.kind === 'forget') {
            if (world.hopper.forgettable) world.hopper = world.open();
          } else {
            const expected = world.due(one.limit, one.now);
            expect(await world.claim(one.limit, one.now)).toEqual(expected);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives each once and loses none when claims, windows and news cross', async () => {
    const news = fc.array(fc.record({ id: fc.nat(20), due: fc.nat(50), project: fc.nat(6) }), { maxLength: 12, size: 'max' });
    await fc.assert(
      fc.asyncProperty(
        fc.array(news, { minLength: 1, maxLength: 12, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        async (rounds, rows) => {
          const world = new World(rows);
          for (const round of rounds) {
            const claims = [world.hopper.take(2, 100), world.hopper.take(3, 100)];
            for (const { id, due, project } of round) {
              world.append(`t${id}`, idle(`t${id}`, due));
              world.project(project);
              await new Promise((resolve) => setImmediate(resolve));
            }
            const taken = (await Promise.all(claims)).flat().map(({ targetId }) => targetId);
            expect(new Set(taken).size).toBe(taken.length);
            // Half of them are dialed; the others were changed meanwhile, or skipped, and are offered again.
            taken.forEach((targetId, n) => {
              if (n % 2 === 0) world.append(targetId, null);
              world.hopper.settle(targetId, world.now.get(targetId) ?? null);
            });
          }
          const expected = world.due(1000, 100);
          const given: string[] = [];
          for (let batch = await world.claim(3, 100); batch.length > 0; batch = await world.claim(3, 100)) given.push(...batch);
          expect(given).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('sees what is appended while a window is being read', async () => {
    const world = new World();
    for (let n = 0; n < 5; n += 1) world.append(`t${n}`, idle(`t${n}`, 10 + n));
    world.project(5);
    const claim = world.hopper.take(10, 100);
    world.append('t3', null);
    world.append('new', idle('new', 1));
    world.project(2);
    const given = (await claim).map(({ targetId }) => targetId);
    expect(given).toEqual(['new', 't0', 't1', 't2', 't4']);
  });
});
