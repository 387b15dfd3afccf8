import type { Micros } from '#dialing';
import type { Position } from '#event-store';

/** How long ago the oldest append of this process was that the read models have not folded. */
export class Lag {
  private pending: { readonly position: Position; readonly since: Micros }[] = [];

  constructor(private readonly now: () => Micros) {}

  /** Something is to be folded still. */
  get any(): boolean {
    return this.pending.length > 0;
  }

  appended(position: Position): void {
    const now = this.now();
    const newest = this.pending.at(-1);
    // One note a tenth of a second is enough to say how late it is.
    if (!newest || now - newest.since > 100_000) this.pending.push({ position, since: now });
  }

  caughtUpTo(position: Position): void {
    const behind = this.pending.findIndex((one) => one.position > position);
    this.pending = behind < 0 ? [] : this.pending.slice(behind);
  }

  micros(): Micros {
    const oldest = this.pending[0];
    return oldest ? this.now() - oldest.since : 0;
  }
}
