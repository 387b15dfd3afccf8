import type { Micros } from '#dialing';
import { START } from '#event-store';
import type { Position } from '#event-store';
import type { Candidate, Hopper, OutdialHopper } from './hopper';

/**
 * A hopper of an outdial that several gateways dial. All of them would read the same head of the same list and lose to each other, so each takes its share first, the
 * targets whose ids begin with its own digits, in the order of dialing; what others append to it shows when the read model is read again. When there is nothing
 * left of its share it helps the others out, from the far end of what is due, where they come last (docs/adr/0015-several-gateways.md).
 */
export interface SharedHopperSource {
  /** Whether a target is of this gateway's share now. */
  isOwn(targetId: string): boolean;
  /** Idle targets of the other shares that are due by `now`, highest priority first, and of one priority those that became due last. */
  othersDue(limit: number, now: Micros): Promise<readonly Candidate[]>;
  /** The earliest due time of the outdial's idle targets, whosever they are, as the read model shows it. */
  earliestDue(): Promise<Micros | null>;
  /** Resolves when the read model shows an event of this process, or after a moment: whether it does. */
  shown(position: Position): Promise<boolean>;
  /** Milliseconds of a clock that only goes forward. */
  monotonic(): number;
}

/** What is read again at each claim is no older than this: how long a call-back that another gateway was told of may wait behind others. */
const FRESH_MILLIS = 1000;
/** Dialers that find nothing ask again at once, many of them: the read model is asked for them all, and not more often than this. */
const AGAIN_MILLIS = 100;

export class SharedHopper implements Hopper {
  /** Targets of other shares: appended by this process and not shown by the read model yet, or being claimed. */
  private readonly recent = new Map<string, Position>();
  private readonly taken = new Set<string>();
  /** Of what is being claimed and was not appended by this process yet: its due time. */
  private readonly open = new Map<string, Micros>();
  /** What another gateway was faster with, and when that was noticed: the read model may show it as it was for a while. */
  private readonly lost = new Map<string, number>();
  private lastAppended: Position = START;
  /** The last append of this process that left a target of another share to be dialed, and the one up to which they have been looked for in the read model. */
  private lastOffered: Position = START;
  private lookedFor: Position = START;
  private openedAt = -Infinity;
  private othersEmptyAt = -Infinity;
  private reopening: Promise<void> | null = null;

  constructor(
    private readonly own: OutdialHopper,
    private readonly source: SharedHopperSource,
  ) {}

  get forgettable(): boolean {
    return this.own.forgettable && this.recent.size === 0 && this.taken.size === 0 && this.reopening === null;
  }

  committed(targetId: string, candidate: Candidate | null, position: Position, passing = false): void {
    if (position > this.lastAppended) this.lastAppended = position;
    this.open.delete(targetId);
    this.lost.delete(targetId);
    if (this.source.isOwn(targetId)) this.own.committed(targetId, candidate, position, passing);
    else {
      // What is new cannot be shown as something else.
      if (!passing) this.recent.set(targetId, position);
      if (candidate !== null && position > this.lastOffered) this.lastOffered = position;
    }
  }

  caughtUpTo(position: Position): void {
    this.own.caughtUpTo(position);
    for (const [targetId, appended] of this.recent) if (appended <= position) this.recent.delete(targetId);
  }

  async take(limit: number, now: Micros): Promise<readonly Candidate[]> {
    if (this.source.monotonic() - this.openedAt > FRESH_MILLIS) this.reopen();
    let picked = await this.takeOwn(limit, now);
    if (picked.length < limit && (await this.lookAgain())) picked = [...picked, ...(await this.takeOwn(limit - picked.length, now))];
    if (picked.length === 0) picked = await this.takeOthers(limit, now);
    for (const { targetId, due } of picked) this.open.set(targetId, due);
    return picked;
  }

  settle(targetId: string, candidate: Candidate | null): void {
    const due = this.open.get(targetId);
    this.open.delete(targetId);
    if (due !== undefined && (candidate === null || candidate.due > due)) this.lost.set(targetId, this.source.monotonic());
    if (!this.taken.delete(targetId)) this.own.settle(targetId, candidate);
  }

  async nextDue(): Promise<Micros | null> {
    const [own, any] = [await this.own.nextDue(), await this.source.earliestDue()];
    return own === null || any === null ? (own ?? any) : Math.min(own, any);
  }

  /** Reads on from the beginning: for the share has changed, or others may have changed what is in it. */
  reopen(): void {
    this.openedAt = this.source.monotonic();
    for (const targetId of [...this.lost.keys()]) this.wasLost(targetId);
    this.own.reopen();
  }

  /** Before fewer than asked for are handed out: what this process itself wrote must be shown by then. False when that was looked at just now. */
  private async lookAgain(): Promise<boolean> {
    const offered = this.lastOffered;
    if (this.reopening !== null) {
      await this.reopening;
      if (this.lookedFor >= offered) return true;
    } else if (this.lookedFor >= offered && this.source.monotonic() - this.openedAt < AGAIN_MILLIS) return false;
    await (this.reopening ??= this.reopenShown().finally(() => {
      this.reopening = null;
    }));
    return true;
  }

  private async reopenShown(): Promise<void> {
    const offered = this.lastOffered;
    const shown = this.lastAppended === START || (await this.source.shown(this.lastAppended));
    if (shown && offered > this.lookedFor) {
      this.lookedFor = offered;
      this.othersEmptyAt = -Infinity;
    }
    this.reopen();
  }

  private async takeOwn(limit: number, now: Micros): Promise<readonly Candidate[]> {
    const taken = await this.own.take(limit, now);
    const stale = taken.filter(({ targetId }) => this.wasLost(targetId));
    for (const { targetId } of stale) this.own.settle(targetId, null);
    return stale.length === 0 ? taken : taken.filter((candidate) => !stale.includes(candidate));
  }

  private wasLost(targetId: string): boolean {
    const noticed = this.lost.get(targetId);
    if (noticed === undefined) return false;
    if (this.source.monotonic() - noticed <= FRESH_MILLIS) return true;
    this.lost.delete(targetId);
    return false;
  }

  private async takeOthers(limit: number, now: Micros): Promise<readonly Candidate[]> {
    if (this.source.monotonic() - this.othersEmptyAt < AGAIN_MILLIS) return [];
    const due = await this.source.othersDue(limit, now);
    const free = due.filter(({ targetId }) => !this.taken.has(targetId) && !this.recent.has(targetId) && !this.wasLost(targetId));
    for (const { targetId } of free) this.taken.add(targetId);
    if (free.length === 0) this.othersEmptyAt = this.source.monotonic();
    return free;
  }
}
