import type { Micros, Target } from '#dialing';
import type { Position } from '#event-store';
import { MortalHeap } from './binary-heap';
import type { Known } from './streams';

/**
 * The hopper: the pre-selected buffer that claims are served from. One an outdial. It holds, for each priority, the next targets by due time — those
 * not due yet too, so that time passing needs no new query — read from the read model in windows, and corrected at once by what this process appends,
 * which the read model learns a moment later. It only makes claims cheap and losing rare: the append decides (architecture.md, rule 3).
 */
export interface Candidate {
  readonly targetId: string;
  readonly priority: number;
  readonly due: Micros;
  readonly known: Known<Target> | null;
}

export interface Window {
  readonly candidates: readonly Candidate[];
  /** Whether there may be more behind the last one. */
  readonly more: boolean;
  /** What the answer reflects. */
  readonly position: Position;
}

/** What claims are served from: an outdial's own (OutdialHopper), or one that shares the outdial with other gateways (SharedHopper). */
export interface Hopper {
  /** Nothing here that the read model does not know: may be forgotten and made anew. */
  readonly forgettable: boolean;
  /**
   * An event of a target was appended by this process: what the target is now, or null where it cannot be dialed. `passing`: the target is new, and one of too many to
   * remember each.
   */
  committed(targetId: string, candidate: Candidate | null, position: Position, passing?: boolean): void;
  /** The read model has folded everything up to `position`. */
  caughtUpTo(position: Position): void;
  /**
   * Takes up to `limit` candidates that are due, highest priority first, then by due time. Nobody else of this process is given them until they are settled.
   * Fewer than `limit`: nothing more is due, as far as this process knows.
   */
  take(limit: number, now: Micros): Promise<readonly Candidate[]>;
  /** The fate of a candidate that was taken: what it is now, or null where it cannot be dialed. Whoever takes must settle. */
  settle(targetId: string, candidate: Candidate | null): void;
  /** When the next target is due, past or future; null when none is idle. */
  nextDue(): Promise<Micros | null>;
}

/** What the hopper asks of the read model. */
export interface HopperSource {
  /** Idle targets of one priority in (due, id) order, strictly after a key, and the position the answer reflects. */
  window(priority: number, after: Key | null, limit: number): Promise<Window>;
  /** The highest priority that has an idle target, below `below` when given. */
  highestPriority(below: number | null): Promise<number | null>;
  /** Resolves when the read model shows an event of this process, or after a moment: whether it does. */
  shown(position: Position): Promise<boolean>;
}

export interface Key {
  readonly due: Micros;
  readonly targetId: string;
}

/** Rows a window: enough for a few claims, few enough to be parsed between two requests. */
const WINDOW = 500;
/** Windows' worth of entries that a level keeps before it goes back to reading windows: a million retries due tomorrow belong on disk. */
const MOST_WINDOWS = 10;

const compare = (a: Key, b: Key): number => a.due - b.due || (a.targetId < b.targetId ? -1 : a.targetId > b.targetId ? 1 : 0);

/** A candidate in its place. One object, for there are thousands of them. */
interface Entry extends Candidate {
  /** Overtaken by a newer event of its target; skipped when met. */
  dead: boolean;
  /** Behind its level's bound: kept only until the read model shows it. */
  beyond: boolean;
}

/** Some new targets of one priority that the read model does not show yet and that are remembered together: the earliest due time of them, the latest position. */
interface Passed {
  due: Micros;
  position: Position;
  targets: number;
}
/** As many as are remembered together. */
const TOGETHER = 500;

/** One priority: everything idle up to `bound` is in `queue`; what this process made idle beyond it waits in `beyond` until the window gets there. */
interface Level {
  readonly priority: number;
  readonly queue: MortalHeap<Entry>;
  readonly beyond: Set<Entry>;
  /** null: nothing read yet. */
  bound: Key | null;
  /** The read model had no more rows: the queue is complete at any key. */
  complete: boolean;
  refilling: Promise<boolean> | null;
}

export class OutdialHopper implements Hopper {
  private levels: Level[] = [];
  private readonly queued = new Map<string, Entry>();
  /** Targets whose newest event the read model may not show yet, in the order of those; its rows about them are not believed. */
  private readonly recent = new Map<string, Position>();
  /** By priority, new targets behind its bound: no window that is older than they are moves the bound over them. */
  private readonly passed = new Map<number, Passed[]>();
  private readonly taken = new Set<string>();
  private refills = 0;
  private projected: Position = '';
  private opening: Promise<void> | null = null;
  private opened = false;

  constructor(
    private readonly source: HopperSource,
    private readonly rows = WINDOW,
  ) {}

  get forgettable(): boolean {
    return this.recent.size === 0 && this.passed.size === 0 && this.taken.size === 0 && this.refills === 0 && this.opening === null;
  }

  committed(targetId: string, candidate: Candidate | null, position: Position, passing = false): void {
    if (passing && candidate && !within(this.level(candidate.priority), candidate)) {
      this.pass(candidate, position);
      return;
    }
    // Else it would keep the place that its earlier event gave it.
    this.recent.delete(targetId);
    this.recent.set(targetId, position);
    this.place(targetId, candidate);
  }

  caughtUpTo(position: Position): void {
    if (position > this.projected) this.projected = position;
    // A window that is being read may be older than this: until it is merged, what happened since must be remembered.
    if (this.refills > 0) return;
    for (const [targetId, at] of this.recent) {
      if (at > this.projected) break;
      this.recent.delete(targetId);
      const queued = this.queued.get(targetId);
      if (queued?.beyond) this.drop(queued);
    }
    for (const [priority, passed] of this.passed) {
      const unshown = passed.filter((one) => one.position > this.projected);
      if (unshown.length === 0) this.passed.delete(priority);
      else this.passed.set(priority, unshown);
    }
  }

  async take(limit: number, now: Micros): Promise<readonly Candidate[]> {
    await this.open();
    const picked: Candidate[] = [];
    // By index, since another claim may add a level while this one waits for a window; anew, when it has had all of them read again.
    let levels = this.levels;
    for (let at = 0; picked.length < limit;) {
      if (levels !== this.levels) {
        await this.open();
        [levels, at] = [this.levels, 0];
      }
      const level = levels[at];
      if (!level) break;
      const next = level.queue.peek();
      if (!next) {
        if (level.complete || !(await this.refill(level))) at += 1;
      } else if (next.due > now) {
        at += 1;
      } else {
        level.queue.pop();
        this.queued.delete(next.targetId);
        this.taken.add(next.targetId);
        picked.push(next);
      }
    }
    return picked;
  }

  settle(targetId: string, candidate: Candidate | null): void {
    if (this.taken.delete(targetId)) this.place(targetId, candidate);
  }

  async nextDue(): Promise<Micros | null> {
    await this.open();
    let earliest: Micros | null = null;
    for (const level of this.levels) {
      while (!level.queue.peek() && !level.complete) if (!(await this.refill(level))) break;
      const due = level.queue.peek()?.due ?? (level.complete ? undefined : earliestOf(this.passed.get(level.priority) ?? []));
      if (due !== undefined && (earliest === null || due < earliest)) earliest = due;
    }
    return earliest;
  }

  /**
   * Forgets what it has read of the read model, to read it again: others may have changed it. What this process appended, and the read model does not
   * show yet, stays.
   */
  reopen(): void {
    const entries = this.levels.flatMap(({ queue, beyond }) => [...queue.drain(), ...beyond]);
    // A window that is under way belongs to a level that is gone, and is dropped when it arrives.
    this.levels = [];
    this.opened = false;
    for (const entry of entries) {
      if (this.recent.has(entry.targetId)) this.put(this.level(entry.priority), entry);
      else this.drop(entry);
    }
    for (const priority of this.passed.keys()) this.level(priority);
  }

  private pass({ priority, due }: Candidate, position: Position): void {
    const passed = this.passed.get(priority) ?? [];
    const last = passed.at(-1);
    if (last !== undefined && last.targets < TOGETHER) {
      last.due = Math.min(last.due, due);
      // Appends that were made at once may be told in another order.
      if (position > last.position) last.position = position;
      last.targets += 1;
      return;
    }
    passed.push({ due, position, targets: 1 });
    this.passed.set(priority, passed);
  }

  private place(targetId: string, candidate: Candidate | null): void {
    const before = this.queued.get(targetId);
    if (before) this.drop(before);
    // Settling places what was taken.
    if (!candidate || this.taken.has(targetId)) return;
    const level = this.level(candidate.priority);
    const entry = entryOf(candidate);
    this.queued.set(targetId, entry);
    this.put(level, entry);
    if (level.queue.size > MOST_WINDOWS * this.rows) this.shorten(level);
  }

  private put(level: Level, entry: Entry): void {
    entry.beyond = !within(level, entry);
    if (entry.beyond) level.beyond.add(entry);
    else level.queue.push(entry);
  }

  private drop(entry: Entry): void {
    entry.dead = true;
    this.queued.delete(entry.targetId);
    if (entry.beyond) this.levels.find(({ priority }) => priority === entry.priority)?.beyond.delete(entry);
  }

  /** Keeps the first half of a queue that has grown long and goes back to reading windows behind it. */
  private shorten(level: Level): void {
    const entries = level.queue.drain();
    const kept = entries.slice(0, Math.ceil((MOST_WINDOWS * this.rows) / 2));
    const last = kept[kept.length - 1];
    if (!last) return;
    level.complete = false;
    level.bound = { due: last.due, targetId: last.targetId };
    for (const entry of entries) {
      // What the read model shows already will be read again; the rest only this process knows.
      if (within(level, entry) || this.recent.has(entry.targetId)) this.put(level, entry);
      else this.drop(entry);
    }
  }

  private level(priority: number): Level {
    const at = this.levels.findIndex((level) => level.priority <= priority);
    const found = at < 0 ? undefined : this.levels[at];
    if (found?.priority === priority) return found;
    const made: Level = { priority, queue: newHeap(), beyond: new Set(), bound: null, complete: false, refilling: null };
    this.levels.splice(at < 0 ? this.levels.length : at, 0, made);
    return made;
  }

  /** Learns which priorities there are: one seek each. Later ones arrive with the events that make them. */
  private async open(): Promise<void> {
    if (this.opened) return;
    this.opening ??= (async (): Promise<void> => {
      let below: number | null = null;
      for (;;) {
        const priority: number | null = await this.source.highestPriority(below);
        if (priority === null) break;
        this.level(priority);
        below = priority;
      }
      this.opened = true;
    })().finally(() => {
      this.opening = null;
    });
    await this.opening;
  }

  /** False when nothing came of it, for the read model is behind. */
  private async refill(level: Level): Promise<boolean> {
    level.refilling ??= this.readOn(level).finally(() => {
      level.refilling = null;
    });
    return level.refilling;
  }

  private async readOn(level: Level): Promise<boolean> {
    for (;;) {
      const { bound } = level;
      const lacks = await this.readWindow(level);
      if (lacks === null || level.bound !== bound || level.queue.peek()) return true;
      if (!(await this.source.shown(lacks))) return false;
    }
  }

  /** Answers what the read model has to show before it can be read on; null when it shows all that is there. */
  private async readWindow(level: Level): Promise<Position | null> {
    this.refills += 1;
    try {
      const { candidates, more, position } = await this.source.window(level.priority, level.bound, this.rows);
      if (!this.levels.includes(level)) {
        // Whoever waits for this level has nothing to wait for any more.
        level.complete = true;
        return null;
      }
      const lacks = (this.passed.get(level.priority) ?? []).filter((passed) => passed.position > position);
      moveBound(level, more ? (candidates.at(-1) ?? null) : null, lacks);
      for (const candidate of candidates) {
        if (!within(level, candidate)) break;
        const newest = this.recent.get(candidate.targetId);
        const overtaken = newest !== undefined && newest > position;
        if (overtaken || this.taken.has(candidate.targetId) || this.queued.has(candidate.targetId)) continue;
        const entry = entryOf(candidate);
        this.queued.set(entry.targetId, entry);
        level.queue.push(entry);
      }
      for (const entry of level.beyond) {
        if (!within(level, entry)) continue;
        level.beyond.delete(entry);
        this.put(level, entry);
      }
      return lacks[0]?.position ?? null;
    } finally {
      this.refills -= 1;
      this.caughtUpTo(this.projected);
    }
  }
}

const within = (level: Level, key: Key): boolean => level.complete || (level.bound !== null && compare(key, level.bound) <= 0);

/** To the last row of a window (null: there are no more), but not over what the window lacks, nor back. */
function moveBound(level: Level, last: Key | null, lacks: readonly Passed[]): void {
  const due = earliestOf(lacks);
  // Before everything that is due then.
  const limit = due === undefined ? null : { due, targetId: '' };
  const to = limit !== null && (last === null || compare(limit, last) < 0) ? limit : last;
  if (to === null) level.complete = true;
  else if (level.bound === null || compare(to, level.bound) > 0) level.bound = { due: to.due, targetId: to.targetId };
}

const earliestOf = (passed: readonly Passed[]): Micros | undefined =>
  passed.reduce<Micros | undefined>((least, { due }) => (least === undefined || due < least ? due : least), undefined);

const entryOf = ({ targetId, priority, due, known }: Candidate): Entry => ({ targetId, priority, due, known, dead: false, beyond: false });

const newHeap = (): MortalHeap<Entry> => new MortalHeap<Entry>(compare, (entry) => !entry.dead);
