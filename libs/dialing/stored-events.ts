import type { AccessKeyEvent } from './access-key';
import type { CustomerEvent } from './customer';
import type { DeploymentEvent } from './deployment';
import { DESTINATIONS } from './five';
import type { DestinationIndex, Five } from './five';
import type { OutdialEvent } from './outdial';
import type { Change, Standing, StartedAttempt, TargetChanges, TargetEvent } from './outdial-target';
import type { DialPolicy, OutplanEvent, TargetLimits } from './outplan';
import type { Micros } from './time';

/**
 * The only file that knows how events are stored. Names of events and streams, and the shapes below, are for ever: a changed shape is a new version beside the old
 * one, joined by an upcaster, and a fixture of every version ever written is decoded in CI.
 */
export type DialingEvent = OutdialEvent | TargetEvent | OutplanEvent | CustomerEvent | AccessKeyEvent | DeploymentEvent;
type EventType = DialingEvent['type'];

/** Who did it, on whose behalf, in which request. Stored in each event's metadata beside its time and schema version. */
export interface EventContext {
  readonly customerId: string;
  /** Id of the credential: a customer's (its user) or an access key's; `system` for expiry. */
  readonly actor: string;
  /** The request's id; all events of one request share it. */
  readonly correlationId: string;
  /** The command's id. */
  readonly causationId: string;
  readonly traceparent?: string;
}

/** The names of streams are a storage format (the architecture's rule 2). */
export const streamOf = {
  outdial: (id: string): string => `outdial-${id}`,
  target: (outdialId: string, targetId: string): string => `outdialtarget-${outdialId}.${targetId}`,
  outplan: (id: string): string => `outplan-${id}`,
  customer: (id: string): string => `customer-${id}`,
  accessKey: (id: string): string => `accesskey-${id}`,
  /** One a log. */
  deployment: 'deployment-main',
};

export interface EncodedEvent {
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
}

/** A newer release wrote it: this one must not guess what it means. */
export class UnknownEventType extends Error {
  readonly code = 'UnknownEventType';
  constructor(
    readonly type: string,
    readonly version: number,
  ) {
    super(`The event type ${type}, version ${version}, is not known to this release.`);
    this.name = 'UnknownEventType';
  }
}

/** Its text is not what its type and version say. */
export class MalformedEvent extends Error {
  readonly code = 'MalformedEvent';
  constructor(
    readonly type: string,
    reason: string,
  ) {
    super(`An event of type ${type} cannot be read: ${reason}.`);
    this.name = 'MalformedEvent';
  }
}

/** The version that each type is written in today. */
const VERSION = 1;

interface StoredMetadata {
  readonly tm: Micros;
  readonly v: number;
  readonly lane: number;
  readonly customer_id: string;
  readonly actor: string;
  readonly $correlationId: string;
  readonly $causationId: string;
  readonly traceparent?: string;
}

/** JSON objects as they come out of the store. */
type Stored = Readonly<Record<string, unknown>>;

/** From version n (the key) to n + 1, by type. */
export type Upcasters = Readonly<Partial<Record<string, Readonly<Record<number, (data: Stored) => Stored>>>>>;
const UPCASTERS: Upcasters = {};

/** Type and JSON text of an event and its metadata. `tm` lives in the metadata: it is when it happened, which no rewriting of the log changes. */
export function encodeEvent(event: DialingEvent, context: EventContext): EncodedEvent {
  const metadata: StoredMetadata = {
    tm: event.tm,
    v: VERSION,
    // One lane until lag says more: the key by which projections will be split.
    lane: 0,
    customer_id: context.customerId,
    actor: context.actor,
    $correlationId: context.correlationId,
    $causationId: context.causationId,
    ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
  };
  return { type: event.type, data: JSON.stringify(storedShape(event)), metadata: JSON.stringify(metadata) };
}

/** The event again. Throws `UnknownEventType`, `MalformedEvent`. */
export function decodeEvent(stored: EncodedEvent, upcasters: Upcasters = UPCASTERS): DialingEvent {
  const { tm, v } = parse(stored.type, stored.metadata) as unknown as StoredMetadata;
  if (typeof tm !== 'number' || typeof v !== 'number') throw new MalformedEvent(stored.type, 'its metadata has no time or no version');
  if (!isEventType(stored.type)) throw new UnknownEventType(stored.type, v);
  const chain = upcasters[stored.type] ?? {};
  const newest = Object.keys(chain).reduce((latest, from) => Math.max(latest, Number(from) + 1), VERSION);
  if (v > newest) throw new UnknownEventType(stored.type, v);
  let data = parse(stored.type, stored.data);
  for (let version = v; version < newest; version += 1) data = chain[version]?.(data) ?? data;
  try {
    return domainEvent(stored.type, tm, data);
  } catch (error) {
    throw error instanceof MalformedEvent ? error : new MalformedEvent(stored.type, error instanceof Error ? error.message : String(error));
  }
}

/** Who, in which request, as the metadata says. */
export function decodeContext({ type, metadata }: EncodedEvent): EventContext {
  const stored = parse(type, metadata) as unknown as StoredMetadata;
  return {
    customerId: stored.customer_id,
    actor: stored.actor,
    correlationId: stored.$correlationId,
    causationId: stored.$causationId,
    ...(stored.traceparent === undefined ? {} : { traceparent: stored.traceparent }),
  };
}

function parse(type: string, text: string): Stored {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Stored;
  } catch {
    // Reported below, like every other text that is no object.
  }
  throw new MalformedEvent(type, 'it is no JSON object');
}

// ---------------------------------------------------------------- shapes shared by several events

/** [status, done reason, try counts, exhausted, due, priority, gone]: twice in most events, so it is kept short. */
type StoredStanding = readonly [string, string | null, Five<number>, Five<0 | 1>, Micros | null, number, 0 | 1];

const flag = (value: boolean): 0 | 1 => (value ? 1 : 0);
const NONE: Five<0 | 1> = [0, 0, 0, 0, 0];
const NOT_EXHAUSTED: Five<boolean> = [false, false, false, false, false];

const storedStanding = (standing: Standing): StoredStanding => {
  const [a, b, c, d, e] = standing.exhausted;
  const exhausted: Five<0 | 1> = a || b || c || d || e ? [flag(a), flag(b), flag(c), flag(d), flag(e)] : NONE;
  return [standing.status, standing.doneReason, standing.tryCounts, exhausted, standing.due, standing.priority, flag(standing.gone)];
};
const domainStanding = ([status, doneReason, tryCounts, exhausted, due, priority, gone]: StoredStanding): Standing => ({
  status: status as Standing['status'],
  doneReason: doneReason as Standing['doneReason'],
  tryCounts,
  exhausted: exhausted.includes(1) ? (exhausted.map((one) => one === 1) as unknown as Five<boolean>) : NOT_EXHAUSTED,
  due,
  priority,
  gone: gone === 1,
});

interface StoredChange {
  readonly before: StoredStanding | null;
  readonly after: StoredStanding;
}
const storedChange = ({ before, after }: Change): StoredChange => ({
  before: before && storedStanding(before),
  after: storedStanding(after),
});
const domainChange = (data: Stored): Change => {
  const { before, after } = data as unknown as StoredChange;
  return { before: before && domainStanding(before), after: domainStanding(after) };
};

interface StoredPolicy {
  readonly source: DialPolicy['source'];
  readonly dial_timeout: number;
  readonly try_interval: number;
  readonly max_try_counts: Five<number>;
  readonly retry: DialPolicy['retry'];
}
const storedPolicy = (policy: DialPolicy): StoredPolicy => ({
  source: policy.source,
  dial_timeout: policy.dialTimeout,
  try_interval: policy.tryInterval,
  max_try_counts: policy.maxTryCounts,
  retry: policy.retry,
});
const domainPolicy = (stored: StoredPolicy): DialPolicy => ({
  source: stored.source,
  dialTimeout: stored.dial_timeout,
  tryInterval: stored.try_interval,
  maxTryCounts: stored.max_try_counts,
  retry: stored.retry,
});

interface StoredLimits {
  readonly try_count_max: number | null;
  readonly try_count_maxes: Five<number | null>;
}
const storedLimits = (limits: TargetLimits): StoredLimits => ({ try_count_max: limits.tryCountMax, try_count_maxes: limits.tryCountMaxes });
const domainLimits = (stored: StoredLimits): TargetLimits => ({ tryCountMax: stored.try_count_max, tryCountMaxes: stored.try_count_maxes });

/** Leaves out what is undefined: an absent member of a change means "as it was". */
const present = (members: Stored): Stored => Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));

const target = (event: { readonly outdialId: string; readonly targetId: string }): Stored => ({
  outdial_id: event.outdialId,
  target_id: event.targetId,
});
const targetIds = (data: Stored): { readonly outdialId: string; readonly targetId: string } => ({
  outdialId: data.outdial_id as string,
  targetId: data.target_id as string,
});

const storedTargetChanges = ({ name, detail, data, priority, destinations, limits, due }: TargetChanges): Stored =>
  present({ name, detail, data, priority, destinations, limits: limits && storedLimits(limits), due });
const domainTargetChanges = (stored: Stored): TargetChanges => {
  const { limits, destinations, ...others } = stored;
  return {
    ...(others as TargetChanges),
    ...(destinations === undefined ? {} : { destinations: domainDestinations(destinations as Stored) }),
    ...(limits === undefined ? {} : { limits: domainLimits(limits as StoredLimits) }),
  };
};
const domainDestinations = (stored: Stored): NonNullable<TargetChanges['destinations']> =>
  Object.fromEntries(DESTINATIONS.filter((index) => String(index) in stored).map((index) => [index, stored[String(index)]]));

const storedAttempt = (attempt: StartedAttempt): Stored => ({
  attempt_id: attempt.attemptId,
  destination_index: attempt.destinationIndex,
  destination: attempt.destination,
  try_count: attempt.tryCount,
  try_count_max: attempt.tryCountMax,
  dialer: attempt.dialer,
  tm_start: attempt.tmStart,
  tm_expire: attempt.tmExpire,
});
const domainAttempt = (data: Stored): StartedAttempt => ({
  attemptId: data.attempt_id as string,
  destinationIndex: data.destination_index as DestinationIndex,
  destination: data.destination as StartedAttempt['destination'],
  tryCount: data.try_count as number,
  tryCountMax: data.try_count_max as number,
  dialer: data.dialer as string,
  tmStart: data.tm_start as Micros,
  tmExpire: data.tm_expire as Micros,
});

type End = Extract<TargetEvent, { readonly type: 'OutcomeRecorded' }>;
type ReportedEnd = Pick<End, 'attemptId' | 'destinationIndex' | 'outcome' | 'disposition' | 'note' | 'tmEnd'>;
const storedEnd = (end: ReportedEnd): Stored => ({
  attempt_id: end.attemptId,
  destination_index: end.destinationIndex,
  outcome: end.outcome,
  disposition: end.disposition,
  note: end.note,
  tm_end: end.tmEnd,
});
const domainEnd = (data: Stored): ReportedEnd => ({
  attemptId: data.attempt_id as string,
  destinationIndex: data.destination_index as DestinationIndex,
  outcome: data.outcome as ReportedEnd['outcome'],
  disposition: data.disposition as string | null,
  note: data.note as string | null,
  tmEnd: data.tm_end as Micros,
});

// ---------------------------------------------------------------- each event

/** A record, so that an event type without an entry does not compile. */
const EVENT_TYPES: Readonly<Record<EventType, true>> = {
  OutdialCreated: true,
  OutdialUpdated: true,
  CampaignAttached: true,
  OutdialPaused: true,
  OutdialResumed: true,
  OutdialArchived: true,
  OutdialDeleted: true,
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
  OutplanCreated: true,
  OutplanUpdated: true,
  OutplanDeleted: true,
  CustomerCreated: true,
  PasswordChanged: true,
  CustomerDeleted: true,
  AccessKeyCreated: true,
  AccessKeyDeleted: true,
  DeploymentCreated: true,
};
const isEventType = (type: string): type is EventType => Object.hasOwn(EVENT_TYPES, type);

/** What is stored of an event beside its time. */
function storedShape(event: DialingEvent): Stored {
  switch (event.type) {
    case 'OutdialCreated':
      return {
        outdial_id: event.outdialId,
        customer_id: event.customerId,
        name: event.name,
        detail: event.detail,
        data: event.data,
        campaign_id: event.campaignId,
        outplan_id: event.outplanId,
      };
    case 'OutdialUpdated': {
      const { name, detail, data, outplanId } = event.changes;
      return { outdial_id: event.outdialId, changes: present({ name, detail, data, outplan_id: outplanId }) };
    }
    case 'CampaignAttached':
      return { outdial_id: event.outdialId, campaign_id: event.campaignId };
    case 'OutdialPaused':
    case 'OutdialResumed':
    case 'OutdialArchived':
    case 'OutdialDeleted':
      return { outdial_id: event.outdialId };
    case 'TargetAdded':
      return {
        ...target(event),
        customer_id: event.customerId,
        life: event.life,
        external_id: event.externalId,
        name: event.name,
        detail: event.detail,
        data: event.data,
        priority: event.priority,
        destinations: event.destinations,
        limits: storedLimits(event.limits),
        ...storedChange(event.change),
      };
    case 'TargetUpdated':
      return { ...target(event), changes: storedTargetChanges(event.changes), ...storedChange(event.change) };
    case 'DialAttemptStarted':
      return { ...target(event), ...storedAttempt(event.attempt), policy: storedPolicy(event.policy), ...storedChange(event.change) };
    case 'LeaseExtended':
      return { ...target(event), attempt_id: event.attemptId, tm_expire: event.tmExpire };
    case 'OutcomeRecorded':
      return { ...target(event), ...storedEnd(event), ...storedChange(event.change) };
    case 'LeaseExpired':
    case 'LeaseReleased':
      return {
        ...target(event),
        attempt_id: event.attemptId,
        destination_index: event.destinationIndex,
        tm_end: event.tmEnd,
        ...storedChange(event.change),
      };
    case 'LateOutcomeRecorded':
      return { ...target(event), ...storedEnd(event), previous_outcome: event.previousOutcome, ...storedChange(event.change) };
    case 'OutcomeAnnotated':
      return { ...target(event), attempt_id: event.attemptId, disposition: event.disposition, note: event.note };
    case 'DestinationExhausted':
      return { ...target(event), destination_index: event.destinationIndex, reason: event.reason, ...storedChange(event.change) };
    case 'TargetCanceled':
      return { ...target(event), reason: event.reason, ...storedChange(event.change) };
    case 'TargetEnded':
    case 'TargetRemoved':
      return { ...target(event), ...storedChange(event.change) };
    case 'OutplanCreated':
      return {
        outplan_id: event.outplanId,
        customer_id: event.customerId,
        name: event.name,
        detail: event.detail,
        policy: storedPolicy(event.policy),
      };
    case 'OutplanUpdated': {
      const { name, detail, policy } = event.changes;
      return { outplan_id: event.outplanId, changes: present({ name, detail, policy: policy && storedPolicyChanges(policy) }) };
    }
    case 'OutplanDeleted':
      return { outplan_id: event.outplanId };
    case 'CustomerCreated':
      return {
        customer_id: event.customerId,
        name: event.name,
        detail: event.detail,
        username: event.username,
        password_hash: event.passwordHash,
        admin: event.admin,
      };
    case 'PasswordChanged':
      return { customer_id: event.customerId, password_hash: event.passwordHash };
    case 'CustomerDeleted':
      return { customer_id: event.customerId };
    case 'AccessKeyCreated':
      return {
        access_key_id: event.accessKeyId,
        customer_id: event.customerId,
        name: event.name,
        detail: event.detail,
        tm_expire: event.tmExpire,
      };
    case 'AccessKeyDeleted':
      return { access_key_id: event.accessKeyId };
    case 'DeploymentCreated':
      return { secret_fingerprint: event.secretFingerprint };
  }
}

const storedPolicyChanges = ({ source, dialTimeout, tryInterval, maxTryCounts, retry }: Partial<DialPolicy>): Stored =>
  present({ source, dial_timeout: dialTimeout, try_interval: tryInterval, max_try_counts: maxTryCounts, retry });
const domainPolicyChanges = (stored: Partial<StoredPolicy>): Partial<DialPolicy> =>
  present({
    source: stored.source,
    dialTimeout: stored.dial_timeout,
    tryInterval: stored.try_interval,
    maxTryCounts: stored.max_try_counts,
    retry: stored.retry,
  });

/** The inverse of `storedShape`. What the store holds was written by it, so members are taken at their word; a missing part throws. */
function domainEvent(type: EventType, tm: Micros, data: Stored): DialingEvent {
  switch (type) {
    case 'OutdialCreated':
      return {
        type,
        tm,
        outdialId: data.outdial_id as string,
        customerId: data.customer_id as string,
        name: data.name as string,
        detail: data.detail as string,
        data: data.data as string,
        campaignId: data.campaign_id as string,
        outplanId: data.outplan_id as string,
      };
    case 'OutdialUpdated': {
      const { outplan_id: outplanId, ...others } = data.changes as Stored;
      return { type, tm, outdialId: data.outdial_id as string, changes: present({ ...others, outplanId }) };
    }
    case 'CampaignAttached':
      return { type, tm, outdialId: data.outdial_id as string, campaignId: data.campaign_id as string };
    case 'OutdialPaused':
    case 'OutdialResumed':
    case 'OutdialArchived':
    case 'OutdialDeleted':
      return { type, tm, outdialId: data.outdial_id as string };
    case 'TargetAdded':
      return {
        type,
        tm,
        ...targetIds(data),
        customerId: data.customer_id as string,
        life: data.life as number,
        externalId: data.external_id as string | null,
        name: data.name as string,
        detail: data.detail as string,
        data: data.data as string,
        priority: data.priority as number,
        destinations: data.destinations as Extract<TargetEvent, { readonly type: 'TargetAdded' }>['destinations'],
        limits: domainLimits(data.limits as StoredLimits),
        change: domainChange(data),
      };
    case 'TargetUpdated':
      return { type, tm, ...targetIds(data), changes: domainTargetChanges(data.changes as Stored), change: domainChange(data) };
    case 'DialAttemptStarted':
      return {
        type,
        tm,
        ...targetIds(data),
        attempt: domainAttempt(data),
        policy: domainPolicy(data.policy as StoredPolicy),
        change: domainChange(data),
      };
    case 'LeaseExtended':
      return { type, tm, ...targetIds(data), attemptId: data.attempt_id as string, tmExpire: data.tm_expire as Micros };
    case 'OutcomeRecorded':
      return { type, tm, ...targetIds(data), ...domainEnd(data), change: domainChange(data) };
    case 'LeaseExpired':
    case 'LeaseReleased':
      return {
        type,
        tm,
        ...targetIds(data),
        attemptId: data.attempt_id as string,
        destinationIndex: data.destination_index as DestinationIndex,
        tmEnd: data.tm_end as Micros,
        change: domainChange(data),
      };
    case 'LateOutcomeRecorded':
      return {
        type,
        tm,
        ...targetIds(data),
        ...domainEnd(data),
        previousOutcome: data.previous_outcome as ReportedEnd['outcome'],
        change: domainChange(data),
      };
    case 'OutcomeAnnotated':
      return {
        type,
        tm,
        ...targetIds(data),
        attemptId: data.attempt_id as string,
        disposition: data.disposition as string | null,
        note: data.note as string | null,
      };
    case 'DestinationExhausted':
      return {
        type,
        tm,
        ...targetIds(data),
        destinationIndex: data.destination_index as DestinationIndex,
        reason: data.reason as string,
        change: domainChange(data),
      };
    case 'TargetCanceled':
      return { type, tm, ...targetIds(data), reason: data.reason as string, change: domainChange(data) };
    case 'TargetEnded':
    case 'TargetRemoved':
      return { type, tm, ...targetIds(data), change: domainChange(data) };
    case 'OutplanCreated':
      return {
        type,
        tm,
        outplanId: data.outplan_id as string,
        customerId: data.customer_id as string,
        name: data.name as string,
        detail: data.detail as string,
        policy: domainPolicy(data.policy as StoredPolicy),
      };
    case 'OutplanUpdated': {
      const { policy, ...others } = data.changes as Stored;
      const changes = policy === undefined ? others : { ...others, policy: domainPolicyChanges(policy as Partial<StoredPolicy>) };
      return { type, tm, outplanId: data.outplan_id as string, changes };
    }
    case 'OutplanDeleted':
      return { type, tm, outplanId: data.outplan_id as string };
    case 'CustomerCreated':
      return {
        type,
        tm,
        customerId: data.customer_id as string,
        name: data.name as string,
        detail: data.detail as string,
        username: data.username as string,
        passwordHash: data.password_hash as string,
        admin: data.admin as boolean,
      };
    case 'PasswordChanged':
      return { type, tm, customerId: data.customer_id as string, passwordHash: data.password_hash as string };
    case 'CustomerDeleted':
      return { type, tm, customerId: data.customer_id as string };
    case 'AccessKeyCreated':
      return {
        type,
        tm,
        accessKeyId: data.access_key_id as string,
        customerId: data.customer_id as string,
        name: data.name as string,
        detail: data.detail as string,
        tmExpire: data.tm_expire as Micros,
      };
    case 'AccessKeyDeleted':
      return { type, tm, accessKeyId: data.access_key_id as string };
    case 'DeploymentCreated':
      return { type, tm, secretFingerprint: data.secret_fingerprint as string };
  }
}
