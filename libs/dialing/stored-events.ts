/* eslint-disable max-lines -- One table of all stored shapes: nothing else in the house may know them. */
import type { AccessKeyEvent } from './access-key';
import type { Address, AddressType } from './address';
import type { CustomerEvent } from './customer';
import type { DeploymentEvent } from './deployment';
import { DESTINATIONS, type DestinationIndex, type Five } from './five';
import { REPORTED_OUTCOMES, type Outcome, type ReportedOutcome } from './outcomes';
import type { OutdialEvent } from './outdial';
import type { Change, DoneReason, Standing, StartedAttempt, TargetChanges, TargetEvent, TargetStatus } from './outdial-target';
import type { DialPolicy, OutplanChanges, OutplanEvent, TargetLimits } from './outplan';
import type { Micros } from './time';

export type DialingEvent = OutdialEvent | TargetEvent | OutplanEvent | CustomerEvent | AccessKeyEvent | DeploymentEvent;

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

/** The names of streams are a storage format ("Streams", the architecture's rules). */
export const streamOf = {
  outdial: (id: string): string => `outdial-${id}`,
  target: (outdialId: string, targetId: string): string => `outdialtarget-${outdialId}.${targetId}`,
  outplan: (id: string): string => `outplan-${id}`,
  customer: (id: string): string => `customer-${id}`,
  accessKey: (id: string): string => `accesskey-${id}`,
  /** One a log. */
  deployment: (): string => 'deployment-main',
};

/** The categories of all our streams: what stands before the first `-` of a name. */
export const STREAM_CATEGORIES: readonly string[] = ['outdial', 'outdialtarget', 'outplan', 'customer', 'accesskey', 'deployment'];

export interface EncodedEvent {
  readonly type: string;
  /** JSON text: what happened. Ids as text, times (tm_…) in microseconds since 1970 UTC, intervals in milliseconds. */
  readonly data: string;
  /** JSON text: when (`tm`), in which version of its type's shape (`v`), and the context. */
  readonly metadata: string;
}

/** An event that a newer release has written: leave it to one that knows it. */
export class UnknownEventType extends Error {
  readonly code = 'UnknownEventType';
  constructor(
    readonly type: string,
    readonly version: number,
  ) {
    super(`This release does not know the event type ${type} in version ${version}.`);
    this.name = 'UnknownEventType';
  }
}

/** An event whose stored text is not what its type and version promise. */
export class MalformedEvent extends Error {
  readonly code = 'MalformedEvent';
  constructor(
    readonly type: string,
    reason: string,
  ) {
    super(`A stored ${type} cannot be read: ${reason}.`);
    this.name = 'MalformedEvent';
  }
}

type EventType = DialingEvent['type'];
type EventOf<T extends EventType> = Extract<DialingEvent, { readonly type: T }>;

/** A JSON object as it comes out of the store. Written ones may have undefined members: JSON leaves them out. */
type Stored = Readonly<Record<string, unknown>>;

/** Turns a stored shape into the next version's. Pure; never changed once it was released. */
export type Upcaster = (data: Stored) => Stored;
/** By event type, the upcasters from version 1 to 2, from 2 to 3 …; a type's version is one more than it has upcasters. */
export type Upcasters = Readonly<Partial<Record<EventType, readonly Upcaster[]>>>;
const UPCASTERS: Upcasters = {};

const versionOf = (type: EventType, upcasters: Upcasters): number => (upcasters[type]?.length ?? 0) + 1;

/** An event as it is stored, in the newest version of its shape. */
export function encodeEvent(event: DialingEvent, context: EventContext): EncodedEvent {
  // By its lane projections can be spread over several owners one day; until then there is one.
  const metadata = `{"tm":${event.tm},"v":${versionOf(event.type, UPCASTERS)},"lane":0,${contextText(context)}}`;
  return { type: event.type, data: JSON.stringify(shapeOf(event.type).store(event)), metadata };
}

/** The members of a context; a bulk request has one for its thousands of events. */
const CONTEXT_TEXTS = new WeakMap<EventContext, string>();

function contextText(context: EventContext): string {
  const known = CONTEXT_TEXTS.get(context);
  if (known !== undefined) return known;
  const { customerId: customer_id, actor, correlationId: $correlationId, causationId: $causationId, traceparent } = context;
  const members = JSON.stringify({ customer_id, actor, $correlationId, $causationId, traceparent }).slice(1, -1);
  CONTEXT_TEXTS.set(context, members);
  return members;
}

/** The event again, whatever version it was written in. Throws `UnknownEventType`, `MalformedEvent`. */
export function decodeEvent({ type, data, metadata }: EncodedEvent, upcasters: Upcasters = UPCASTERS): DialingEvent {
  const { tm, v } = stampOf(type, metadata);
  if (typeof tm !== 'number' || typeof v !== 'number') throw new MalformedEvent(type, 'its metadata names no time or no version');
  if (!isEventType(type) || v > versionOf(type, upcasters)) throw new UnknownEventType(type, v);
  const steps = upcasters[type]?.slice(v - 1) ?? [];
  try {
    return shapeOf(type).load(
      steps.reduce((shape, step) => step(shape), parse(type, data)),
      tm,
    );
  } catch (error) {
    throw error instanceof MalformedEvent ? error : new MalformedEvent(type, error instanceof Error ? error.message : String(error));
  }
}

/** Who did it, in which request. Throws `MalformedEvent`. */
export function decodeContext({ type, metadata }: Pick<EncodedEvent, 'type' | 'metadata'>): EventContext {
  const stored = parse(type, metadata);
  try {
    return {
      customerId: text(stored.customer_id, 'customer_id'),
      actor: text(stored.actor, 'actor'),
      correlationId: text(stored.$correlationId, '$correlationId'),
      causationId: text(stored.$causationId, '$causationId'),
      ...(stored.traceparent === undefined ? {} : { traceparent: text(stored.traceparent, 'traceparent') }),
    };
  } catch (error) {
    throw new MalformedEvent(type, error instanceof Error ? error.message : String(error));
  }
}

/** Metadata as `encodeEvent` writes it, when nothing in it needs an escape. Only JSON fits: what it lets through, JSON.parse would read as the same two numbers. */
const PLAIN_METADATA =
  // eslint-disable-next-line no-control-regex -- JSON has no control characters in its texts.
  /^\{"tm":(0|[1-9]\d{0,15}),"v":([1-9]\d{0,8}),"lane":0,"customer_id":"[^"\\\0-\x1f]*","actor":"[^"\\\0-\x1f]*","\$correlationId":"[^"\\\0-\x1f]*","\$causationId":"[^"\\\0-\x1f]*"(?:,"traceparent":"[^"\\\0-\x1f]*")?\}$/;

/** When, and in which version. Most metadata holds ids that nobody who folds events asks for: an object of them costs twice as much as to see that they are sound. */
function stampOf(type: string, metadata: string): Stored {
  const plain = PLAIN_METADATA.exec(metadata);
  return plain === null ? parse(type, metadata) : { tm: Number(plain[1]), v: Number(plain[2]) };
}

function parse(type: string, json: string): Stored {
  try {
    return object(JSON.parse(json), 'it');
  } catch {
    throw new MalformedEvent(type, 'its text is not a JSON object');
  }
}

// ---------------------------------------------------------------- reading, with what is missing named

const wrong = (name: string, wanted: string): Error => new Error(`${name} is not ${wanted}`);

function text(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw wrong(name, 'a text');
}

function integer(value: unknown, name: string): number {
  if (Number.isSafeInteger(value)) return value as number;
  throw wrong(name, 'an integer');
}

function flag(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw wrong(name, 'true or false');
}

function object(value: unknown, name: string): Stored {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Stored;
  throw wrong(name, 'an object');
}

function list(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw wrong(name, 'a list');
}

function word<W extends string>(value: unknown, words: ReadonlySet<W>, name: string): W {
  if (words.has(value as W)) return value as W;
  throw wrong(name, `one of ${[...words].join(', ')}`);
}

function index(value: unknown, name: string): DestinationIndex {
  if (DESTINATIONS.includes(value as DestinationIndex)) return value as DestinationIndex;
  throw wrong(name, 'a destination index');
}

function integers(value: unknown, name: string): Five<number> {
  const numbers = list(value, name);
  if (numbers.length === 5 && numbers.every(Number.isSafeInteger)) return numbers as Five<number>;
  throw wrong(name, 'a list of five integers');
}

/** Absent is null. */
const orNull = <T>(value: unknown, name: string, read: (value: unknown, name: string) => T): T | null =>
  value === undefined || value === null ? null : read(value, name);

const STATUSES: ReadonlySet<TargetStatus> = new Set<TargetStatus>(['idle', 'progressing', 'done']);
const DONE_REASONS: ReadonlySet<DoneReason> = new Set<DoneReason>(['answered', 'exhausted', 'canceled']);
const REPORTED: ReadonlySet<ReportedOutcome> = new Set(REPORTED_OUTCOMES);
const OUTCOMES: ReadonlySet<Outcome> = new Set<Outcome>([...REPORTED_OUTCOMES, 'released']);
const ADDRESS_TYPES: ReadonlySet<AddressType> = new Set<AddressType>(['tel', 'sip', 'email']);

// ---------------------------------------------------------------- shapes that several events share

/** Twice in most events, so what is usual (no end, nothing exhausted, priority 0, not gone) is left out. `exhausted` lists indexes. */
const storeStanding = (standing: Standing): Stored => ({
  status: standing.status,
  done_reason: standing.doneReason ?? undefined,
  try_counts: standing.tryCounts,
  exhausted: standing.exhausted.includes(true) ? DESTINATIONS.filter((n) => standing.exhausted[n]) : undefined,
  tm_next_try: standing.due ?? undefined,
  priority: standing.priority === 0 ? undefined : standing.priority,
  gone: standing.gone ? true : undefined,
});

const NONE: Five<boolean> = [false, false, false, false, false];

function loadStanding(value: unknown, name: string): Standing {
  const stored = object(value, name);
  return {
    status: word(stored.status, STATUSES, 'status'),
    doneReason: stored.done_reason === undefined ? null : word(stored.done_reason, DONE_REASONS, 'done_reason'),
    tryCounts: integers(stored.try_counts, 'try_counts'),
    exhausted: stored.exhausted === undefined ? NONE : loadIndexes(stored.exhausted, 'exhausted'),
    due: orNull(stored.tm_next_try, 'tm_next_try', integer),
    priority: stored.priority === undefined ? 0 : integer(stored.priority, 'priority'),
    gone: stored.gone === true,
  };
}

function loadIndexes(value: unknown, name: string): Five<boolean> {
  const indexes = list(value, name);
  return [indexes.includes(0), indexes.includes(1), indexes.includes(2), indexes.includes(3), indexes.includes(4)];
}

const storeChange = ({ before, after }: Change): Stored => ({
  before: before === null ? undefined : storeStanding(before),
  after: storeStanding(after),
});

function loadChange(value: unknown): Change {
  const stored = object(value, 'change');
  return { before: orNull(stored.before, 'before', loadStanding), after: loadStanding(stored.after, 'after') };
}

const storeAddress = (address: Address): Stored => ({
  type: address.type,
  target: address.target,
  target_name: address.target_name || undefined,
  name: address.name || undefined,
  detail: address.detail || undefined,
});

function loadAddress(value: unknown, name: string): Address {
  const stored = object(value, name);
  return {
    type: word(stored.type, ADDRESS_TYPES, 'type'),
    target: text(stored.target, 'target'),
    target_name: stored.target_name === undefined ? '' : text(stored.target_name, 'target_name'),
    name: stored.name === undefined ? '' : text(stored.name, 'name'),
    detail: stored.detail === undefined ? '' : text(stored.detail, 'detail'),
  };
}

/** By index, the configured ones only. */
const storeDestinations = ([d0, d1, d2, d3, d4]: Five<Address | null>): Stored => ({
  0: d0 === null ? undefined : storeAddress(d0),
  1: d1 === null ? undefined : storeAddress(d1),
  2: d2 === null ? undefined : storeAddress(d2),
  3: d3 === null ? undefined : storeAddress(d3),
  4: d4 === null ? undefined : storeAddress(d4),
});

function loadDestinations(value: unknown, name: string): Five<Address | null> {
  const stored = object(value, name);
  return [
    orNull(stored[0], 'destination 0', loadAddress),
    orNull(stored[1], 'destination 1', loadAddress),
    orNull(stored[2], 'destination 2', loadAddress),
    orNull(stored[3], 'destination 3', loadAddress),
    orNull(stored[4], 'destination 4', loadAddress),
  ];
}

/** Absent when a target has none of its own. */
const storeLimits = ({ tryCountMax, tryCountMaxes }: TargetLimits): Stored => ({
  try_count_max: tryCountMax ?? undefined,
  try_count_maxes: tryCountMaxes.every((max) => max === null) ? undefined : tryCountMaxes,
});

const NO_LIMITS: TargetLimits = { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] };

function loadLimits(value: unknown, name: string): TargetLimits {
  const stored = object(value, name);
  if (stored.try_count_max === undefined && stored.try_count_maxes === undefined) return NO_LIMITS;
  const maxes = stored.try_count_maxes === undefined ? NO_LIMITS.tryCountMaxes : list(stored.try_count_maxes, 'try_count_maxes');
  if (maxes.length !== 5 || !maxes.every((max) => max === null || Number.isSafeInteger(max))) throw wrong('try_count_maxes', 'five limits');
  return { tryCountMax: orNull(stored.try_count_max, 'try_count_max', integer), tryCountMaxes: maxes as Five<number | null> };
}

/** Of a policy, or of what changed in one. `source` may have changed to null; `retry` is stored as the API shows it. */
const storePolicy = (policy: Partial<DialPolicy>): Stored => ({
  source: policy.source ? storeAddress(policy.source) : policy.source,
  dial_timeout: policy.dialTimeout,
  try_interval: policy.tryInterval,
  max_try_counts: policy.maxTryCounts,
  retry: policy.retry,
});

function loadPolicy(value: unknown, name: string): DialPolicy {
  const stored = object(value, name);
  return {
    source: orNull(stored.source, 'source', loadAddress),
    dialTimeout: integer(stored.dial_timeout, 'dial_timeout'),
    tryInterval: integer(stored.try_interval, 'try_interval'),
    maxTryCounts: integers(stored.max_try_counts, 'max_try_counts'),
    retry: object(stored.retry, 'retry'),
  };
}

function loadPolicyChanges(value: unknown, name: string): Partial<DialPolicy> {
  const stored = object(value, name);
  return {
    ...(stored.source === undefined ? {} : { source: orNull(stored.source, 'source', loadAddress) }),
    ...(stored.dial_timeout === undefined ? {} : { dialTimeout: integer(stored.dial_timeout, 'dial_timeout') }),
    ...(stored.try_interval === undefined ? {} : { tryInterval: integer(stored.try_interval, 'try_interval') }),
    ...(stored.max_try_counts === undefined ? {} : { maxTryCounts: integers(stored.max_try_counts, 'max_try_counts') }),
    ...(stored.retry === undefined ? {} : { retry: object(stored.retry, 'retry') }),
  };
}

const loadTexts = <N extends string>(stored: Stored, names: readonly N[]): Partial<Record<N, string>> =>
  Object.fromEntries(names.flatMap((name) => (stored[name] === undefined ? [] : [[name, text(stored[name], name)]]))) as Partial<
    Record<N, string>
  >;

const storeTargetChanges = ({ name, detail, data, priority, destinations, limits, due }: TargetChanges): Stored => ({
  name,
  detail,
  data,
  priority,
  destinations:
    destinations &&
    Object.fromEntries(
      DESTINATIONS.flatMap((n) => {
        const address = destinations[n];
        return address === undefined ? [] : [[n, address && storeAddress(address)]];
      }),
    ),
  limits: limits && storeLimits(limits),
  tm_next_try: due,
});

function loadTargetChanges(value: unknown, name: string): TargetChanges {
  const stored = object(value, name);
  const { priority, destinations, limits, tm_next_try: due } = stored;
  return {
    ...loadTexts(stored, ['name', 'detail', 'data']),
    ...(priority === undefined ? {} : { priority: integer(priority, 'priority') }),
    ...(destinations === undefined ? {} : { destinations: loadChangedDestinations(destinations, 'destinations') }),
    ...(limits === undefined ? {} : { limits: loadLimits(limits, 'limits') }),
    ...(due === undefined ? {} : { due: integer(due, 'tm_next_try') }),
  };
}

function loadChangedDestinations(value: unknown, name: string): NonNullable<TargetChanges['destinations']> {
  const stored = object(value, name);
  return Object.fromEntries(
    DESTINATIONS.flatMap((n) => (stored[n] === undefined ? [] : [[n, orNull(stored[n], `destination ${n}`, loadAddress)]])),
  );
}

const storeAttempt = (attempt: StartedAttempt): Stored => ({
  attempt_id: attempt.attemptId,
  destination_index: attempt.destinationIndex,
  destination: storeAddress(attempt.destination),
  try_count: attempt.tryCount,
  try_count_max: attempt.tryCountMax,
  dialer: attempt.dialer,
  tm_start: attempt.tmStart,
  tm_expire: attempt.tmExpire,
});

function loadAttempt(value: unknown): StartedAttempt {
  const data = object(value, 'attempt');
  return {
    attemptId: text(data.attempt_id, 'attempt_id'),
    destinationIndex: index(data.destination_index, 'destination_index'),
    destination: loadAddress(data.destination, 'destination'),
    tryCount: integer(data.try_count, 'try_count'),
    tryCountMax: integer(data.try_count_max, 'try_count_max'),
    dialer: text(data.dialer, 'dialer'),
    tmStart: integer(data.tm_start, 'tm_start'),
    tmExpire: integer(data.tm_expire, 'tm_expire'),
  };
}

// ---------------------------------------------------------------- each event: how it is stored, how it is read again

interface Shape<T extends EventType> {
  store(event: EventOf<T>): Stored;
  load(data: Stored, tm: Micros): EventOf<T>;
}

/** An event that says no more than that it happened to an outdial. */
const outdialShape = <T extends 'OutdialPaused' | 'OutdialResumed' | 'OutdialArchived' | 'OutdialDeleted'>(type: T) => ({
  store: (event: { readonly outdialId: string }): Stored => ({ outdial_id: event.outdialId }),
  load: (data: Stored, tm: Micros) => ({ type, tm, outdialId: text(data.outdial_id, 'outdial_id') }),
});

const SHAPES: { readonly [T in EventType]: Shape<T> } = {
  OutdialCreated: {
    store: (event) => ({
      outdial_id: event.outdialId,
      customer_id: event.customerId,
      name: event.name,
      detail: event.detail,
      data: event.data,
      campaign_id: event.campaignId,
      outplan_id: event.outplanId,
    }),
    load: (data, tm) => ({
      type: 'OutdialCreated',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      customerId: text(data.customer_id, 'customer_id'),
      name: text(data.name, 'name'),
      detail: text(data.detail, 'detail'),
      data: text(data.data, 'data'),
      campaignId: text(data.campaign_id, 'campaign_id'),
      outplanId: text(data.outplan_id, 'outplan_id'),
    }),
  },
  OutdialUpdated: {
    store: ({ outdialId, changes: { name, detail, data, outplanId } }) => ({
      outdial_id: outdialId,
      changes: { name, detail, data, outplan_id: outplanId },
    }),
    load: (data, tm) => {
      const changes = object(data.changes, 'changes');
      return {
        type: 'OutdialUpdated',
        tm,
        outdialId: text(data.outdial_id, 'outdial_id'),
        changes: {
          ...loadTexts(changes, ['name', 'detail', 'data']),
          ...(changes.outplan_id === undefined ? {} : { outplanId: text(changes.outplan_id, 'outplan_id') }),
        },
      };
    },
  },
  CampaignAttached: {
    store: (event) => ({ outdial_id: event.outdialId, campaign_id: event.campaignId }),
    load: (data, tm) => ({
      type: 'CampaignAttached',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      campaignId: text(data.campaign_id, 'campaign_id'),
    }),
  },
  OutdialPaused: outdialShape('OutdialPaused'),
  OutdialResumed: outdialShape('OutdialResumed'),
  OutdialArchived: outdialShape('OutdialArchived'),
  OutdialDeleted: outdialShape('OutdialDeleted'),

  TargetAdded: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      customer_id: event.customerId,
      life: event.life,
      external_id: event.externalId ?? undefined,
      name: event.name,
      detail: event.detail,
      data: event.data,
      priority: event.priority,
      destinations: storeDestinations(event.destinations),
      limits: storeLimits(event.limits),
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'TargetAdded',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      customerId: text(data.customer_id, 'customer_id'),
      life: integer(data.life, 'life'),
      externalId: orNull(data.external_id, 'external_id', text),
      name: text(data.name, 'name'),
      detail: text(data.detail, 'detail'),
      data: text(data.data, 'data'),
      priority: integer(data.priority, 'priority'),
      destinations: loadDestinations(data.destinations, 'destinations'),
      limits: loadLimits(data.limits, 'limits'),
      change: loadChange(data.change),
    }),
  },
  TargetUpdated: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      changes: storeTargetChanges(event.changes),
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'TargetUpdated',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      changes: loadTargetChanges(data.changes, 'changes'),
      change: loadChange(data.change),
    }),
  },
  DialAttemptStarted: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      attempt: storeAttempt(event.attempt),
      policy: storePolicy(event.policy),
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'DialAttemptStarted',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attempt: loadAttempt(data.attempt),
      policy: loadPolicy(data.policy, 'policy'),
      change: loadChange(data.change),
    }),
  },
  LeaseExtended: {
    store: (event) => ({ outdial_id: event.outdialId, target_id: event.targetId, attempt_id: event.attemptId, tm_expire: event.tmExpire }),
    load: (data, tm) => ({
      type: 'LeaseExtended',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attemptId: text(data.attempt_id, 'attempt_id'),
      tmExpire: integer(data.tm_expire, 'tm_expire'),
    }),
  },
  OutcomeRecorded: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      attempt_id: event.attemptId,
      destination_index: event.destinationIndex,
      outcome: event.outcome,
      disposition: event.disposition ?? undefined,
      note: event.note ?? undefined,
      tm_end: event.tmEnd,
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'OutcomeRecorded',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attemptId: text(data.attempt_id, 'attempt_id'),
      destinationIndex: index(data.destination_index, 'destination_index'),
      tmEnd: integer(data.tm_end, 'tm_end'),
      outcome: word(data.outcome, REPORTED, 'outcome'),
      disposition: orNull(data.disposition, 'disposition', text),
      note: orNull(data.note, 'note', text),
      change: loadChange(data.change),
    }),
  },
  LeaseExpired: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      attempt_id: event.attemptId,
      destination_index: event.destinationIndex,
      tm_end: event.tmEnd,
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'LeaseExpired',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attemptId: text(data.attempt_id, 'attempt_id'),
      destinationIndex: index(data.destination_index, 'destination_index'),
      tmEnd: integer(data.tm_end, 'tm_end'),
      change: loadChange(data.change),
    }),
  },
  LeaseReleased: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      attempt_id: event.attemptId,
      destination_index: event.destinationIndex,
      tm_end: event.tmEnd,
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'LeaseReleased',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attemptId: text(data.attempt_id, 'attempt_id'),
      destinationIndex: index(data.destination_index, 'destination_index'),
      tmEnd: integer(data.tm_end, 'tm_end'),
      change: loadChange(data.change),
    }),
  },
  LateOutcomeRecorded: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      attempt_id: event.attemptId,
      destination_index: event.destinationIndex,
      outcome: event.outcome,
      disposition: event.disposition ?? undefined,
      note: event.note ?? undefined,
      tm_end: event.tmEnd,
      previous_outcome: event.previousOutcome,
      try_count: event.tryCount,
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'LateOutcomeRecorded',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attemptId: text(data.attempt_id, 'attempt_id'),
      destinationIndex: index(data.destination_index, 'destination_index'),
      tmEnd: integer(data.tm_end, 'tm_end'),
      outcome: word(data.outcome, REPORTED, 'outcome'),
      disposition: orNull(data.disposition, 'disposition', text),
      note: orNull(data.note, 'note', text),
      previousOutcome: word(data.previous_outcome, OUTCOMES, 'previous_outcome'),
      tryCount: integer(data.try_count, 'try_count'),
      change: loadChange(data.change),
    }),
  },
  OutcomeAnnotated: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      attempt_id: event.attemptId,
      disposition: event.disposition ?? undefined,
      note: event.note ?? undefined,
    }),
    load: (data, tm) => ({
      type: 'OutcomeAnnotated',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      attemptId: text(data.attempt_id, 'attempt_id'),
      disposition: orNull(data.disposition, 'disposition', text),
      note: orNull(data.note, 'note', text),
    }),
  },
  DestinationExhausted: {
    store: (event) => ({
      outdial_id: event.outdialId,
      target_id: event.targetId,
      destination_index: event.destinationIndex,
      reason: event.reason,
      change: storeChange(event.change),
    }),
    load: (data, tm) => ({
      type: 'DestinationExhausted',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      destinationIndex: index(data.destination_index, 'destination_index'),
      reason: text(data.reason, 'reason'),
      change: loadChange(data.change),
    }),
  },
  TargetCanceled: {
    store: (event) => ({ outdial_id: event.outdialId, target_id: event.targetId, reason: event.reason, change: storeChange(event.change) }),
    load: (data, tm) => ({
      type: 'TargetCanceled',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      reason: text(data.reason, 'reason'),
      change: loadChange(data.change),
    }),
  },
  TargetEnded: {
    store: (event) => ({ outdial_id: event.outdialId, target_id: event.targetId, change: storeChange(event.change) }),
    load: (data, tm) => ({
      type: 'TargetEnded',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      change: loadChange(data.change),
    }),
  },
  TargetRemoved: {
    store: (event) => ({ outdial_id: event.outdialId, target_id: event.targetId, change: storeChange(event.change) }),
    load: (data, tm) => ({
      type: 'TargetRemoved',
      tm,
      outdialId: text(data.outdial_id, 'outdial_id'),
      targetId: text(data.target_id, 'target_id'),
      change: loadChange(data.change),
    }),
  },

  OutplanCreated: {
    store: (event) => ({
      outplan_id: event.outplanId,
      customer_id: event.customerId,
      name: event.name,
      detail: event.detail,
      policy: storePolicy(event.policy),
    }),
    load: (data, tm) => ({
      type: 'OutplanCreated',
      tm,
      outplanId: text(data.outplan_id, 'outplan_id'),
      customerId: text(data.customer_id, 'customer_id'),
      name: text(data.name, 'name'),
      detail: text(data.detail, 'detail'),
      policy: loadPolicy(data.policy, 'policy'),
    }),
  },
  OutplanUpdated: {
    store: ({ outplanId, changes: { name, detail, policy } }) => ({
      outplan_id: outplanId,
      changes: { name, detail, policy: policy && storePolicy(policy) },
    }),
    load: (data, tm) => {
      const stored = object(data.changes, 'changes');
      const changes: OutplanChanges = {
        ...loadTexts(stored, ['name', 'detail']),
        ...(stored.policy === undefined ? {} : { policy: loadPolicyChanges(stored.policy, 'policy') }),
      };
      return { type: 'OutplanUpdated', tm, outplanId: text(data.outplan_id, 'outplan_id'), changes };
    },
  },
  OutplanDeleted: {
    store: (event) => ({ outplan_id: event.outplanId }),
    load: (data, tm) => ({ type: 'OutplanDeleted', tm, outplanId: text(data.outplan_id, 'outplan_id') }),
  },

  CustomerCreated: {
    store: (event) => ({
      customer_id: event.customerId,
      name: event.name,
      detail: event.detail,
      username: event.username,
      password_hash: event.passwordHash,
      admin: event.admin,
    }),
    load: (data, tm) => ({
      type: 'CustomerCreated',
      tm,
      customerId: text(data.customer_id, 'customer_id'),
      name: text(data.name, 'name'),
      detail: text(data.detail, 'detail'),
      username: text(data.username, 'username'),
      passwordHash: text(data.password_hash, 'password_hash'),
      admin: flag(data.admin, 'admin'),
    }),
  },
  PasswordChanged: {
    store: (event) => ({ customer_id: event.customerId, password_hash: event.passwordHash }),
    load: (data, tm) => ({
      type: 'PasswordChanged',
      tm,
      customerId: text(data.customer_id, 'customer_id'),
      passwordHash: text(data.password_hash, 'password_hash'),
    }),
  },
  CustomerDeleted: {
    store: (event) => ({ customer_id: event.customerId }),
    load: (data, tm) => ({ type: 'CustomerDeleted', tm, customerId: text(data.customer_id, 'customer_id') }),
  },

  AccessKeyCreated: {
    store: (event) => ({
      access_key_id: event.accessKeyId,
      customer_id: event.customerId,
      name: event.name,
      detail: event.detail,
      tm_expire: event.tmExpire,
    }),
    load: (data, tm) => ({
      type: 'AccessKeyCreated',
      tm,
      accessKeyId: text(data.access_key_id, 'access_key_id'),
      customerId: text(data.customer_id, 'customer_id'),
      name: text(data.name, 'name'),
      detail: text(data.detail, 'detail'),
      tmExpire: integer(data.tm_expire, 'tm_expire'),
    }),
  },
  AccessKeyDeleted: {
    store: (event) => ({ access_key_id: event.accessKeyId }),
    load: (data, tm) => ({ type: 'AccessKeyDeleted', tm, accessKeyId: text(data.access_key_id, 'access_key_id') }),
  },

  DeploymentCreated: {
    store: (event) => ({ secret_fingerprint: event.secretFingerprint }),
    load: (data, tm) => ({ type: 'DeploymentCreated', tm, secretFingerprint: text(data.secret_fingerprint, 'secret_fingerprint') }),
  },
};

/** Every event type there is: each needs a fixture of every version ever written. */
export const EVENT_TYPES = Object.keys(SHAPES) as readonly EventType[];

const isEventType = (type: string): type is EventType => Object.hasOwn(SHAPES, type);

/** The table's types cannot say that an event fits the shape found under its own type. */
const shapeOf = (type: EventType): Shape<EventType> => SHAPES[type] as Shape<EventType>;
