import { stringify } from 'csv-stringify/sync';
import type { Options } from 'csv-stringify/sync';
import { formatMicros } from '#dialing/replay';
import { attemptRows, ChainTally, summarize } from '#application/audit';
import type { AuditedAttempt, AuditedOutdial, AuditPeriod, AuditSummary, ChainVerdict } from '#application/audit';
import type { Verification } from '#application/audit-verify';
import type { Position, Share, StreamLog } from '#event-store';
import type { ReadSource } from '#read-models';
import { addressWire, consistencyToken } from '../wire';
import type { attemptWire } from '../wire';
import { reportPage } from './report-page';

/** What is to be told of an outdial. Plain data: it travels to another thread. */
export type AuditTask = AuditPeriod & { readonly outdialId: string; readonly upTo: Position } & (
    | { readonly kind: 'attempts'; readonly format: AuditFormat }
    | { readonly kind: 'summary' | 'verify' }
    | { readonly kind: 'page'; readonly name: string; readonly detail: string; readonly madeAt: string }
  );

export type AuditFormat = 'json' | 'ndjson' | 'csv';

/** Where it is told from. `share`: when several threads tell it together, as they can the attempts. */
export interface AuditSources {
  readonly log: StreamLog & { readonly logId: string };
  readonly models: ReadSource;
  readonly share?: Share | undefined;
}

/** A part of an answer. */
export interface AuditPiece {
  /** Its place in the answer, from 0; each place is taken once, by whichever thread made it. */
  readonly at: number;
  readonly text: string;
  /** What it adds to the verdict that ends a report of attempts; null for other tasks. */
  readonly chain: ChainVerdict | null;
}

/** What a thread adds to the answer to a task, in the order of the places. */
export async function* auditPieces(task: AuditTask, { log, models, share }: AuditSources): AsyncGenerator<AuditPiece> {
  const outdial: AuditedOutdial = { log, outdialId: task.outdialId, upTo: task.upTo, ...(share && { share }) };
  if (task.kind === 'attempts') {
    yield* attemptPieces(task, outdial, log.logId);
    return;
  }
  let at = 0;
  for await (const text of whole(task, outdial, log.logId, models)) yield { at: at++, text, chain: null };
}

/** A piece for each number: a message for each batch would cost more than what is in it. */
async function* attemptPieces(
  task: Extract<AuditTask, { kind: 'attempts' }>,
  outdial: AuditedOutdial,
  logId: string,
): AsyncGenerator<AuditPiece> {
  const { rowsText, between } = FORMATS[task.format];
  let texts: string[] = [];
  let tally = new ChainTally();
  let open: number | null = null;
  const piece = (at: number): AuditPiece => ({ at, text: texts.join(between), chain: tally.verdict() });
  for await (const { at, rows, chain } of attemptRows(outdial, task)) {
    if (open !== null && open !== at) {
      yield piece(open);
      texts = [];
      tally = new ChainTally();
    }
    open = at;
    tally.add(chain);
    if (rows.length > 0) texts.push(rowsText(rows.map((row) => auditRowWire(row, logId))));
  }
  if (open !== null) yield piece(open);
}

async function* whole(
  task: Exclude<AuditTask, { kind: 'attempts' }>,
  outdial: AuditedOutdial,
  logId: string,
  models: ReadSource,
): AsyncGenerator<string> {
  switch (task.kind) {
    case 'summary':
      yield JSON.stringify(summaryWire(await summarize(outdial, task), task.upTo, logId));
      break;
    case 'verify':
      yield JSON.stringify(verificationWire(await verify(outdial, models), task.upTo, logId));
      break;
    case 'page':
      yield* reportPage(outdial, task);
      break;
  }
}

/** Loaded when it is asked for: no other task looks at a read model. */
async function verify(outdial: AuditedOutdial, models: ReadSource): Promise<Verification> {
  const [{ verifyOutdial }, { openReadStore, READ_MODELS }] = await Promise.all([
    import('#application/audit-verify'),
    import('#read-models'),
  ]);
  const reads = await openReadStore(models, READ_MODELS);
  try {
    return await verifyOutdial(outdial, reads);
  } finally {
    await reads.close();
  }
}

/** What stands around the pieces of a report of attempts. */
export interface AuditFrame {
  readonly head: string;
  readonly between: string;
  readonly tail: (verdict: ChainVerdict) => string;
}

export const frameOf = (task: AuditTask): AuditFrame => (task.kind === 'attempts' ? FORMATS[task.format] : BARE);

const BARE: AuditFrame = { head: '', between: '', tail: () => '' };

interface Format extends AuditFrame {
  /** Of one row or more. */
  readonly rowsText: (rows: readonly Row[]) => string;
}

const FORMATS: Readonly<Record<AuditFormat, Format>> = {
  json: {
    head: '{"result":[',
    between: ',',
    rowsText: (rows) => rows.map((row) => JSON.stringify(row)).join(','),
    tail: (verdict) => `],"chain":${JSON.stringify(chainWire(verdict))}}`,
  },

  /** A record that does not hold ends with a line that says so; every row says it of its own target, too. */
  ndjson: {
    ...BARE,
    rowsText: (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
    tail: (verdict) => (verdict.ok ? '' : `${JSON.stringify({ chain: chainWire(verdict) })}\n`),
  },

  csv: {
    ...BARE,
    get head() {
      return stringify([COLUMNS.map(([name]) => name)], CSV);
    },
    rowsText: (rows) =>
      stringify(
        rows.map((row) => COLUMNS.map(([, of]) => of(row))),
        CSV,
      ),
  },
};

const CSV: Options = { record_delimiter: 'windows', cast: { boolean: String } };

/**
 * An attempt (every member of attemptWire, or it does not compile; in one literal, since assigning to that one's answer makes a report a fourteenth slower), whom it was for,
 * under which limits, and the events that say so.
 */
const auditRowWire = ({ attempt, target, policy, events, chainOk }: AuditedAttempt, logId: string) =>
  ({
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
  }) satisfies ReturnType<typeof attemptWire> & Readonly<Record<string, unknown>>;
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

function verificationWire({ chain, ...found }: Verification, upTo: Position, logId: string) {
  const differences = found.differences.map(({ id, field, events, readModel }) => ({ id, field, events, read_model: readModel }));
  return { ...found, differences, chain: chainWire(chain), upto: consistencyToken(logId, upTo) };
}
