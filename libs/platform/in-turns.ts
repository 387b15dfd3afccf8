import { setImmediate } from 'node:timers/promises';

/** Some milliseconds of work of the kind that a list of thousands is mapped for. */
const TURN = 250;

/** Maps a list that may be long, and lets whoever else waits for this thread have a turn in between. */
export async function mapInTurns<T, R>(items: readonly T[], map: (item: T, index: number) => R): Promise<readonly R[]> {
  const mapped: R[] = [];
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % TURN === 0) await setImmediate();
    mapped.push(map(item, index));
  }
  return mapped;
}
