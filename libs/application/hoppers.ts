import { LRUCache } from 'lru-cache';
import type { Target } from '#dialing';
import { callableWindow, highestPriority } from '#read-models';
import type { ReadStore } from '#read-models';
import type { Position } from '#event-store';
import { OutdialHopper } from './hopper';
import type { Candidate } from './hopper';
import { TARGET } from './streams';
import type { Committed, Known } from './streams';

/** Outdials whose hoppers are kept warm beyond those that have news the read model lacks. */
const WARM = 1000;

/** The hoppers of all outdials, fed with what this process appends and with how far the read model is. */
export class Hoppers {
  /** Every outdial with news that the read model may lack has its hopper, used or not: the news is what corrects the first window. */
  private readonly withNews = new Map<string, OutdialHopper>();
  private readonly warm = new LRUCache<string, OutdialHopper>({ max: WARM });

  constructor(private readonly reads: ReadStore) {}

  of(outdialId: string): OutdialHopper {
    const hopper = this.warm.get(outdialId) ?? this.withNews.get(outdialId) ?? this.make(outdialId);
    this.warm.set(outdialId, hopper);
    return hopper;
  }

  committed(committed: readonly Committed[]): void {
    for (const { kind, known, position } of committed) {
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
      hopper.committed(id, candidateOf(target), position);
    }
  }

  caughtUpTo(position: Position): void {
    for (const [outdialId, hopper] of this.withNews) {
      hopper.caughtUpTo(position);
      if (hopper.forgettable) this.withNews.delete(outdialId);
    }
  }

  private make(outdialId: string): OutdialHopper {
    return new OutdialHopper({
      highestPriority: (below) => highestPriority(this.reads, { outdialId, ...(below === null ? {} : { below }) }),
      window: async (priority, after, limit) => {
        const { targets, position } = await callableWindow(this.reads, { outdialId, priority, limit, ...(after ? { after } : {}) });
        const candidates = targets.flatMap((document) => candidateOf(document) ?? []);
        return { candidates, more: targets.length === limit, position };
      },
    });
  }
}

/** What a hopper keeps of a target that may be dialed now or later; null for one that may not. */
export function candidateOf(known: Known<Target>): Candidate | null {
  const target = known.state;
  if (target?.status !== 'idle' || target.due === null || target.tmDelete !== null) return null;
  return { targetId: target.id, priority: target.priority, due: target.due, known };
}
