import { evolveOutplan, type Outplan, type OutplanEvent } from '#dialing';
import { aggregateProjection, type AggregateDocument } from './documents';
import { creation, NEWEST_FIRST, readOne, readPage, type PageRequest } from './pages';
import type { ReadStore } from './read-store';

export type OutplanDocument = AggregateDocument<Outplan>;

export const outplans = aggregateProjection<Outplan, OutplanEvent>({
  version: 1,
  schema: {
    name: 'outplans',
    fields: { customer: 'text', listed: 'integer' },
    indexes: [{ fields: ['customer', 'listed'], sparse: true }],
  },
  category: 'outplan',
  events: { OutplanCreated: true, OutplanUpdated: true, OutplanDeleted: true },
  evolve: evolveOutplan,
  fields: ({ customerId, tmCreate, tmDelete }) => ({ customer: customerId, listed: tmDelete === null ? tmCreate : null }),
});

/** Deleted ones too: they still apply where they are attached. Null when there is none. Throws `DocumentQuarantined`. */
export const getOutplan = (store: ReadStore, outplanId: string): Promise<OutplanDocument | null> => readOne(store, outplans, outplanId);

/** A customer's outplans, newest first, without deleted ones. */
export async function listOutplans(
  store: ReadStore,
  { customerId, ...page }: { readonly customerId: string } & PageRequest,
): Promise<{ readonly outplans: readonly OutplanDocument[]; readonly nextPageToken: string }> {
  const query = { where: { customer: customerId }, order: NEWEST_FIRST };
  const { rows, nextPageToken } = await readPage(store, outplans, query, page, creation);
  return { outplans: rows, nextPageToken };
}
