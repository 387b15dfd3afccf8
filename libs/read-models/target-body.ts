import type { Address, Attempt, Five, Target } from '#dialing';
import type { AggregateDocument, DocumentBody } from './documents';

/**
 * How a target's document is written: the values in a fixed order, without their names. There are a million of them, each is written again with every
 * attempt, and the hopper reads them by the hundred: half the text is half the time of all that (docs/adr/0004-read-model-generations.md). A read model can
 * be rebuilt, so this is no format for ever: whoever changes it raises the version of the targets model.
 */
type AddressRow = readonly [type: Address['type'], target: string, targetName: string, name: string, detail: string];

type AttemptRow = readonly [
  attemptId: string,
  destinationIndex: Attempt['destinationIndex'],
  destination: AddressRow,
  tryCount: number,
  tryCountMax: number,
  dialer: string,
  tmStart: number,
  tmExpire: number,
  life: number,
  dialTimeout: number,
  source: AddressRow | null,
  tmEnd: number | null,
  outcome: Attempt['outcome'],
  disposition: string | null,
  note: string | null,
  late: boolean,
  expired: boolean,
];

type TargetRow = readonly [
  revision: number,
  hash: string,
  id: string,
  outdialId: string,
  customerId: string,
  externalId: string | null,
  name: string,
  detail: string,
  data: string,
  status: Target['status'],
  doneReason: Target['doneReason'],
  tryCounts: Five<number>,
  exhausted: Five<boolean>,
  due: number | null,
  priority: number,
  gone: boolean,
  destinations: Five<AddressRow | null>,
  tryCountMax: number | null,
  tryCountMaxes: Five<number | null>,
  life: number,
  attempts: readonly AttemptRow[],
  policy: Target['policy'],
  cancelRequested: boolean,
  exhaustRequested: Five<boolean>,
  dueBefore: number | null,
  restsFor: Target['restsFor'],
  tmCreate: number,
  tmUpdate: number,
  tmDelete: number | null,
  tmLast: number,
];

export const targetBody: DocumentBody<AggregateDocument<Target>> = {
  encode: (document) => JSON.stringify(toRow(document)),
  decode: (body) => fromRow(JSON.parse(body) as TargetRow),
};

const addressRow = (address: Address): AddressRow => [address.type, address.target, address.target_name, address.name, address.detail];
const addressOf = ([type, target, target_name, name, detail]: AddressRow): Address => ({ type, target, target_name, name, detail });

/** Written out instead of mapped: it runs for every target that is written or read. */
const each = <T, U>([a, b, c, d, e]: Five<T | null>, change: (value: T) => U): Five<U | null> => [
  a === null ? null : change(a),
  b === null ? null : change(b),
  c === null ? null : change(c),
  d === null ? null : change(d),
  e === null ? null : change(e),
];

function toRow({ state, head }: AggregateDocument<Target>): TargetRow {
  return [
    head.revision,
    head.hash,
    state.id,
    state.outdialId,
    state.customerId,
    state.externalId,
    state.name,
    state.detail,
    state.data,
    state.status,
    state.doneReason,
    state.tryCounts,
    state.exhausted,
    state.due,
    state.priority,
    state.gone,
    each(state.destinations, addressRow),
    state.limits.tryCountMax,
    state.limits.tryCountMaxes,
    state.life,
    state.attempts.map(attemptRow),
    state.policy,
    state.cancelRequested,
    state.exhaustRequested,
    state.dueBefore,
    state.restsFor,
    state.tmCreate,
    state.tmUpdate,
    state.tmDelete,
    state.tmLast,
  ];
}

function fromRow(row: TargetRow): AggregateDocument<Target> {
  return {
    state: {
      id: row[2],
      outdialId: row[3],
      customerId: row[4],
      externalId: row[5],
      name: row[6],
      detail: row[7],
      data: row[8],
      status: row[9],
      doneReason: row[10],
      tryCounts: row[11],
      exhausted: row[12],
      due: row[13],
      priority: row[14],
      gone: row[15],
      destinations: each(row[16], addressOf),
      limits: { tryCountMax: row[17], tryCountMaxes: row[18] },
      life: row[19],
      attempts: row[20].map(attemptOf),
      policy: row[21],
      cancelRequested: row[22],
      exhaustRequested: row[23],
      dueBefore: row[24],
      restsFor: row[25],
      tmCreate: row[26],
      tmUpdate: row[27],
      tmDelete: row[28],
      tmLast: row[29],
    },
    head: { revision: row[0], hash: row[1] },
  };
}

const attemptRow = (attempt: Attempt): AttemptRow => [
  attempt.attemptId,
  attempt.destinationIndex,
  addressRow(attempt.destination),
  attempt.tryCount,
  attempt.tryCountMax,
  attempt.dialer,
  attempt.tmStart,
  attempt.tmExpire,
  attempt.life,
  attempt.dialTimeout,
  attempt.source === null ? null : addressRow(attempt.source),
  attempt.tmEnd,
  attempt.outcome,
  attempt.disposition,
  attempt.note,
  attempt.late,
  attempt.expired,
];

const attemptOf = (row: AttemptRow): Attempt => ({
  attemptId: row[0],
  destinationIndex: row[1],
  destination: addressOf(row[2]),
  tryCount: row[3],
  tryCountMax: row[4],
  dialer: row[5],
  tmStart: row[6],
  tmExpire: row[7],
  life: row[8],
  dialTimeout: row[9],
  source: row[10] === null ? null : addressOf(row[10]),
  tmEnd: row[11],
  outcome: row[12],
  disposition: row[13],
  note: row[14],
  late: row[15],
  expired: row[16],
});
