import { stringify } from 'csv-stringify/sync';
import { formatMicros } from '#dialing';
import { Replay, summarize, verifyOutdial } from '#application/audit';
import type { AuditedAttempt, AuditedOutdial, AuditPeriod, AuditSummary, ChainVerdict } from '#application/audit';
import type { Position, StreamLog } from '#event-store';
import type { ReadStore } from '#read-models';
import { addressWire, consistencyToken } from '../wire';
import { reportPage } from './report-page';

/** What is to be told of an outdial. Plain data: it travels to another thread. */
export type AuditTask = AuditPeriod & { readonly outdialId: string; readonly upTo: Position } & (
    | { readonly kind: 'attempts'; readonly format: AuditFormat }
    | { readonly kind: 'summary' | 'verify' }
    | { readonly kind: 'page'; readonly name: string; readonly detail: string; readonly madeAt: string }
  );

export type AuditFormat = 'json' | 'ndjson' | 'csv';

/** Where it is told from. */
export interface AuditSources {
  readonly log: StreamLog & { readonly logId: string };
  readonly reads: ReadStore;
}

/** The answer to a task, piece by piece as the replay goes. */
export async function* auditText(task: AuditTask, { log, reads }: AuditSources): AsyncGenerator<string> {
  const outdial: AuditedOutdial = { log, outdialId: task.outdialId, upTo: task.upTo };
  switch (task.kind) {
    case 'attempts':
      yield* FORMATS[task.format](outdial, task, log.logId);
      break;
    case 'summary':
      yield JSON.stringify(summaryWire(await summarize(outdial, task), task.upTo, log.logId));
      break;
    case 'verify': {
      const { chain, ...found } = await verifyOutdial(outdial, reads);
      const differences = found.differences.map(({ id, field, events, readModel }) => ({ id, field, events, read_model: readModel }));
      yield JSON.stringify({ ...found, differences, chain: chainWire(chain), upto: consistencyToken(log.logId, task.upTo) });
      break;
    }
    case 'page':
      yield* reportPage(outdial, task);
      break;
  }
}

type Format = (outdial: AuditedOutdial, period: AuditPeriod, logId: string) => AsyncGenerator<string>;

const FORMATS: Readonly<Record<AuditFormat, Format>> = {
  async *json(outdial, period, logId) {
    const replay = new Replay(outdial);
    let between = '{"result":[';
    for await (const rows of replay.attempts(period)) {
      yield between + rows.map((row) => JSON.stringify(auditRowWire(row, logId))).join(',');
      between = ',';
    }
    yield `${between === ',' ? '' : between}],"chain":${JSON.stringify(chainWire(replay.verdict()))}}`;
  },

  /** A record that does not hold ends with a line that says so; every row says it of its own target, too. */
  async *ndjson(outdial, period, logId) {
    const replay = new Replay(outdial);
    for await (const rows of replay.attempts(period)) yield rows.map((row) => `${JSON.stringify(auditRowWire(row, logId))}\n`).join('');
    const verdict = replay.verdict();
    if (!verdict.ok) yield `${JSON.stringify({ chain: chainWire(verdict) })}\n`;
  },

  async *csv(outdial, period, logId) {
    yield stringify([COLUMNS.map(([name]) => name)], { record_delimiter: 'windows' });
    for await (const rows of new Replay(outdial).attempts(period)) {
      const wires = rows.map((row) => auditRowWire(row, logId));
      yield stringify(
        wires.map((wire) => COLUMNS.map(([, of]) => of(wire))),
        { record_delimiter: 'windows', cast: { boolean: String } },
      );
    }
  },
};

/**
 * An attempt (as attemptWire, in one literal: a spread followed by new members takes longer than all the rest of a row), whom it was for, under which limits,
 * and the events that say so.
 */
const auditRowWire = ({ attempt, target, policy, events, chainOk }: AuditedAttempt, logId: string) => ({
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
  name: target.name,
  external_id: target.externalId,
  try_interval: policy.tryInterval,
  max_try_count_0: policy.maxTryCounts[0],
  max_try_count_1: policy.maxTryCounts[1],
  max_try_count_2: policy.maxTryCounts[2],
  max_try_count_3: policy.maxTryCounts[3],
  max_try_count_4: policy.maxTryCounts[4],
  events: events.map(({ id, type, position, tm }) => ({ id, type, position: consistencyToken(logId, position), tm: formatMicros(tm) })),
  chain_ok: chainOk,
});
type Row = ReturnType<typeof auditRowWire>;

type Cell = string | number | boolean | null;
const PLAIN = [
  'attempt_id',
  'outdial_id',
  'target_id',
  'external_id',
  'name',
  'destination_index',
] as const satisfies readonly (keyof Row)[];
const REST = [
  'try_count',
  'try_count_max',
  'dialer',
  'dial_timeout',
  'tm_start',
  'tm_expire',
  'tm_end',
  'outcome',
  'disposition',
  'note',
  'late',
  'try_interval',
  'max_try_count_0',
  'max_try_count_1',
  'max_try_count_2',
  'max_try_count_3',
  'max_try_count_4',
  'chain_ok',
] as const satisfies readonly (keyof Row)[];

const COLUMNS: readonly (readonly [name: string, of: (row: Row) => Cell])[] = [
  ...PLAIN.map((name) => [name, (row: Row): Cell => row[name]] as const),
  ['destination_type', ({ destination }) => destination?.type ?? null],
  ['destination_target', ({ destination }) => destination?.target ?? null],
  ...REST.map((name) => [name, (row: Row): Cell => row[name]] as const),
  ['source_target', ({ source }) => source?.target ?? null],
  ['event_ids', ({ events }) => events.map(({ id }) => id).join(' ')],
  ['event_positions', ({ events }) => events.map(({ position }) => position).join(' ')],
];

const chainWire = ({ ok, events, flawed, flaws }: ChainVerdict) => ({
  ok,
  events,
  flawed,
  flaws: flaws.map(({ stream, revision, eventId, reason }) => ({ stream, revision, event_id: eventId, reason })),
});

function summaryWire(summary: AuditSummary, upTo: Position, logId: string) {
  const { targets, attempts, byOutcome, attempted } = summary;
  const { under_way = 0, answered = 0 } = byOutcome;
  const ended = attempts - under_way;
  return {
    targets,
    done: summary.done,
    attempts: {
      total: attempts,
      by_outcome: byOutcome,
      by_destination: summary.byDestination,
      answered_by_destination: summary.answeredByDestination,
      released: summary.released,
    },
    penetration: targets.total === 0 ? 0 : attempted / targets.total,
    connect_rate: ended === 0 ? 0 : answered / ended,
    tm_first_attempt: formatMicros(summary.firstStart),
    tm_last_attempt: formatMicros(summary.lastStart),
    chain: chainWire(summary.chain),
    upto: consistencyToken(logId, upTo),
  };
}
