import { foldTarget } from '#dialing/replay';
import { START } from '#event-store';
import type { Position } from '#event-store';
import { getProgressDocument, getTargets } from '#read-models';
import type { ProgressDocument, ReadStore, TargetDocument } from '#read-models';
import { ChainTally, FLAWS_KEPT, replay, replayTarget, Totals } from './audit';
import type { AuditedOutdial, AuditSummary, ChainVerdict, ReplayedTarget, Tallied } from './audit';

/** One thing that the read models say otherwise than the events. */
export interface Difference {
  /** A target's id; the outdial's when it is about the counters. */
  readonly id: string;
  readonly field: string;
  /** As JSON would have them. */
  readonly events: unknown;
  readonly readModel: unknown;
}

export interface Verification {
  readonly events: number;
  readonly targets: number;
  readonly consistent: boolean;
  /** The first hundred. */
  readonly differences: readonly Difference[];
  readonly chain: ChainVerdict;
}

/**
 * Replays an outdial and compares it with the read models: each target's document with its stream folded to the document's own revision, the counters at
 * the position they stand at. The read models must have reached `upTo` before.
 */
export async function verifyOutdial(outdial: AuditedOutdial, reads: ReadStore): Promise<Verification> {
  const counters = await getProgressDocument(reads, outdial.outdialId);
  // The counters may have gone on since the caller looked at the log's head.
  const upTo = outdial.upTo > counters.position ? outdial.upTo : counters.position;
  const tally = new ChainTally();
  const totals = new Totals();
  const differences: Difference[] = [];
  let targets = 0;
  const differ = (difference: Difference): void => {
    if (differences.length < FLAWS_KEPT) differences.push(difference);
  };
  for await (const { targets: batch, chain: part } of replay({ ...outdial, upTo })) {
    tally.add(part);
    const ids = batch.map(({ stream }) => stream.slice(stream.indexOf('.') + 1));
    const documents = new Map((await readTargets(reads, outdial.outdialId, ids)).map((document) => [document.state.id, document]));
    for (const [at, id] of ids.entries()) {
      const target = batch[at];
      if (target === undefined) continue;
      targets += 1;
      for (const difference of compareTarget(await current(outdial, target, documents.get(id)), id, documents.get(id))) differ(difference);
      countAt(totals, target, counters.position);
    }
  }
  const chain = tally.verdict();
  for (const difference of compareCounters(outdial.outdialId, totals.summary(chain), counters.document)) differ(difference);
  return { events: chain.events, targets, consistent: differences.length === 0 && chain.ok, differences, chain };
}

/** A quarantined document is a difference of its own, not an end of the comparison. */
async function readTargets(reads: ReadStore, outdialId: string, targetIds: readonly string[]): Promise<readonly TargetDocument[]> {
  try {
    return await getTargets(reads, { outdialId, targetIds });
  } catch {
    const each = await Promise.all(
      targetIds.map((id) => getTargets(reads, { outdialId, targetIds: [id] }).catch(() => [] as readonly TargetDocument[])),
    );
    return each.flat();
  }
}

/** The target, read on when its document has been written since the replay began. */
async function current({ log }: AuditedOutdial, target: ReplayedTarget, document: TargetDocument | undefined): Promise<ReplayedTarget> {
  if (document === undefined || document.head.revision <= lastRevision(target) || target.flaw !== null) return target;
  const { stream } = target;
  return replayTarget({ stream, events: await log.readStream(stream), flaw: null });
}

/** Of the last event that can be read; -1 when there is none. */
const lastRevision = ({ recorded, events }: ReplayedTarget): number => recorded[events.length - 1]?.revision ?? -1;

function compareTarget(target: ReplayedTarget, id: string, document: TargetDocument | undefined): readonly Difference[] {
  if (document === undefined) {
    return [{ id, field: 'document', events: `revision ${lastRevision(target)}`, readModel: null }];
  }
  const { revision, hash } = document.head;
  const last = revision < target.events.length ? target.recorded[revision] : undefined;
  if (last === undefined) {
    // The read model has seen an event that is gone: the stream was cut.
    return [{ id, field: 'revision', events: lastRevision(target), readModel: revision }];
  }
  const found: Difference[] = [];
  if (last.hash !== hash) found.push({ id, field: 'hash', events: last.hash, readModel: hash });
  const folded = revision === target.events.length - 1 ? target.state : foldTarget(target.events.slice(0, revision + 1));
  return [...found, ...compareFields(id, folded, document.state)];
}

function compareFields(id: string, events: object | null, readModel: object): readonly Difference[] {
  const [left, right] = [plain(events ?? {}), plain(readModel)];
  const fields = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return fields
    .filter((field) => JSON.stringify(left[field]) !== JSON.stringify(right[field]))
    .map((field) => ({ id, field, events: left[field] ?? null, readModel: right[field] ?? null }));
}

/** As it would come back from a store, members in one order. */
const plain = (value: object): Readonly<Record<string, unknown>> => sorted(JSON.parse(JSON.stringify(value))) as Record<string, unknown>;

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member)]),
  );
}

/** Counts a target as it was at a position. */
function countAt(totals: Totals, target: ReplayedTarget, position: Position): void {
  const { recorded, events } = target;
  const last = recorded[events.length - 1];
  const upTo = last !== undefined && last.position <= position;
  const state = upTo ? target.state : foldTarget(events.filter((_, at) => (recorded[at]?.position ?? START) <= position));
  if (state === null) return;
  totals.target(state);
  for (const attempt of state.attempts) totals.attempt(attempt);
}

function compareCounters(id: string, summary: AuditSummary, document: ProgressDocument): readonly Difference[] {
  const { idle, progressing, done } = summary.targets;
  const outcomes = Object.fromEntries(Object.keys(document.outcomes).map((name) => [name, summary.byOutcome[name as Tallied] ?? 0]));
  const counted = {
    statuses: { idle, progressing, done },
    doneReasons: summary.done,
    attempted: summary.attempted,
    outcomes,
    attemptsByDestination: summary.byDestination,
    answeredByDestination: summary.answeredByDestination,
  };
  const { statuses, doneReasons, attempted, attemptsByDestination, answeredByDestination } = document;
  return compareFields(id, counted, {
    statuses,
    doneReasons,
    attempted,
    outcomes: document.outcomes,
    attemptsByDestination,
    answeredByDestination,
  });
}
