import type { Micros } from '#dialing';
import { BinaryHeap } from './binary-heap';

export interface OpenLease {
  readonly expires: Micros;
  readonly customerId: string;
  readonly outdialId: string;
  readonly targetId: string;
  readonly attemptId: string;
}

/**
 * Open leases by the time they expire. Leases that were reported meanwhile stay in it until their time: they are then found to have ended. An extended one is
 * in it twice, and the earlier entry finds that nothing is due.
 */
export class LeaseQueue {
  private readonly heap = new BinaryHeap<OpenLease>((a, b) => a.expires - b.expires);

  add(lease: OpenLease): void {
    this.heap.push(lease);
  }

  /** Up to `most` leases that expire at or before `upTo`, earliest first; they are out of the queue then. */
  take(upTo: Micros, most: number): readonly OpenLease[] {
    const due: OpenLease[] = [];
    for (let next = this.heap.peek(); next && next.expires <= upTo && due.length < most; next = this.heap.peek()) {
      this.heap.pop();
      due.push(next);
    }
    return due;
  }
}
