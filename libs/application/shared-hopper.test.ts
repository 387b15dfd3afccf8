import fc from 'fast-check';
import { OutdialHopper, type Candidate } from './hopper';
import { SharedHopper } from './shared-hopper';

const DIGITS = '0123456789abcdef';
const HALVES = ['02468ace', '13579bdf'] as const;
const ordered = (candidates: readonly Candidate[]): readonly Candidate[] =>
  candidates.toSorted((a, b) => b.priority - a.priority || a.due - b.due || (a.targetId < b.targetId ? -1 : 1));

/** An outdial as its log has it, a read model that lags behind, and gateways that dial it together. */
class World {
  readonly truth = new Map<string, Candidate>();
  private readonly revisions = new Map<string, number>();
  private shown = new Map<string, Candidate>();
  private unshown: { readonly targetId: string; readonly candidate: Candidate | null; readonly position: number }[] = [];
  private appended = 0;
  private projected = 0;
  now = 0;
  readonly gateways: readonly Gateway[];

  constructor(shares: readonly string[], rows?: number) {
    this.gateways = shares.map((own) => new Gateway(this, own, rows));
  }

  get position(): string {
    return at(this.projected);
  }

  rows(priority: number | null): readonly Candidate[] {
    return ordered([...this.shown.values()].filter((one) => priority === null || one.priority === priority));
  }

  /** An append by a gateway (null: by none of them, as an import by a third). */
  append(by: Gateway | null, targetId: string, candidate: Candidate | null): void {
    this.appended += 1;
    this.revisions.set(targetId, (this.revisions.get(targetId) ?? 0) + 1);
    if (candidate) this.truth.set(targetId, candidate);
    else this.truth.delete(targetId);
    this.unshown.push({ targetId, candidate, position: this.appended });
    by?.hopper.committed(targetId, candidate, at(this.appended));
  }

  project(events = Infinity): void {
    for (const { targetId, candidate, position } of this.unshown.splice(0, events)) {
      if (candidate) this.shown.set(targetId, candidate);
      else this.shown.delete(targetId);
      this.projected = position;
    }
    for (const { hopper } of this.gateways) hopper.caughtUpTo(this.position);
  }
}

const at = (position: number): string => String(position).padStart(10, '0');

class Gateway {
  readonly hopper: SharedHopper;
  won = 0;
  lost = 0;

  constructor(
    private readonly world: World,
    public own: string,
    rows?: number,
  ) {
    const shown = async (position: string): Promise<boolean> => {
      if (position > world.position) world.project();
      return true;
    };
    const inner = new OutdialHopper(
      {
        highestPriority: async (below) => {
          const [first] = world.rows(null).filter(({ priority }) => below === null || priority < below);
          return first?.priority ?? null;
        },
        window: async (priority, after, limit) => {
          const mine = world.rows(priority).filter(({ targetId }) => this.own.includes(targetId.charAt(0)));
          const found = mine.filter(
            (one) => after === null || one.due > after.due || (one.due === after.due && one.targetId > after.targetId),
          );
          return { candidates: found.slice(0, limit), more: found.length >= limit, position: world.position };
        },
        shown,
      },
      rows,
    );
    this.hopper = new SharedHopper(inner, {
      isOwn: (targetId) => this.own.includes(targetId.charAt(0)),
      othersDue: async (limit, now) => {
        const others = world.rows(null).filter(({ targetId, due }) => !this.own.includes(targetId.charAt(0)) && due <= now);
        return others.toSorted((a, b) => b.priority - a.priority || b.due - a.due).slice(0, limit);
      },
      earliestDue: async () => world.rows(null).reduce<number | null>((least, { due }) => Math.min(least ?? due, due), null),
      shown,
      monotonic: () => world.now,
    });
  }

  /** As a claim does it: takes, appends, and takes others for what somebody else was faster with. */
  async claim(limit: number, dueBy: number): Promise<readonly string[]> {
    const leased: string[] = [];
    while (leased.length < limit) {
      const taken = await this.hopper.take(limit - leased.length, dueBy);
      if (taken.length === 0) break;
      for (const { targetId } of taken) {
        const there = this.world.truth.get(targetId);
        if (there && there.due <= dueBy) {
          this.won += 1;
          leased.push(targetId);
          this.world.append(this, targetId, null);
          this.hopper.settle(targetId, null);
        } else {
          this.lost += 1;
          this.hopper.settle(targetId, there ?? null);
        }
      }
    }
    return leased;
  }
}

const candidate = (n: number, due = n, priority = 0): Candidate => ({
  targetId: `${DIGITS.charAt((n * 7) % 16)}${String(n).padStart(6, '0')}`,
  priority,
  due,
  known: null,
});

describe('a hopper that shares an outdial', () => {
  it('takes its own share first, in the order of dialing, and the others’ from the far end', async () => {
    const world = new World(HALVES);
    const [one] = world.gateways;
    const list = Array.from({ length: 40 }, (_, n) => candidate(n));
    for (const each of list) world.append(null, each.targetId, each);
    world.project();
    const mine = list.filter(({ targetId }) => HALVES[0].includes(targetId.charAt(0))).map(({ targetId }) => targetId);
    const others = list.filter(({ targetId }) => HALVES[1].includes(targetId.charAt(0))).map(({ targetId }) => targetId);
    expect(await one?.claim(mine.length, 100)).toEqual(mine);
    expect(await one?.claim(3, 100)).toEqual(others.toReversed().slice(0, 3));
    expect(await one?.claim(100, 100)).toHaveLength(others.length - 3);
  });

  it('hands out what another gateway appended to its share, as soon as the read model shows it', async () => {
    const world = new World(HALVES);
    const [one, other] = world.gateways;
    const first = { ...candidate(0), targetId: '0a' };
    expect(await one?.claim(1, 100)).toEqual([]);
    world.append(other ?? null, first.targetId, first);
    expect(await one?.claim(1, 100)).toEqual([]);
    world.project();
    world.now += 150;
    expect(await one?.claim(1, 100)).toEqual(['0a']);
  });

  it('hands out what this gateway appended to another share, at its first claim and right after one that found nothing', async () => {
    const world = new World(HALVES);
    const one = world.gateways[0] ?? null;
    for (const targetId of ['1a', '3b', '5c']) {
      world.append(one, targetId, { ...candidate(0), targetId });
      expect(await one?.claim(1, 100)).toEqual([targetId]);
      expect(await one?.claim(1, 100)).toEqual([]);
    }
  });

  it('does not leave a higher priority waiting for more than a second that another gateway was told of', async () => {
    const world = new World(HALVES);
    const [one] = world.gateways;
    for (let n = 0; n < 100; n += 1) world.append(null, candidate(n).targetId, candidate(n));
    world.project();
    await one?.claim(5, 1000);
    world.append(null, '0-urgent', { ...candidate(0, 900, 10), targetId: '0-urgent' });
    world.project();
    world.now += 1001;
    expect((await one?.claim(1, 1000))?.[0]).toBe('0-urgent');
  });

  it('lets nobody be dialed twice, and nobody wait for ever, whatever comes in between', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('claim' as const), by: fc.nat(1), limit: fc.integer({ min: 1, max: 7 }) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const), by: fc.option(fc.nat(1)), n: fc.nat(60), due: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('project' as const), events: fc.nat(8) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), milliseconds: fc.constantFrom(50, 200, 1500) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('reshare' as const), to: fc.constantFrom(HALVES, [HALVES[1], HALVES[0]], [DIGITS, '']) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), async (steps, rows) => {
        const world = new World(HALVES, rows);
        const leased = new Set<string>();
        for (const each of steps) {
          switch (each.kind) {
            case 'claim':
              for (const id of (await world.gateways[each.by]?.claim(each.limit, 10)) ?? []) {
                expect(leased.has(id)).toBe(false);
                leased.add(id);
              }
              break;
            case 'add': {
              const added = candidate(each.n, each.due, each.n % 3);
              leased.delete(added.targetId);
              world.append(each.by === null ? null : (world.gateways[each.by] ?? null), added.targetId, added);
              break;
            }
            case 'project':
              world.project(each.events);
              break;
            case 'wait':
              world.now += each.milliseconds;
              break;
            case 'reshare':
              world.gateways.forEach((gateway, n) => {
                gateway.own = each.to[n] ?? '';
                gateway.hopper.reopen();
              });
          }
        }
        world.project();
        world.now += 2000;
        // One gateway alone comes to everything that is due, its own share and the other's.
        for (let left = 100; left > 0; left -= 1) {
          world.now += 200;
          if ((await world.gateways[0]?.claim(50, 10))?.length === 0) break;
          world.project();
        }
        expect([...world.truth.values()].filter(({ due }) => due <= 10)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('loses few of its appends to another gateway that dials as fast', async () => {
    const world = new World(HALVES);
    for (let n = 0; n < 20_000; n += 1) world.append(null, candidate(n).targetId, candidate(n));
    world.project();
    for (let dialed = 0; dialed < 20_000;) {
      const before = dialed;
      for (const gateway of world.gateways) dialed += (await gateway.claim(100, 100_000)).length;
      world.now += 5;
      if (world.now % 40 === 0) world.project();
      if (dialed === before) world.project();
    }
    const [won, lost] = [world.gateways.reduce((sum, one) => sum + one.won, 0), world.gateways.reduce((sum, one) => sum + one.lost, 0)];
    expect(won).toBe(20_000);
    expect(lost / (won + lost)).toBeLessThan(0.05);
  });
});
