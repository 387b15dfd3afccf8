import { evolveAccessKey, type AccessKey, type AccessKeyEvent } from '#dialing';
import { aggregateProjection, type AggregateDocument } from './documents';
import { creation, NEWEST_FIRST, readOne, readPage, type PageRequest } from './pages';
import type { ReadStore } from './read-store';

export type AccessKeyDocument = AggregateDocument<AccessKey>;

export const accessKeys = aggregateProjection<AccessKey, AccessKeyEvent>({
  version: 1,
  schema: {
    name: 'access_keys',
    fields: { customer: 'text', listed: 'integer' },
    indexes: [{ fields: ['customer', 'listed'], sparse: true }],
  },
  category: 'accesskey',
  events: { AccessKeyCreated: true, AccessKeyDeleted: true },
  evolve: evolveAccessKey,
  fields: ({ customerId, tmCreate, tmDelete }) => ({ customer: customerId, listed: tmDelete === null ? tmCreate : null }),
});

/** Deleted and expired ones too; null when there is none. Throws `DocumentQuarantined`. */
export const getAccessKey = (store: ReadStore, accessKeyId: string): Promise<AccessKeyDocument | null> =>
  readOne(store, accessKeys, accessKeyId);

/** A customer's access keys, newest first, without deleted ones. */
export async function listAccessKeys(
  store: ReadStore,
  { customerId, ...page }: { readonly customerId: string } & PageRequest,
): Promise<{ readonly accessKeys: readonly AccessKeyDocument[]; readonly nextPageToken: string }> {
  const query = { where: { customer: customerId }, order: NEWEST_FIRST };
  const { rows, nextPageToken } = await readPage(store, accessKeys, query, page, creation);
  return { accessKeys: rows, nextPageToken };
}
