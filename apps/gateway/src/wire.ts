import { formatMicros } from '#dialing/replay';
import type { AccessKey, Address, Attempt, Customer, Micros, Outdial, Outplan, Target } from '#dialing';
import type { Position, RecordedEvent } from '#event-store';
import type { Lease, TargetMessage, WebhookStanding, Wording } from '#application';
import type { Progress } from '#read-models';

/**
 * What the domain's values look like to callers: the document's fields first, in its order, then ours (the API contract). Plain object literals: a response may
 * hold a thousand of them.
 */

/** A position as it is told: base64url of `<log id>:<position>`. Positions of different logs do not compare. */
export const consistencyToken = (logId: string, position: Position): string => Buffer.from(`${logId}:${position}`).toString('base64url');

export const addressWire = (value: Address | null): Address | null =>
  value === null
    ? null
    : { type: value.type, target: value.target, target_name: value.target_name, name: value.name, detail: value.detail };

export const outdialWire = (outdial: Outdial) => ({
  id: outdial.id,
  campaign_id: outdial.campaignId,
  name: outdial.name,
  detail: outdial.detail,
  data: outdial.data,
  tm_create: formatMicros(outdial.tmCreate),
  tm_update: formatMicros(outdial.tmUpdate),
  tm_delete: formatMicros(outdial.tmDelete),
  outplan_id: outdial.outplanId,
  state: outdial.mode,
});

export const outplanWire = ({ policy, ...outplan }: Outplan) => ({
  id: outplan.id,
  name: outplan.name,
  detail: outplan.detail,
  source: addressWire(policy.source),
  dial_timeout: policy.dialTimeout,
  try_interval: policy.tryInterval,
  max_try_count_0: policy.maxTryCounts[0],
  max_try_count_1: policy.maxTryCounts[1],
  max_try_count_2: policy.maxTryCounts[2],
  max_try_count_3: policy.maxTryCounts[3],
  max_try_count_4: policy.maxTryCounts[4],
  tm_create: formatMicros(outplan.tmCreate),
  tm_update: formatMicros(outplan.tmUpdate),
  tm_delete: formatMicros(outplan.tmDelete),
  retry: policy.retry,
});

export const targetWire = (target: Target) => ({
  id: target.id,
  outdial_id: target.outdialId,
  name: target.name,
  detail: target.detail,
  data: target.data,
  status: target.status,
  destination_0: addressWire(target.destinations[0]),
  destination_1: addressWire(target.destinations[1]),
  destination_2: addressWire(target.destinations[2]),
  destination_3: addressWire(target.destinations[3]),
  destination_4: addressWire(target.destinations[4]),
  try_count_0: target.tryCounts[0],
  try_count_1: target.tryCounts[1],
  try_count_2: target.tryCounts[2],
  try_count_3: target.tryCounts[3],
  try_count_4: target.tryCounts[4],
  tm_create: formatMicros(target.tmCreate),
  tm_update: formatMicros(target.tmUpdate),
  tm_delete: formatMicros(target.tmDelete),
  external_id: target.externalId,
  priority: target.priority,
  try_count_max: target.limits.tryCountMax,
  try_count_max_0: target.limits.tryCountMaxes[0],
  try_count_max_1: target.limits.tryCountMaxes[1],
  try_count_max_2: target.limits.tryCountMaxes[2],
  try_count_max_3: target.limits.tryCountMaxes[3],
  try_count_max_4: target.limits.tryCountMaxes[4],
  exhausted: target.exhausted,
  done_reason: target.doneReason,
  tm_next_try: formatMicros(target.due),
});

/** A target as it is added: what its owner says of it, and nothing that became of it. */
export const newTargetWire = (target: Target) => ({
  external_id: target.externalId,
  name: target.name,
  detail: target.detail,
  data: target.data,
  priority: target.priority,
  destination_0: addressWire(target.destinations[0]),
  destination_1: addressWire(target.destinations[1]),
  destination_2: addressWire(target.destinations[2]),
  destination_3: addressWire(target.destinations[3]),
  destination_4: addressWire(target.destinations[4]),
  try_count_max: target.limits.tryCountMax,
  try_count_max_0: target.limits.tryCountMaxes[0],
  try_count_max_1: target.limits.tryCountMaxes[1],
  try_count_max_2: target.limits.tryCountMaxes[2],
  try_count_max_3: target.limits.tryCountMaxes[3],
  try_count_max_4: target.limits.tryCountMaxes[4],
});

export const attemptWire = (attempt: Attempt, target: Pick<Target, 'id' | 'outdialId'>) => ({
  attempt_id: attempt.attemptId,
  outdial_id: target.outdialId,
  target_id: target.id,
  destination_index: attempt.destinationIndex,
  destination: addressWire(attempt.destination),
  try_count: attempt.tryCount,
  try_count_max: attempt.tryCountMax,
  dialer: attempt.dialer,
  dial_timeout: attempt.dialTimeout,
  source: addressWire(attempt.source),
  tm_start: formatMicros(attempt.tmStart),
  tm_expire: formatMicros(attempt.tmExpire),
  tm_end: formatMicros(attempt.tmEnd),
  outcome: attempt.outcome,
  disposition: attempt.disposition,
  note: attempt.note,
  late: attempt.late,
});

/** An attempt, and whom to dial. Assigned, for a claim has a thousand of them: spread into a literal the same members take ten times as long. */
export const leaseWire = ({ attempt, target }: Lease) =>
  Object.assign(attemptWire(attempt, target), {
    name: target.name,
    detail: target.detail,
    data: target.data,
    external_id: target.externalId,
  });

export const progressWire = (progress: Progress) => ({
  targets: progress.targets,
  done: progress.done,
  attempts: {
    total: progress.attempts.total,
    by_outcome: progress.attempts.byOutcome,
    by_destination: progress.attempts.byDestination,
    answered_by_destination: progress.attempts.answeredByDestination,
    by_try: progress.attempts.byTry,
    answered_by_try: progress.attempts.answeredByTry,
    by_minute: progress.attempts.byMinute.map(({ tm, ended, answered }) => ({ tm: formatMicros(tm), ended, answered })),
  },
  callable: progress.callable,
  waiting: progress.waiting,
  next_callable_at: formatMicros(progress.nextCallableAt),
  penetration: progress.penetration,
  connect_rate: progress.connectRate,
  tm: formatMicros(progress.tm),
});

export const accessKeyWire = (key: AccessKey) => ({
  id: key.id,
  customer_id: key.customerId,
  name: key.name,
  detail: key.detail,
  tm_expire: formatMicros(key.tmExpire),
  tm_create: formatMicros(key.tmCreate),
  tm_update: formatMicros(key.tmUpdate),
  tm_delete: formatMicros(key.tmDelete),
});

/** An event as it was stored; its texts are JSON, and are answered as such. */
export function storedEventWire({ id, type, revision, stream, position, data, metadata, hash }: RecordedEvent, logId: string) {
  const told = JSON.parse(metadata) as { readonly tm: Micros };
  return {
    id,
    type,
    revision,
    stream,
    position: consistencyToken(logId, position),
    tm: formatMicros(told.tm),
    data: JSON.parse(data) as object,
    metadata: told,
    hash,
  };
}

/** Messages as server-sent events. */
export const sseWording = (logId: string): Wording => ({
  message: (message, position) =>
    `event: target\nid: ${consistencyToken(logId, position)}\ndata: ${JSON.stringify(targetMessageWire(message))}\n\n`,
  point: (position) => `id: ${consistencyToken(logId, position)}\n\n`,
});

export const targetMessageWire = (message: TargetMessage) => ({
  target_id: message.targetId,
  outdial_id: message.outdialId,
  status: message.status,
  previous_status: message.previousStatus,
  done_reason: message.doneReason,
  destination_index: message.destinationIndex,
  try_count_0: message.tryCounts[0],
  try_count_1: message.tryCounts[1],
  try_count_2: message.tryCounts[2],
  try_count_3: message.tryCounts[3],
  try_count_4: message.tryCounts[4],
  outcome: message.outcome,
  deleted: message.deleted,
  tm: formatMicros(message.tm),
});

/** Never its secret. */
export const webhookWire = ({ webhook, progress }: WebhookStanding, logId: string) => ({
  id: webhook.id,
  url: webhook.url,
  events: webhook.events,
  state: progress.state,
  position: consistencyToken(logId, progress.position),
  last_error: progress.lastError,
  tm_last_delivery: formatMicros(progress.tmLastDelivery),
  parked_total: progress.parkedTotal,
  parked: progress.parked.map(({ position, event, outdialId, targetId, reason, tm }) => ({
    id: consistencyToken(logId, position),
    type: event,
    outdial_id: outdialId,
    target_id: targetId,
    reason,
    tm: formatMicros(tm),
  })),
  tm_create: formatMicros(webhook.tmCreate),
});

/** Never its password's hash. */
export const customerWire = (customer: Customer) => ({
  id: customer.id,
  name: customer.name,
  detail: customer.detail,
  username: customer.username,
  admin: customer.admin,
  tm_create: formatMicros(customer.tmCreate),
  tm_update: formatMicros(customer.tmUpdate),
  tm_delete: formatMicros(customer.tmDelete),
});
