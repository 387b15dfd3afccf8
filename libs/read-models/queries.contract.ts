import { START } from '#event-store';
import { listAccessKeys } from './access-keys';
import { listCustomers } from './customers';
import { listOutdials } from './outdials';
import { listOutplans } from './outplans';
import { getProgress } from './progress';
import type { ReadOperation, ReadStore } from './read-store';
import { callableWindow, expiringLeases, highestPriority, listTargets, nextDue, openAttempts, targetsInOrder } from './targets';

const page = { pageSize: 10, after: null };
const later = { pageSize: 10, after: { value: 1, id: 'x' } };
const bare = { pageSize: 10, after: { value: 1 } };
/** Every query that the read models make, by name: each engine must answer it from an index, in its order. */
export const READ_MODEL_QUERIES: readonly [string, (store: ReadStore) => Promise<unknown>][] = [
  ['targets by id', (store) => store.read([{ kind: 'get', collection: 'targets', ids: ['t'] }])],
  ...(
    [
      ['all', {}],
      ['by status', { status: 'idle' }],
      ['by external id', { externalId: 'x' }],
      ['by address', { address: 'tel:+1' }],
      ['by all of these', { status: 'idle', externalId: 'x', address: 'tel:+1' }],
    ] as const
  ).flatMap(([name, filter]): [string, (store: ReadStore) => Promise<unknown>][] => [
    [`first page of the targets, ${name}`, (store) => listTargets(store, { outdialId: 'o', ...filter, ...page })],
    [`later page of the targets, ${name}`, (store) => listTargets(store, { outdialId: 'o', ...filter, ...later })],
    [`page of the targets before a bare moment, ${name}`, (store) => listTargets(store, { outdialId: 'o', ...filter, ...bare })],
  ]),
  ['first window of a priority', (store) => callableWindow(store, { outdialId: 'o', priority: 0, limit: 10 })],
  ['later window of a priority', (store) => callableWindow(store, { outdialId: 'o', priority: 0, after: { due: 1, id: 'x' }, limit: 10 })],
  ['targets as they were added', (store) => targetsInOrder(store, { outdialId: 'o', upTo: 9, after: null, limit: 10 })],
  [
    'more targets as they were added',
    (store) => targetsInOrder(store, { outdialId: 'o', upTo: 9, after: { value: 1, id: 'x' }, limit: 10 }),
  ],
  ['highest priority', (store) => highestPriority(store, { outdialId: 'o' })],
  ['next lower priority', (store) => highestPriority(store, { outdialId: 'o', below: 5 })],
  ['what is due next', (store) => nextDue(store, { outdialId: 'o', after: 1 })],
  ['open attempts', (store) => openAttempts(store, { outdialId: 'o', ...later })],
  ['open attempts of a dialer', (store) => openAttempts(store, { outdialId: 'o', dialer: 'd', ...later })],
  ['expiring leases', (store) => expiringLeases(store, { upTo: 5, limit: 10 })],
  ['more expiring leases', (store) => expiringLeases(store, { upTo: 5, after: { expire: 1, id: 'x' }, limit: 10 })],
  ['progress', (store) => getProgress(store, { outdialId: 'o', mode: 'active', now: 90_000_000 })],
  ['outdials', (store) => listOutdials(store, { customerId: 'c', ...later })],
  ['outplans', (store) => listOutplans(store, { customerId: 'c', ...later })],
  ['customers', (store) => listCustomers(store, later)],
  ['access keys', (store) => listAccessKeys(store, { customerId: 'c', ...later })],
];

/** What a query asks a store for. */
export async function operationsOf(ask: (store: ReadStore) => Promise<unknown>): Promise<readonly ReadOperation[]> {
  const asked: ReadOperation[] = [];
  await ask({
    read: async (operations) => {
      asked.push(...operations);
      return { answers: operations.map(() => ({ documents: [], count: 0 })), position: START };
    },
    position: async () => START,
    close: async () => undefined,
  });
  return asked;
}
