import { conflict, notFound } from './errors';
import { eventTime, type Micros } from './time';

// ---------------------------------------------------------------- words

export type OutdialMode = 'active' | 'paused' | 'archived';
export const NO_ID = '00000000-0000-0000-0000-000000000000';

export interface OutdialDetails {
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  /** Zero UUID when attached to none. */
  readonly campaignId: string;
  /** Zero UUID: the default policy applies. */
  readonly outplanId: string;
}

// ---------------------------------------------------------------- events

type Happened = { readonly tm: Micros; readonly outdialId: string };

export type OutdialEvent =
  | (Happened & { readonly type: 'OutdialCreated'; readonly customerId: string } & OutdialDetails)
  | (Happened & { readonly type: 'OutdialUpdated'; readonly changes: Partial<Omit<OutdialDetails, 'campaignId'>> })
  | (Happened & { readonly type: 'CampaignAttached'; readonly campaignId: string })
  | (Happened & { readonly type: 'OutdialPaused' })
  | (Happened & { readonly type: 'OutdialResumed' })
  | (Happened & { readonly type: 'OutdialArchived' })
  | (Happened & { readonly type: 'OutdialDeleted' });

// ---------------------------------------------------------------- state

export interface Outdial extends OutdialDetails {
  readonly id: string;
  readonly customerId: string;
  /** The wire's `state`. */
  readonly mode: OutdialMode;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros | null;
  readonly tmDelete: Micros | null;
  /** Time of the stream's last event; the next one is later. */
  readonly tmLast: Micros;
}

// ---------------------------------------------------------------- commands

type Asked = { readonly now: Micros };

export type OutdialCommand =
  | (Asked & { readonly type: 'CreateOutdial'; readonly outdialId: string; readonly customerId: string } & OutdialDetails)
  | (Asked & { readonly type: 'UpdateOutdial'; readonly changes: Partial<OutdialDetails> })
  | (Asked & { readonly type: 'AttachCampaign'; readonly campaignId: string })
  | (Asked & { readonly type: 'PauseOutdial' })
  | (Asked & { readonly type: 'ResumeOutdial' })
  | (Asked & { readonly type: 'ArchiveOutdial' })
  | (Asked & { readonly type: 'DeleteOutdial' });

// ---------------------------------------------------------------- decide

/** What can still change once an outdial is archived (the API contract, Outdials). */
const CHANGEABLE_WHEN_ARCHIVED: ReadonlySet<keyof OutdialDetails> = new Set(['data', 'detail']);

const WIRE_NAMES: Readonly<Record<keyof OutdialDetails, string>> = {
  name: 'name',
  detail: 'detail',
  data: 'data',
  campaignId: 'campaign_id',
  outplanId: 'outplan_id',
};

/**
 * What a command does to an outdial; `[]` when it is already so. `state` is null for an outdial that does not exist.
 * Throws `OutdialError`: OUTDIAL_NOT_FOUND, ALREADY_EXISTS, DELETED, ARCHIVED.
 */
export function decideOutdial(command: OutdialCommand, state: Outdial | null): readonly OutdialEvent[] {
  if (command.type === 'CreateOutdial') return createOutdial(command, state);
  if (state === null) throw notFound('OUTDIAL_NOT_FOUND', 'There is no such outdial.');
  const happened = { tm: eventTime(command.now, state.tmLast), outdialId: state.id };
  switch (command.type) {
    case 'UpdateOutdial':
      return updateOutdial(command.changes, command.now, state);
    case 'AttachCampaign':
      return updateOutdial({ campaignId: command.campaignId }, command.now, state);
    case 'PauseOutdial':
      refuseWhenClosed(state);
      return state.mode === 'paused' ? [] : [{ type: 'OutdialPaused', ...happened }];
    case 'ResumeOutdial':
      refuseWhenClosed(state);
      return state.mode === 'active' ? [] : [{ type: 'OutdialResumed', ...happened }];
    case 'ArchiveOutdial':
      refuseWhenDeleted(state);
      return state.mode === 'archived' ? [] : [{ type: 'OutdialArchived', ...happened }];
    case 'DeleteOutdial':
      return state.tmDelete === null ? [{ type: 'OutdialDeleted', ...happened }] : [];
  }
}

function createOutdial(command: Extract<OutdialCommand, { type: 'CreateOutdial' }>, state: Outdial | null): readonly OutdialEvent[] {
  if (state !== null) {
    throw conflict('ALREADY_EXISTS', `An outdial with the id ${state.id} exists already.`, [
      { field: 'outdial_id', reason: 'already exists', value: state.id },
    ]);
  }
  const { now, outdialId, customerId, name, detail, data, campaignId, outplanId } = command;
  return [{ type: 'OutdialCreated', tm: eventTime(now, null), outdialId, customerId, name, detail, data, campaignId, outplanId }];
}

function updateOutdial(asked: Partial<OutdialDetails>, now: Micros, state: Outdial): readonly OutdialEvent[] {
  const { campaignId, ...others } = asked;
  const changes = differing(others, state);
  const attached = campaignId !== undefined && campaignId !== state.campaignId;
  const changed = [...fieldsOf(changes), ...(attached ? (['campaignId'] as const) : [])];
  // An unchanged value is never an error, whatever state the outdial is in.
  if (changed.length === 0) return [];
  refuseWhenDeleted(state);
  const fixed = changed.filter((field) => !CHANGEABLE_WHEN_ARCHIVED.has(field));
  if (state.mode === 'archived' && fixed.length > 0) {
    throw conflict(
      'ARCHIVED',
      'The outdial is archived: only its data and detail can change.',
      fixed.map((field) => ({ field: WIRE_NAMES[field], reason: 'cannot change when archived', value: asked[field] })),
    );
  }
  const tm = eventTime(now, state.tmLast);
  const outdialId = state.id;
  const events: OutdialEvent[] = [];
  if (fieldsOf(changes).length > 0) events.push({ type: 'OutdialUpdated', tm, outdialId, changes });
  if (attached) events.push({ type: 'CampaignAttached', tm: tm + events.length, outdialId, campaignId });
  return events;
}

type PlainDetails = Omit<OutdialDetails, 'campaignId'>;

function differing(asked: Partial<PlainDetails>, state: Outdial): Partial<PlainDetails> {
  return Object.fromEntries(
    fieldsOf(asked).flatMap((field) => (asked[field] === undefined || asked[field] === state[field] ? [] : [[field, asked[field]]])),
  );
}

const fieldsOf = (details: Partial<PlainDetails>): readonly (keyof PlainDetails)[] => Object.keys(details) as (keyof PlainDetails)[];

function refuseWhenDeleted(state: Outdial): void {
  if (state.tmDelete !== null) throw conflict('DELETED', `The outdial ${state.id} is deleted: it cannot change any more.`);
}

function refuseWhenClosed(state: Outdial): void {
  refuseWhenDeleted(state);
  if (state.mode === 'archived')
    throw conflict('ARCHIVED', `The outdial ${state.id} is archived for good: it can be neither paused nor resumed.`);
}

// ---------------------------------------------------------------- evolve

/** An outdial after one more of its events. Total: a stream that lacks its beginning folds onto an empty outdial. */
export function evolveOutdial(state: Outdial | null, event: OutdialEvent): Outdial {
  if (event.type === 'OutdialCreated') {
    const { tm, outdialId, customerId, name, detail, data, campaignId, outplanId } = event;
    return { ...emptyOutdial(outdialId, tm), customerId, name, detail, data, campaignId, outplanId };
  }
  const next: Outdial = { ...(state ?? emptyOutdial(event.outdialId, event.tm)), tmUpdate: event.tm, tmLast: event.tm };
  switch (event.type) {
    case 'OutdialUpdated':
      return { ...next, ...event.changes };
    case 'CampaignAttached':
      return { ...next, campaignId: event.campaignId };
    case 'OutdialPaused':
      return { ...next, mode: 'paused' };
    case 'OutdialResumed':
      return { ...next, mode: 'active' };
    case 'OutdialArchived':
      return { ...next, mode: 'archived' };
    case 'OutdialDeleted':
      return { ...next, tmDelete: event.tm };
  }
}

const emptyOutdial = (id: string, tm: Micros): Outdial => ({
  id,
  customerId: NO_ID,
  name: '',
  detail: '',
  data: '',
  campaignId: NO_ID,
  outplanId: NO_ID,
  mode: 'active',
  tmCreate: tm,
  tmUpdate: null,
  tmDelete: null,
  tmLast: tm,
});
