/** A binary heap: the smallest item first, as `compare` has it. */
export class BinaryHeap<T> {
  private items: T[] = [];

  constructor(private readonly compare: (a: T, b: T) => number) {}

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    const items = this.items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || this.compare(parent, item) <= 0) break;
      items[at] = parent;
      at = above;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = items[child];
      if (left === undefined) break;
      let smaller = left;
      const right = items[child + 1];
      if (right !== undefined && this.compare(right, left) < 0) {
        smaller = right;
        child += 1;
      }
      if (this.compare(smaller, last) >= 0) break;
      items[at] = smaller;
      at = child;
    }
    items[at] = last;
    return top;
  }

  /** Keeps what `keep` says, in order; answers it. */
  retain(keep: (item: T) => boolean): readonly T[] {
    // A sorted array is a heap.
    this.items = this.items.filter(keep).sort(this.compare);
    return this.items;
  }

  clear(): void {
    this.items = [];
  }
}

/** Fewer dead items than this are not worth looking for. */
const SWEEP = 1024;

/** A heap whose items die in its middle: the dead are dropped when they come up, or when there are as many of them as of the living. */
export class MortalHeap<T> {
  private readonly heap: BinaryHeap<T>;
  private sweepAt = SWEEP;

  constructor(
    compare: (a: T, b: T) => number,
    private readonly isAlive: (item: T) => boolean,
  ) {
    this.heap = new BinaryHeap(compare);
  }

  /** The dead that are still in it included. */
  get size(): number {
    return this.heap.size;
  }

  /** Everything alive, in order; the heap is empty afterwards. */
  drain(): readonly T[] {
    const items = this.heap.retain(this.isAlive);
    this.heap.clear();
    return items;
  }

  peek(): T | undefined {
    for (let first = this.heap.peek(); first !== undefined && !this.isAlive(first); first = this.heap.peek()) this.heap.pop();
    return this.heap.peek();
  }

  pop(): T | undefined {
    this.peek();
    return this.heap.pop();
  }

  push(item: T): void {
    // Without this a heap of the dead would grow with every import, and with every report.
    if (this.heap.size >= this.sweepAt) this.sweepAt = Math.max(SWEEP, 2 * this.heap.retain(this.isAlive).length);
    this.heap.push(item);
  }
}
