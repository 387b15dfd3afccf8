import type { DestinationIndex, DialingEvent, DoneReason, Five, Micros, Outcome, Standing, TargetEvent, TargetStatus } from '#dialing';

/** What a live stream tells of one event (the API contract, Reading what happened). */
export interface TargetMessage {
  readonly targetId: string;
  readonly outdialId: string;
  readonly status: TargetStatus;
  /** null when the target was added. */
  readonly previousStatus: TargetStatus | null;
  readonly doneReason: DoneReason | null;
  /** The destination that the event is about; null when it is about none. */
  readonly destinationIndex: DestinationIndex | null;
  readonly tryCounts: Five<number>;
  readonly outcome: Outcome | null;
  /** Deleted; it may still be at the end of its last attempt. */
  readonly deleted: boolean;
  readonly tm: Micros;
}

/** The message of an event that changes a target's status, a count, exhaustion or deletion; null for every other event. */
export function targetMessage(event: DialingEvent): TargetMessage | null {
  if (!('targetId' in event) || !('change' in event)) return null;
  const { before, after } = event.change;
  const removed = event.type === 'TargetRemoved';
  if (before !== null && !removed && !differs(before, after)) return null;
  return {
    targetId: event.targetId,
    outdialId: event.outdialId,
    status: after.status,
    previousStatus: before?.status ?? null,
    doneReason: after.doneReason,
    destinationIndex: destinationOf(event),
    tryCounts: after.tryCounts,
    outcome: outcomeOf(event),
    deleted: removed || after.gone,
    tm: event.tm,
  };
}

const differs = (before: Standing, after: Standing): boolean =>
  before.status !== after.status ||
  before.gone !== after.gone ||
  before.tryCounts.some((count, at) => count !== after.tryCounts[at]) ||
  before.exhausted.some((exhausted, at) => exhausted !== after.exhausted[at]);

function destinationOf(event: TargetEvent): DestinationIndex | null {
  if (event.type === 'DialAttemptStarted') return event.attempt.destinationIndex;
  return 'destinationIndex' in event ? event.destinationIndex : null;
}

function outcomeOf(event: TargetEvent): Outcome | null {
  switch (event.type) {
    case 'OutcomeRecorded':
    case 'LateOutcomeRecorded':
      return event.outcome;
    case 'LeaseExpired':
      return 'unknown';
    case 'LeaseReleased':
      return 'released';
    case 'TargetAdded':
    case 'TargetUpdated':
    case 'DialAttemptStarted':
    case 'LeaseExtended':
    case 'OutcomeAnnotated':
    case 'DestinationExhausted':
    case 'TargetCanceled':
    case 'TargetEnded':
    case 'TargetRemoved':
      return null;
  }
}
