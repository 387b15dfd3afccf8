import { openMongoGenerations, type MongoGenerationsOptions } from './mongo-generations';
import { openMongoReadStore } from './mongo-read-store';
import type { AnyProjection } from './projection';
import type { Generations, ReadStore } from './read-store';
import { openSqliteGenerations } from './sqlite-generations';
import { openSqliteReadStore } from './sqlite-read-store';

/** Where the read models are: what a thread or a command is told so that it can open them for itself. */
export type ReadSource =
  { readonly kind: 'sqlite'; readonly directory: string } | { readonly kind: 'mongodb'; readonly url: string; readonly logId: string };

/** Read models to read from. */
export interface OpenedReads extends ReadStore {
  /** Looks again which generation is live; to be called when one was promoted. */
  refresh(): Promise<void>;
}

/** Generations to build. */
export interface OpenedGenerations extends Generations {
  close(): Promise<void>;
}

/** Rejects with StoreUnavailable when they cannot be reached. */
export async function openReadStore(source: ReadSource, projections: readonly AnyProjection[]): Promise<OpenedReads> {
  if (source.kind === 'mongodb') return openMongoReadStore({ url: source.url, logId: source.logId, projections });
  const reads = openSqliteReadStore({ directory: source.directory, projections });
  return {
    read: (operations) => reads.read(operations),
    position: () => reads.position(),
    refresh: async () => reads.refresh(),
    close: () => reads.close(),
  };
}

/** `usedVersions` as in `openMongoGenerations`; files have one release at a time. Rejects with StoreUnavailable when they cannot be reached. */
export async function openGenerations(
  source: ReadSource,
  projections: readonly AnyProjection[],
  options: Pick<MongoGenerationsOptions, 'usedVersions'> = {},
): Promise<OpenedGenerations> {
  if (source.kind === 'mongodb') return openMongoGenerations({ url: source.url, logId: source.logId, projections, ...options });
  return { ...openSqliteGenerations({ directory: source.directory, projections }), close: async () => undefined };
}
