import type { Generations, GenerationStatus } from './read-store';

/** What a start finds, and what it therefore does. */
export interface GenerationPlan {
  /** The live generation of the same versions: kept up to date. */
  readonly live: string | null;
  /** Built beside what is there, and promoted when it has caught up: what is live is of other versions, which only their own releases could keep up. */
  readonly build: string | null;
  /** What nobody reads or builds any more. */
  readonly retire: readonly string[];
}

/** Decides what to do with the generations that are there. A build that was interrupted goes on; a rebuild that was asked for beside a good one is dropped. */
export function planGenerations(found: readonly GenerationStatus[], versions: Readonly<Record<string, number>>): GenerationPlan {
  const fits = found.filter((generation) => sameVersions(generation.versions, versions));
  const kept = fits.find((generation) => generation.live);
  if (kept !== undefined) return { live: kept.name, build: null, retire: others(found, []) };
  const build = fits.toSorted((one, other) => (one.position < other.position ? 1 : -1))[0]?.name ?? nextName(found);
  return { live: null, build, retire: others(found, [build]) };
}

/** Carries the plan's retirements out, so that a start leaves nothing behind that fills the disk. */
export async function ensureGeneration(generations: Generations, versions: Readonly<Record<string, number>>): Promise<GenerationPlan> {
  const plan = planGenerations(await generations.list(), versions);
  for (const name of plan.retire) await generations.retire(name);
  return plan;
}

/** Removes every generation but those that are live, those of other releases that run, and those named. */
export async function retireOthers(generations: Generations, keep: readonly string[]): Promise<void> {
  for (const name of others(await generations.list(), keep)) await generations.retire(name);
}

/** `g1`, `g2` …: higher than any that is there. */
export function nextName(found: readonly GenerationStatus[]): string {
  const numbers = found.map(({ name }) => Number(/^g(\d+)$/.exec(name)?.[1] ?? 0));
  return `g${Math.max(0, ...numbers) + 1}`;
}

const others = (found: readonly GenerationStatus[], keep: readonly string[]): readonly string[] =>
  found.filter(({ name, live, foreign = false }) => !live && !foreign && !keep.includes(name)).map(({ name }) => name);

export const sameVersions = (one: Readonly<Record<string, number>>, other: Readonly<Record<string, number>>): boolean => {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
};
