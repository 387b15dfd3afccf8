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
