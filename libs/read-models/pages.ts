import { formatMicros, parseMicros, type Micros } from '#dialing';
import { documentOf } from './documents';
import type { Projection } from './projection';
import type { FindQuery, ReadStore } from './read-store';

/** Where a page goes on: strictly after this moment; with an id, after that row among those of the same moment. */
export interface PageCursor {
  readonly value: Micros;
  readonly id?: string;
}

export interface PageRequest {
  /** Rows, 1–100. */
  readonly pageSize: number;
  /** null: the first page. */
  readonly after: PageCursor | null;
}

/**
 * `2022-04-28 01:41:40.503790`, or that followed by `~id` (the API contract, Conventions). `undefined` for what is no token. The empty token, the first
 * page, is the caller's matter.
 */
export function parsePageToken(token: string): PageCursor | undefined {
  const tilde = token.indexOf('~');
  const value = parseMicros(tilde < 0 ? token : token.slice(0, tilde));
  if (value === undefined) return undefined;
  if (tilde < 0) return { value };
  const id = token.slice(tilde + 1);
  return id === '' ? undefined : { value, id };
}

/**
 * Cuts rows, of which one more than a page was read, to a page and its token. The id is in it only when the next row has the same moment: a client that
 * treats the token as a `tm_create`, as the reference document does, loses nothing.
 */
export function pageOf<Row>(
  rows: readonly Row[],
  pageSize: number,
  key: (row: Row) => { readonly value: Micros; readonly id: string },
): { readonly rows: readonly Row[]; readonly nextPageToken: string } {
  const page = rows.slice(0, pageSize);
  const last = page.at(-1);
  const next = rows[pageSize];
  if (last === undefined || next === undefined) return { rows: page, nextPageToken: '' };
  const { value, id } = key(last);
  return { rows: page, nextPageToken: key(next).value === value ? `${formatMicros(value)}~${id}` : formatMicros(value) };
}

/** One page of a find that is ordered by a moment. `key` tells that moment, and the id, of a document. */
export async function readPage<Doc>(
  store: ReadStore,
  model: Projection<Doc>,
  query: Pick<FindQuery, 'where'> & { readonly order: NonNullable<FindQuery['order']> },
  page: PageRequest,
  key: (document: Doc) => { readonly value: Micros; readonly id: string },
): Promise<{ readonly rows: readonly Doc[]; readonly nextPageToken: string }> {
  const after = page.after === null ? {} : { after: page.after };
  const { answers } = await store.read([
    { kind: 'find', query: { collection: model.schema.name, ...query, ...after, limit: page.pageSize + 1 } },
  ]);
  const documents = (answers[0]?.documents ?? []).map((stored) => documentOf(model, stored));
  return pageOf(documents, page.pageSize, key);
}

/** Newest first, by the field that every listed model has: its tm_create, null once it is deleted. */
export const NEWEST_FIRST = { field: 'listed', direction: 'descending' } as const;

/** The key of that order. */
export const creation = (document: {
  readonly state: { readonly tmCreate: Micros; readonly id: string };
}): { value: Micros; id: string } => ({
  value: document.state.tmCreate,
  id: document.state.id,
});

/** The document with this id, or null. Throws `DocumentQuarantined`. */
export async function readOne<Doc>(store: ReadStore, model: Projection<Doc>, id: string): Promise<Doc | null> {
  const { answers } = await store.read([{ kind: 'get', collection: model.schema.name, ids: [id] }]);
  const stored = answers[0]?.documents[0];
  return stored === undefined ? null : documentOf(model, stored);
}
