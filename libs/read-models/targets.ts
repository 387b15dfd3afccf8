import { addressKey, attemptUnderWay, evolveTarget, type Micros, type Target, type TargetEvent, type TargetStatus } from '#dialing';
import type { Position } from '#event-store';
import { aggregateProjection, documentOf, type AggregateDocument } from './documents';
import { creation, NEWEST_FIRST, readOne, readPage, type PageRequest } from './pages';
import type { FindQuery, ReadStore } from './read-store';
import { targetBody } from './target-body';

export type TargetDocument = AggregateDocument<Target>;

const COLLECTION = 'targets';

export const TARGET_EVENTS: Readonly<Record<TargetEvent['type'], true>> = {
  TargetAdded: true,
  TargetUpdated: true,
  DialAttemptStarted: true,
  LeaseExtended: true,
  OutcomeRecorded: true,
  LeaseExpired: true,
  LeaseReleased: true,
  LateOutcomeRecorded: true,
  OutcomeAnnotated: true,
  DestinationExhausted: true,
  TargetCanceled: true,
  TargetEnded: true,
  TargetRemoved: true,
};

export const targets = aggregateProjection<Target, TargetEvent>({
  version: 2,
  schema: {
    name: COLLECTION,
    fields: {
      outdial: 'text',
      /** tm_create, null once it is deleted. */
      listed: 'integer',
      status: 'text',
      external_id: 'text',
      /** addressKey of each configured destination. */
      addresses: 'texts',
      priority: 'integer',
      /** When it may be dialed next, null unless it is idle and not deleted. */
      due: 'integer',
      /** tm_expire of the attempt under way, and who dials it. */
      expire: 'integer',
      dialer: 'text',
    },
    indexes: [
      // Lists. The narrow filters come first: they are preferred when several are given.
      { fields: ['outdial', 'external_id', 'listed'], sparse: true },
      { fields: ['outdial', 'addresses', 'listed'], sparse: true },
      { fields: ['outdial', 'status', 'listed'], sparse: true },
      { fields: ['outdial', 'listed'], sparse: true },
      // The hopper's windows, and what is due next whatever its priority.
      { fields: ['outdial', 'priority', 'due'], sparse: true },
      { fields: ['outdial', 'due'], sparse: true },
      // Attempts under way. They are few, a lease at a time each: those of one dialer are picked out of them.
      { fields: ['outdial', 'expire'], sparse: true },
      { fields: ['expire'], sparse: true },
    ],
  },
  category: 'outdialtarget',
  documentId: (subject) => subject.slice(subject.indexOf('.') + 1),
  events: TARGET_EVENTS,
  evolve: evolveTarget,
  body: targetBody,
  fields(target) {
    const attempt = attemptUnderWay(target);
    return {
      outdial: target.outdialId,
      listed: target.tmDelete === null ? target.tmCreate : null,
      status: target.status,
      external_id: target.externalId,
      addresses: target.destinations.flatMap((address) => (address === null ? [] : [addressKey(address)])),
      priority: target.priority,
      due: target.due,
      expire: attempt?.tmExpire ?? null,
      dialer: attempt?.dialer ?? null,
    };
  },
});

/** Deleted ones too; null when this outdial has no such target. Throws `DocumentQuarantined`. */
export async function getTarget(
  store: ReadStore,
  { outdialId, targetId }: { readonly outdialId: string; readonly targetId: string },
): Promise<TargetDocument | null> {
  const document = await readOne(store, targets, targetId);
  return document?.state.outdialId === outdialId ? document : null;
}

/** Many targets at once, in no particular order; what is not there, or not in this outdial, is left out. Throws `DocumentQuarantined`. */
export async function getTargets(
  store: ReadStore,
  { outdialId, targetIds }: { readonly outdialId: string; readonly targetIds: readonly string[] },
): Promise<readonly TargetDocument[]> {
  const { answers } = await store.read([{ kind: 'get', collection: COLLECTION, ids: targetIds }]);
  const documents = (answers[0]?.documents ?? []).map((stored) => documentOf(targets, stored));
  return documents.filter(({ state }) => state.outdialId === outdialId);
}

export interface TargetListRequest extends PageRequest {
  readonly outdialId: string;
  readonly status?: TargetStatus;
  readonly externalId?: string;
  /** As `addressKey` gives it; any of a target's destinations. */
  readonly address?: string;
}

/** An outdial's targets, newest first, without deleted ones. */
export async function listTargets(
  store: ReadStore,
  { outdialId, status, externalId, address, ...page }: TargetListRequest,
): Promise<{ readonly targets: readonly TargetDocument[]; readonly nextPageToken: string }> {
  const where: FindQuery['where'] = {
    outdial: outdialId,
    ...(status === undefined ? {} : { status }),
    ...(externalId === undefined ? {} : { external_id: externalId }),
    ...(address === undefined ? {} : { addresses: address }),
  };
  const { rows, nextPageToken } = await readPage(store, targets, { where, order: NEWEST_FIRST }, page, creation);
  return { targets: rows, nextPageToken };
}

/**
 * An outdial's targets that were there at a moment, oldest first, without deleted ones: up to `limit` of those after a row (its tm_create and id). Targets
 * added meanwhile are left out, so that reading on comes to an end.
 */
export async function targetsInOrder(
  store: ReadStore,
  request: {
    readonly outdialId: string;
    readonly upTo: Micros;
    readonly after: { readonly value: Micros; readonly id: string } | null;
    readonly limit: number;
  },
): Promise<readonly TargetDocument[]> {
  const { outdialId, upTo, after, limit } = request;
  const query: FindQuery = {
    collection: COLLECTION,
    where: { outdial: outdialId },
    order: { field: 'listed', direction: 'ascending' },
    ...(after === null ? {} : { after }),
    limit,
  };
  const { answers } = await store.read([{ kind: 'find', query }]);
  return (answers[0]?.documents ?? []).map((stored) => documentOf(targets, stored)).filter(({ state }) => state.tmCreate <= upTo);
}

/**
 * Idle targets of one priority in the order they are dialed, those that are not due yet too: so a buffer filled from it needs no new query when time
 * passes. `after` is the (due, id) of the last row that is known. `position`: what the answer reflects.
 */
export async function callableWindow(
  store: ReadStore,
  request: {
    readonly outdialId: string;
    readonly priority: number;
    readonly after?: { readonly due: Micros; readonly id: string };
    /** Only targets whose ids begin with one of these digits: the share of one gateway. */
    readonly idStartsWith?: string;
    readonly limit: number;
  },
): Promise<{ readonly targets: readonly TargetDocument[]; readonly position: Position }> {
  const { outdialId, priority, after, idStartsWith, limit } = request;
  const { answers, position } = await store.read([
    {
      kind: 'find',
      query: {
        collection: COLLECTION,
        where: { outdial: outdialId, priority },
        order: { field: 'due', direction: 'ascending' },
        ...(after === undefined ? {} : { after: { value: after.due, id: after.id } }),
        ...(idStartsWith === undefined ? {} : { idStartsWith }),
        limit,
      },
    },
  ]);
  return { targets: (answers[0]?.documents ?? []).map((stored) => documentOf(targets, stored)), position };
}

/** Idle targets of one priority that are due by `upTo`, those that became due last first, of the ids that begin with one of these digits. */
export async function lastDue(
  store: ReadStore,
  request: {
    readonly outdialId: string;
    readonly priority: number;
    readonly upTo: Micros;
    readonly idStartsWith: string;
    readonly limit: number;
  },
): Promise<readonly TargetDocument[]> {
  const { outdialId, priority, upTo, idStartsWith, limit } = request;
  const query: FindQuery = {
    collection: COLLECTION,
    where: { outdial: outdialId, priority },
    range: { field: 'due', upTo },
    order: { field: 'due', direction: 'descending' },
    idStartsWith,
    limit,
  };
  const { answers } = await store.read([{ kind: 'find', query }]);
  return (answers[0]?.documents ?? []).map((stored) => documentOf(targets, stored));
}

/**
 * The highest priority that has an idle target, below `below` when given; null when there is none. Priority comes before due time, so what is callable is
 * found by stepping through the priorities: a range over both would walk all that is not due.
 */
export async function highestPriority(
  store: ReadStore,
  { outdialId, below }: { readonly outdialId: string; readonly below?: number },
): Promise<number | null> {
  const first = await readFirst(store, {
    collection: COLLECTION,
    where: { outdial: outdialId },
    order: { field: 'priority', then: 'due', direction: 'descending' },
    ...(below === undefined ? {} : { range: { field: 'priority', below } }),
    limit: 1,
  });
  return first?.state.priority ?? null;
}

/** The earliest due time later than `after` of the outdial's idle targets, of any priority; null when there is none. */
export async function nextDue(
  store: ReadStore,
  { outdialId, after }: { readonly outdialId: string; readonly after: Micros },
): Promise<Micros | null> {
  return (await readFirst(store, dueAfter(outdialId, after)))?.state.due ?? null;
}

/** The query behind `nextDue`, for those who ask it together with others. */
export const dueAfter = (outdialId: string, after: Micros): FindQuery => ({
  collection: COLLECTION,
  where: { outdial: outdialId },
  range: { field: 'due', above: after },
  order: { field: 'due', direction: 'ascending' },
  limit: 1,
});

/** The attempts under way in an outdial, those of one dialer when it is given, by tm_expire; the page's moments are tm_expire. */
export async function openAttempts(
  store: ReadStore,
  { outdialId, dialer, ...page }: { readonly outdialId: string; readonly dialer?: string } & PageRequest,
): Promise<{ readonly targets: readonly TargetDocument[]; readonly nextPageToken: string }> {
  const where = { outdial: outdialId, ...(dialer === undefined ? {} : { dialer }) };
  const query = { where, order: { field: 'expire', direction: 'ascending' } } as const;
  const { rows, nextPageToken } = await readPage(store, targets, query, page, expiry);
  return { targets: rows, nextPageToken };
}

/** Targets of any outdial whose attempt under way has a tm_expire up to `upTo`, by (tm_expire, id), after a row that is known. */
export async function expiringLeases(
  store: ReadStore,
  {
    upTo,
    after,
    limit,
  }: { readonly upTo: Micros; readonly after?: { readonly expire: Micros; readonly id: string }; readonly limit: number },
): Promise<{ readonly targets: readonly TargetDocument[]; readonly position: Position }> {
  const { answers, position } = await store.read([
    {
      kind: 'find',
      query: {
        collection: COLLECTION,
        where: {},
        range: { field: 'expire', upTo },
        order: { field: 'expire', direction: 'ascending' },
        ...(after === undefined ? {} : { after: { value: after.expire, id: after.id } }),
        limit,
      },
    },
  ]);
  return { targets: (answers[0]?.documents ?? []).map((stored) => documentOf(targets, stored)), position };
}

const expiry = ({ state }: TargetDocument): { value: Micros; id: string } => ({
  value: attemptUnderWay(state)?.tmExpire ?? 0,
  id: state.id,
});

async function readFirst(store: ReadStore, query: FindQuery): Promise<TargetDocument | null> {
  const { answers } = await store.read([{ kind: 'find', query }]);
  const stored = answers[0]?.documents[0];
  return stored === undefined ? null : documentOf(targets, stored);
}
