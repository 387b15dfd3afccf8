import { evolveCustomer, type Customer, type CustomerEvent } from '#dialing';
import { aggregateProjection, type AggregateDocument } from './documents';
import { creation, NEWEST_FIRST, readOne, readPage, type PageRequest } from './pages';
import type { ReadStore } from './read-store';

export type CustomerDocument = AggregateDocument<Customer>;

export const customers = aggregateProjection<Customer, CustomerEvent>({
  version: 1,
  schema: { name: 'customers', fields: { listed: 'integer' }, indexes: [{ fields: ['listed'], sparse: true }] },
  category: 'customer',
  events: { CustomerCreated: true, PasswordChanged: true, CustomerDeleted: true },
  evolve: evolveCustomer,
  fields: ({ tmCreate, tmDelete }) => ({ listed: tmDelete === null ? tmCreate : null }),
});

/** Deleted ones too; null when there is none. Throws `DocumentQuarantined`. */
export const getCustomer = (store: ReadStore, customerId: string): Promise<CustomerDocument | null> =>
  readOne(store, customers, customerId);

/** All customers, newest first, without deleted ones. */
export async function listCustomers(
  store: ReadStore,
  page: PageRequest,
): Promise<{ readonly customers: readonly CustomerDocument[]; readonly nextPageToken: string }> {
  const query = { where: {}, order: NEWEST_FIRST };
  const { rows, nextPageToken } = await readPage(store, customers, query, page, creation);
  return { customers: rows, nextPageToken };
}
