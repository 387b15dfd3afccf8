/**
 * For the threads of the log, which live as long as their process. V8 lets a heap grow by as much as its limit allows, and by default that is gigabytes each: what is garbage
 * already is memory all the same.
 */
export const THREAD_MEMORY = { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 12 } as const;
