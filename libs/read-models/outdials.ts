import { evolveOutdial, type Outdial, type OutdialEvent } from '#dialing';
import { aggregateProjection, type AggregateDocument } from './documents';
import { creation, NEWEST_FIRST, readOne, readPage, type PageRequest } from './pages';
import type { ReadStore } from './read-store';

export type OutdialDocument = AggregateDocument<Outdial>;

export const outdials = aggregateProjection<Outdial, OutdialEvent>({
  version: 1,
  schema: {
    name: 'outdials',
    fields: { customer: 'text', listed: 'integer' },
    indexes: [{ fields: ['customer', 'listed'], sparse: true }],
  },
  category: 'outdial',
  events: {
    OutdialCreated: true,
    OutdialUpdated: true,
    CampaignAttached: true,
    OutdialPaused: true,
    OutdialResumed: true,
    OutdialArchived: true,
    OutdialDeleted: true,
  },
  evolve: evolveOutdial,
  fields: ({ customerId, tmCreate, tmDelete }) => ({ customer: customerId, listed: tmDelete === null ? tmCreate : null }),
});

/** Deleted ones too; null when there is none. Throws `DocumentQuarantined`. */
export const getOutdial = (store: ReadStore, outdialId: string): Promise<OutdialDocument | null> => readOne(store, outdials, outdialId);

/** A customer's outdials, newest first, without deleted ones. */
export async function listOutdials(
  store: ReadStore,
  { customerId, ...page }: { readonly customerId: string } & PageRequest,
): Promise<{ readonly outdials: readonly OutdialDocument[]; readonly nextPageToken: string }> {
  const query = { where: { customer: customerId }, order: NEWEST_FIRST };
  const { rows, nextPageToken } = await readPage(store, outdials, query, page, creation);
  return { outdials: rows, nextPageToken };
}
