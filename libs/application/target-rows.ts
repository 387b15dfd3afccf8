import { conflict, decideTarget, OutdialError, streamOf } from '#dialing';
import type { DialPolicy, ErrorDetail, NewTarget, Outdial, Target, TargetChanges } from '#dialing';
import type { Position } from '#event-store';
import { derivedId } from './derived-id';
import type { RequestContext } from './request';
import type { Services } from './services';
import { TARGET } from './streams';
import type { Job, Known, RunOptions } from './streams';

export interface AddOptions {
  /** A deleted, ended target is added again instead of being a duplicate. Always so for a single add. */
  readonly readd: boolean;
  /** A duplicate takes over name, detail, data, priority and limits. */
  readonly updateDuplicates: boolean;
}

/** A row of an import: valid, or why not. */
export type TargetRow = { readonly target: NewTarget } | { readonly details: readonly ErrorDetail[] };
export interface RowFate {
  /** Position in the request's rows, from 0. */
  readonly index: number;
  readonly result: 'created' | 'duplicate' | 'updated' | 'invalid';
  readonly target?: Target;
  readonly targetId?: string;
  readonly deleted?: boolean;
  readonly details?: readonly ErrorDetail[];
}

export type AddFate = { readonly result: 'created' | 'updated' | 'duplicate'; readonly after: Known<Target> };

type AddJob = Job<Target, AddFate> & { readonly targetId: string };

/** The job of adding one target: its id derives from its identity, so a second one meets the first by construction. */
export function addJob(
  services: Services,
  context: RequestContext,
  outdial: Outdial,
  policy: DialPolicy,
  target: NewTarget,
  options: AddOptions,
): AddJob {
  const targetId = services.targetId(outdial.id, target);
  const { customerId } = context;
  const now = services.ports.clock.now();
  return {
    targetId,
    stream: streamOf.target(outdial.id, targetId),
    kind: TARGET,
    assumeNew: true,
    decide: ({ state }) => {
      if (state === null || (options.readd && state.gone)) {
        const events = decideTarget(
          { type: 'AddTarget', now, outdialId: outdial.id, targetId, customerId, target, readd: options.readd },
          state,
        );
        return { events, result: (after) => ({ result: 'created', after }) };
      }
      if (options.updateDuplicates && state.tmDelete === null) {
        const events = decideTarget({ type: 'UpdateTarget', now, changes: takenOver(target, state), policy }, state);
        return { events, result: (after) => ({ result: 'updated', after }) };
      }
      return { events: [], result: (after) => ({ result: 'duplicate', after }) };
    },
  };
}

/** What a duplicate takes over. The limits of a done target cannot change any more, and it is not revived: they stay. */
function takenOver(target: NewTarget, state: Target): TargetChanges {
  const { name, detail, data, priority, limits } = target;
  return { name, detail, data, priority, ...(state.status === 'done' ? {} : { limits }) };
}

export function refuseWhenArchived(outdial: Outdial): void {
  if (outdial.mode === 'archived') throw conflict('ARCHIVED', `The outdial ${outdial.id} is archived: it takes no new targets.`);
}

export interface AddedRows {
  readonly fates: readonly RowFate[];
  /** Of the newest event that this wrote. */
  readonly position: Position | null;
}

/** Rows that are decided in one go, some milliseconds' work; what asks meanwhile waits no longer. */
const PART = 500;

/** Adds rows, many of them part by part; fates in the order of the rows. 404, or 409 for an outdial that takes none. */
export async function addRows(
  services: Services,
  context: RequestContext,
  outdialId: string,
  rows: readonly TargetRow[],
  options: AddOptions,
  how: Pick<RunOptions, 'lane' | 'remember'>,
): Promise<AddedRows> {
  const outdial = await services.changeableOutdial(context, outdialId);
  refuseWhenArchived(outdial);
  const policy = await services.policyOf(outdial);
  const fates: RowFate[] = [];
  let last: Position | null = null;
  for (let from = 0; from < rows.length; from += PART) {
    // Event ids derive from the command's: a target that comes again in a later part must not look like the same append, repeated.
    const command = from === 0 ? context : { ...context, commandId: derivedId(context.commandId, `rows/${from}`) };
    const addOne = (target: NewTarget): AddJob => addJob(services, command, outdial, policy, target, options);
    const added = await addPart(services, rows.slice(from, from + PART), from, addOne, { context: command, ...how });
    fates.push(...added.fates);
    if (added.position !== null && (last === null || added.position > last)) last = added.position;
  }
  services.wrote(context, outdialId, last);
  return { fates, position: last };
}

/** Rows in one append; `from` is the index of the first. */
async function addPart(
  services: Services,
  rows: readonly TargetRow[],
  from: number,
  addOne: (target: NewTarget) => AddJob,
  run: RunOptions,
): Promise<AddedRows> {
  const fates = new Array<RowFate>(rows.length);
  const places: number[] = [];
  const jobs: AddJob[] = [];
  rows.forEach((row, at) => {
    if ('details' in row) {
      fates[at] = { index: from + at, result: 'invalid', details: row.details };
    } else {
      places.push(at);
      jobs.push(addOne(row.target));
    }
  });
  const outcomes = await services.streams.run(jobs, run);
  let last: Position | null = null;
  outcomes.forEach((outcome, n) => {
    const at = places[n] ?? n;
    if (!outcome.ok) {
      fates[at] = refusedRow(from + at, outcome.error);
      return;
    }
    if (outcome.position !== null && (last === null || outcome.position > last)) last = outcome.position;
    fates[at] = rowFate(from + at, outcome.result, jobs[n]?.targetId ?? '');
  });
  return { fates, position: last };
}

export function rowFate(index: number, fate: AddFate, targetId: string): RowFate {
  const target = fate.after.state;
  const { result } = fate;
  if (target === null) return { index, result, targetId };
  return target.tmDelete === null ? { index, result, targetId, target } : { index, result, targetId, target, deleted: true };
}

/** A row that a rule refuses is invalid; a store that is away fails the whole request, which is then sent again. */
export function refusedRow(index: number, error: unknown): RowFate {
  if (error instanceof OutdialError && error.status !== 'UNAVAILABLE') {
    const details = error.details.length > 0 ? error.details : [{ field: 'target', reason: error.message }];
    return { index, result: 'invalid', details };
  }
  throw error;
}
