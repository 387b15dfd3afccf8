import type { Micros } from '#dialing';
import { MortalHeap } from './binary-heap';

export interface OpenLease {
  readonly expires: Micros;
  readonly customerId: string;
  readonly outdialId: string;
  readonly targetId: string;
  readonly attemptId: string;
}

/**
 * Open leases by the time they expire, one a target at most. A lease that ends before its time leaves at once: nearly all do, and a dialer that ends a thousand a
 * second would have ninety thousand of them looked up, one stream each, only to find that they have ended.
 */
export class LeaseQueue {
  private readonly open = new Map<string, OpenLease>();
  private readonly byExpiry = new MortalHeap<OpenLease>(
    (a, b) => a.expires - b.expires,
    (lease) => this.open.get(lease.targetId) === lease,
  );

  /** What is held for them: more than their number, for a lease that has ended goes with the next sweep. */
  get entries(): number {
    return this.byExpiry.size;
  }

  has(targetId: string): boolean {
    return this.open.has(targetId);
  }

  /** The target's lease from now on, in place of an earlier one or of the same before it was extended. */
  add(lease: OpenLease): void {
    this.open.set(lease.targetId, lease);
    this.byExpiry.push(lease);
  }

  /** The target is not leased any more. */
  remove(targetId: string): void {
    this.open.delete(targetId);
  }

  /** Up to `most` leases that expire at or before `upTo`, earliest first; they are out of the queue then. */
  take(upTo: Micros, most: number): readonly OpenLease[] {
    const due: OpenLease[] = [];
    for (let next = this.byExpiry.peek(); next && next.expires <= upTo && due.length < most; next = this.byExpiry.peek()) {
      this.byExpiry.pop();
      this.open.delete(next.targetId);
      due.push(next);
    }
    return due;
  }
}
