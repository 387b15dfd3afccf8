/**
 * A reading of whole streams that several threads make together: each goes through the same batches in the same order, and reads those that it takes. What each needs to know
 * of the others is three numbers in memory that they share; plain data, so that it can be handed to a thread.
 */
export interface Share {
  /** How many threads read. */
  readonly of: number;
  /** `TAKEN`, `BROUGHT`, `ENDED`. */
  readonly counts: BigInt64Array<SharedArrayBuffer>;
}

/** Numbers that somebody has taken; each stands for a few batches. */
const TAKEN = 0;
/** Events that the streams of all batches have brought. */
const BROUGHT = 1;
/** Threads that have read all that they took. */
const ENDED = 2;

export function newShare(of: number): Share {
  return { of, counts: new BigInt64Array(new SharedArrayBuffer(3 * BigInt64Array.BYTES_PER_ELEMENT)) };
}

/** Batches that are taken together. What a thread holds at a time is one of them; what it hands on is what it made of them all. */
const TOGETHER = 4;

/** One thread's way through the batches. It takes the next ones when it has done the last: who is slower takes fewer. */
export class Turns {
  #passed = 0;
  /** None yet: who comes late must not have kept the others waiting. */
  #taken = -1;

  /** Without a share every batch is this thread's. */
  constructor(private readonly share: Share | undefined) {}

  /** The number under which the next batch was taken, when it is this thread's; null when another has it. */
  next(): number | null {
    const number = Math.floor(this.#passed / TOGETHER);
    this.#passed += 1;
    return this.#atLeast(number) === number ? number : null;
  }

  /** There are no more. The number of a last, empty batch of this thread's own: those of all its threads follow one another. */
  end(): number {
    return this.#atLeast(Math.ceil(this.#passed / TOGETHER));
  }

  #atLeast(number: number): number {
    if (this.#taken < number) this.#taken = this.share === undefined ? number : Number(Atomics.add(this.share.counts, TAKEN, 1n));
    return this.#taken;
  }
}

/** Says that a thread has read all its batches, and how many events they brought. The last to say so is told how many they all brought; the others null. */
export function endShare({ of, counts }: Share, brought: number): number | null {
  Atomics.add(counts, BROUGHT, BigInt(brought));
  const ended = Number(Atomics.add(counts, ENDED, 1n)) + 1;
  return ended === of ? Number(Atomics.load(counts, BROUGHT)) : null;
}

/** How many numbers have been given out. */
export const numbersTaken = ({ counts }: Share): number => Number(Atomics.load(counts, TAKEN));
