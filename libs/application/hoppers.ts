import { LRUCache } from 'lru-cache';
import type { Micros, Target } from '#dialing';
import { callableWindow, highestPriority, lastDue, nextDue } from '#read-models';
import type { ReadStore } from '#read-models';
import type { Position } from '#event-store';
import { OutdialHopper } from './hopper';
import type { ProjectionProgress } from './engine';
import type { Candidate, Hopper } from './hopper';
import { DIGITS } from './presence';
import { SharedHopper } from './shared-hopper';
import { TARGET } from './streams';
import type { Committed, Known } from './streams';

/** A claim that comes up short waits so long for this process's own writes to be shown. */
const SHOWN_MILLIS = 250;
/** Outdials whose hoppers are kept warm beyond those that have news the read model lacks. */
const WARM = 1000;

/** How a gateway shares outdials with others. */
export interface Sharing {
  /** First digits of the ids of the targets that are its own (presence.ts). */
  own(): string;
  monotonic(): number;
}

/** The hoppers of all outdials, fed with what this process appends and with how far the read model is. */
export class Hoppers {
  /** Every outdial with news that the read model may lack has its hopper, used or not: the news is what corrects the first window. */
  private readonly withNews = new Map<string, Hopper>();
  private readonly warm = new LRUCache<string, Hopper>({ max: WARM });

  /** `sharing` null: this process alone hands out leases. */
  constructor(
    private readonly reads: ReadStore,
    private readonly projections: ProjectionProgress,
    private readonly sharing: Sharing | null = null,
  ) {}

  of(outdialId: string): Hopper {
    const hopper = this.warm.get(outdialId) ?? this.withNews.get(outdialId) ?? this.make(outdialId);
    this.warm.set(outdialId, hopper);
    return hopper;
  }

  committed(committed: readonly Committed[]): void {
    for (const { kind, known, position, passing } of committed) {
      if (kind !== TARGET) continue;
      // TARGET streams fold to targets; the list of committed streams is of mixed kinds.
      const target = known as Known<Target>;
      if (!target.state) continue;
      const { outdialId, id } = target.state;
      let hopper = this.withNews.get(outdialId);
      if (!hopper) {
        hopper = this.warm.peek(outdialId) ?? this.make(outdialId);
        this.withNews.set(outdialId, hopper);
      }
      hopper.committed(id, candidateOf(target, !passing), position, passing && target.head.revision === 0);
    }
  }

  caughtUpTo(position: Position): void {
    for (const [outdialId, hopper] of this.withNews) {
      hopper.caughtUpTo(position);
      if (hopper.forgettable) this.withNews.delete(outdialId);
    }
  }

  /** The shares have changed: everything is read again. */
  reshare(): void {
    for (const hopper of new Set([...this.withNews.values(), ...this.warm.values()])) if (hopper instanceof SharedHopper) hopper.reopen();
  }

  private make(outdialId: string): Hopper {
    const { reads, projections, sharing } = this;
    const shown = (position: Position): Promise<boolean> => projections.reached(position, SHOWN_MILLIS);
    const own = new OutdialHopper({
      highestPriority: (below) => highestPriority(reads, { outdialId, ...(below === null ? {} : { below }) }),
      window: async (priority, after, limit) => {
        const share = sharing === null ? {} : { idStartsWith: sharing.own() };
        const { targets, position } = await callableWindow(reads, {
          outdialId,
          priority,
          limit,
          ...(after ? { after: { due: after.due, id: after.targetId } } : {}),
          ...share,
        });
        return { candidates: candidatesOf(targets), more: targets.length === limit, position };
      },
      shown,
    });
    if (sharing === null) return own;
    const isOwn = (targetId: string): boolean => sharing.own().includes(targetId.charAt(0));
    return new SharedHopper(own, {
      isOwn,
      othersDue: async (limit, now) => candidatesOf(await this.othersDue(outdialId, sharing.own(), limit, now)),
      earliestDue: () => nextDue(reads, { outdialId, after: Number.MIN_SAFE_INTEGER }),
      shown,
      monotonic: () => sharing.monotonic(),
    });
  }

  private async othersDue(outdialId: string, own: string, limit: number, now: Micros): Promise<readonly Known<Target>[]> {
    const others = DIGITS.filter((digit) => !own.includes(digit)).join('');
    const found: Known<Target>[] = [];
    if (others === '') return found;
    for (let below: number | null = null; found.length < limit;) {
      const priority: number | null = await highestPriority(this.reads, { outdialId, ...(below === null ? {} : { below }) });
      if (priority === null) break;
      found.push(...(await lastDue(this.reads, { outdialId, priority, upTo: now, idStartsWith: others, limit: limit - found.length })));
      below = priority;
    }
    return found;
  }
}

const candidatesOf = (targets: readonly Known<Target>[]): readonly Candidate[] => targets.flatMap((target) => candidateOf(target) ?? []);

/** What a hopper keeps of a target that may be dialed now or later, its state too unless it is one of too many; null for one that may not. */
export function candidateOf(known: Known<Target>, withState = true): Candidate | null {
  const target = known.state;
  if (target?.status !== 'idle' || target.due === null || target.tmDelete !== null) return null;
  return { targetId: target.id, priority: target.priority, due: target.due, known: withState ? known : null };
}
