import { isDeepStrictEqual } from 'node:util';
import type { Address } from './address';
import { conflict, notFound } from './errors';
import { five, type Five } from './five';
import type { Outcome, ReportedOutcome } from './outcomes';
import { eventTime, type Micros } from './time';

// ---------------------------------------------------------------- words

/** What an outcome does to the destination dialed, over the defaults. Milliseconds. Limits hold whatever it says (the API contract, Outplans). */
export interface RetryRule {
  /** false: the destination is exhausted by this outcome. */
  readonly retry?: boolean;
  /** Replaces the plan's try_interval after this outcome. */
  readonly interval?: number;
  /** true: the destination is exhausted and the next one is due after `interval`, default 0. */
  readonly next_destination?: boolean;
}
export type RetryRules = Readonly<Partial<Record<Exclude<ReportedOutcome, 'answered'>, RetryRule>>>;

/** The part of an outplan that an attempt is decided under, and that its event pins. Milliseconds. */
export interface DialPolicy {
  readonly source: Address | null;
  readonly dialTimeout: number;
  readonly tryInterval: number;
  readonly maxTryCounts: Five<number>;
  readonly retry: RetryRules;
}

/** What applies to an outdial without an outplan (VoIPBIN's defaults). */
export const DEFAULT_POLICY: DialPolicy = {
  source: null,
  dialTimeout: 60_000,
  tryInterval: 600_000,
  maxTryCounts: [3, 3, 3, 3, 3],
  retry: {},
};

/** A target's own limits: they win over its outplan's; null where it has none. */
export interface TargetLimits {
  readonly tryCountMax: number | null;
  readonly tryCountMaxes: Five<number | null>;
}

/** The limits in force for a target: its own for that destination, else its own for all, else the outplan's. */
export function effectiveLimits(limits: TargetLimits, policy: Pick<DialPolicy, 'maxTryCounts'>): Five<number> {
  const { tryCountMax, tryCountMaxes } = limits;
  return five((index) => tryCountMaxes[index] ?? tryCountMax ?? policy.maxTryCounts[index]);
}

/** The policy that an attempt on a target with these limits pins. */
export const pinPolicy = (limits: TargetLimits, policy: DialPolicy): DialPolicy =>
  // As it is for a target without limits of its own: nearly all of a list then share one policy.
  hasLimits(limits) ? { ...policy, maxTryCounts: effectiveLimits(limits, policy) } : policy;

const hasLimits = ({ tryCountMax, tryCountMaxes }: TargetLimits): boolean =>
  tryCountMax !== null || tryCountMaxes.some((max) => max !== null);

/**
 * What a try that was not answered does to the destination dialed: whether the outcome alone exhausts it, and how long (ms, from the attempt's
 * end) until the target is due again, on the same destination or on the next. Limits are not looked at here: they hold whatever this says.
 */
export function retryOf(
  policy: DialPolicy,
  outcome: Exclude<Outcome, 'answered' | 'released'>,
): { exhausts: boolean; sameAfter: number; nextAfter: number } {
  const rule = policy.retry[outcome] ?? {};
  const retry = rule.retry ?? outcome !== 'invalid_number';
  return {
    exhausts: rule.next_destination === true || !retry,
    sameAfter: rule.interval ?? policy.tryInterval,
    nextAfter: rule.next_destination === true ? (rule.interval ?? 0) : 0,
  };
}

export interface OutplanDetails {
  readonly name: string;
  readonly detail: string;
  readonly policy: DialPolicy;
}

// ---------------------------------------------------------------- events

export type OutplanEvent =
  | ({ readonly type: 'OutplanCreated'; readonly tm: Micros; readonly outplanId: string; readonly customerId: string } & OutplanDetails)
  | { readonly type: 'OutplanUpdated'; readonly tm: Micros; readonly outplanId: string; readonly changes: OutplanChanges }
  | { readonly type: 'OutplanDeleted'; readonly tm: Micros; readonly outplanId: string };

/** Only what changed; `policy` holds only its changed members. */
export interface OutplanChanges {
  readonly name?: string;
  readonly detail?: string;
  readonly policy?: Partial<DialPolicy>;
}

// ---------------------------------------------------------------- state

export interface Outplan extends OutplanDetails {
  readonly id: string;
  readonly customerId: string;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros | null;
  readonly tmDelete: Micros | null;
  /** Time of the stream's last event; the next one is later. */
  readonly tmLast: Micros;
}

// ---------------------------------------------------------------- commands

export type OutplanCommand =
  | ({ readonly type: 'CreateOutplan'; readonly now: Micros; readonly outplanId: string; readonly customerId: string } & OutplanDetails)
  | { readonly type: 'UpdateOutplan'; readonly now: Micros; readonly changes: OutplanChanges }
  | { readonly type: 'DeleteOutplan'; readonly now: Micros };

// ---------------------------------------------------------------- decide

/**
 * What a command does to an outplan; `[]` when it is already so. `state` is null for an outplan that does not exist. A change applies to
 * attempts started later: those under way have pinned theirs.
 * Throws `OutdialError`: OUTPLAN_NOT_FOUND, ALREADY_EXISTS, DELETED.
 */
export function decideOutplan(command: OutplanCommand, state: Outplan | null): readonly OutplanEvent[] {
  if (command.type === 'CreateOutplan') return createOutplan(command, state);
  if (state === null) throw notFound('OUTPLAN_NOT_FOUND', 'There is no such outplan.');
  const happened = { tm: eventTime(command.now, state.tmLast), outplanId: state.id };
  switch (command.type) {
    case 'UpdateOutplan': {
      const changes = differing(command.changes, state);
      if (Object.keys(changes).length === 0) return [];
      if (state.tmDelete !== null) throw conflict('DELETED', `The outplan ${state.id} is deleted: it cannot change any more.`);
      return [{ type: 'OutplanUpdated', ...happened, changes }];
    }
    case 'DeleteOutplan':
      return state.tmDelete === null ? [{ type: 'OutplanDeleted', ...happened }] : [];
  }
}

function createOutplan(command: Extract<OutplanCommand, { type: 'CreateOutplan' }>, state: Outplan | null): readonly OutplanEvent[] {
  if (state !== null) {
    throw conflict('ALREADY_EXISTS', `An outplan with the id ${state.id} exists already.`, [
      { field: 'outplan_id', reason: 'already exists', value: state.id },
    ]);
  }
  const { now, outplanId, customerId, name, detail, policy } = command;
  return [{ type: 'OutplanCreated', tm: eventTime(now, null), outplanId, customerId, name, detail, policy }];
}

function differing(asked: OutplanChanges, state: Outplan): OutplanChanges {
  const wanted = asked.policy ?? {};
  const fields = (Object.keys(wanted) as (keyof DialPolicy)[]).filter(
    (field) => wanted[field] !== undefined && !isDeepStrictEqual(wanted[field], state.policy[field]),
  );
  const policy: Partial<DialPolicy> = Object.fromEntries(fields.map((field) => [field, wanted[field]]));
  return {
    ...(asked.name !== undefined && asked.name !== state.name ? { name: asked.name } : {}),
    ...(asked.detail !== undefined && asked.detail !== state.detail ? { detail: asked.detail } : {}),
    ...(fields.length > 0 ? { policy } : {}),
  };
}

// ---------------------------------------------------------------- evolve

/** An outplan after one more of its events. Total: a stream that lacks its beginning folds onto an empty outplan. */
export function evolveOutplan(state: Outplan | null, event: OutplanEvent): Outplan {
  if (event.type === 'OutplanCreated') {
    const { tm, outplanId, customerId, name, detail, policy } = event;
    return { ...emptyOutplan(outplanId, tm), customerId, name, detail, policy };
  }
  const next: Outplan = { ...(state ?? emptyOutplan(event.outplanId, event.tm)), tmUpdate: event.tm, tmLast: event.tm };
  switch (event.type) {
    case 'OutplanUpdated': {
      const { policy, ...details } = event.changes;
      return { ...next, ...details, policy: { ...next.policy, ...policy } };
    }
    case 'OutplanDeleted':
      return { ...next, tmDelete: event.tm };
  }
}

const emptyOutplan = (id: string, tm: Micros): Outplan => ({
  id,
  customerId: '',
  name: '',
  detail: '',
  policy: DEFAULT_POLICY,
  tmCreate: tm,
  tmUpdate: null,
  tmDelete: null,
  tmLast: tm,
});
