/**
 * A set of ids that are as good as random (HMACs), by 64 bits of each: 16 to 32 bytes an id, where a set of strings would take a hundred. Among a million
 * ids two are taken for one with a probability of about 10⁻⁷.
 */
export class FingerprintSet {
  /** Open addressing with two words a slot; a slot of zeros is free. */
  private slots = new Uint32Array(2 * 1024);
  private size = 0;

  has(id: string): boolean {
    const [high, low] = fingerprint(id);
    return this.slots[this.slotOf(high, low)] !== 0;
  }

  add(id: string): void {
    if (this.size * 4 > this.slots.length) this.grow();
    this.put(...fingerprint(id));
  }

  private put(high: number, low: number): void {
    const slot = this.slotOf(high, low);
    if (this.slots[slot] !== 0) return;
    this.slots[slot] = high;
    this.slots[slot + 1] = low;
    this.size += 1;
  }

  /** Where it is, or the free slot where it would be. */
  private slotOf(high: number, low: number): number {
    const mask = this.slots.length / 2 - 1;
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const slot = 2 * at;
      if (this.slots[slot] === 0 || (this.slots[slot] === high && this.slots[slot + 1] === low)) return slot;
    }
  }

  private grow(): void {
    const before = this.slots;
    this.slots = new Uint32Array(before.length * 2);
    this.size = 0;
    for (let slot = 0; slot < before.length; slot += 2) {
      const [high = 0, low = 0] = [before[slot], before[slot + 1]];
      if (high !== 0) this.put(high, low);
    }
  }
}

/** The first and the last eight hexadecimal digits of a UUID; the first never 0, which marks what is free. */
const fingerprint = (id: string): readonly [high: number, low: number] => [
  Number.parseInt(id.slice(0, 8), 16) || 1,
  Number.parseInt(id.slice(-8), 16),
];
