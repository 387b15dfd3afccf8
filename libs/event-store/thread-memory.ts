/**
 * For every thread that lives as long as its process. V8 lets a heap grow by as much as its limit allows, and by default that is gigabytes each: garbage of four threads
 * made an import of 300,000 rows 900 MB large, and 650 MB with this. None of them needs a quarter of it.
 */
export const THREAD_MEMORY = { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 24 } as const;
