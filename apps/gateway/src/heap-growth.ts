import { setFlagsFromString } from 'node:v8';

/**
 * By how much of what lives in it a heap may grow before it is collected, in percent. V8 would wait for longer, four heaps in one process, and garbage is memory all the same: a dial
 * cycle holds 90 MB less, at the same speed. Collecting sooner still costs a dial cycle a tenth of its speed, an import half as much, which a large one is worth: it takes long, and nobody should
 * notice it (docs/adr/0017-what-a-dial-cycle-costs.md).
 */
const GROWTH = { usual: 150, importing: 100 };

/** V8 reads this at each collection, in each thread of the process. */
function letGrow(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}

/** Before anything else is loaded. */
export function keepHeapsSmall(): void {
  letGrow(GROWTH.usual);
}

/** Rows from which on an import is a large one: before, there is less to collect than it costs. */
const LARGE = 100_000;
let large = 0;

/** The heaps while a list is imported: smaller when it is a large one, the usual again when the last of those has ended. */
export class ImportHeaps {
  private rows = 0;
  private isLarge = false;

  took(rows: number): void {
    this.rows += rows;
    if (this.isLarge || this.rows <= LARGE) return;
    this.isLarge = true;
    large += 1;
    if (large === 1) letGrow(GROWTH.importing);
  }

  end(): void {
    if (!this.isLarge) return;
    this.isLarge = false;
    large -= 1;
    if (large === 0) letGrow(GROWTH.usual);
  }
}
