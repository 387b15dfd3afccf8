import { conflict, notFound } from './errors';
import { eventTime, type Micros } from './time';

// ---------------------------------------------------------------- events

/** A long-lived credential of a customer. Its id is a keyed hash of its token, so the token itself is stored nowhere. */
export type AccessKeyEvent =
  | {
      readonly type: 'AccessKeyCreated';
      readonly tm: Micros;
      readonly accessKeyId: string;
      readonly customerId: string;
      readonly name: string;
      readonly detail: string;
      readonly tmExpire: Micros;
    }
  | { readonly type: 'AccessKeyDeleted'; readonly tm: Micros; readonly accessKeyId: string };

// ---------------------------------------------------------------- state

export interface AccessKey {
  readonly id: string;
  readonly customerId: string;
  readonly name: string;
  readonly detail: string;
  readonly tmExpire: Micros;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros | null;
  readonly tmDelete: Micros | null;
  readonly tmLast: Micros;
}

// ---------------------------------------------------------------- commands

export type AccessKeyCommand =
  | {
      readonly type: 'CreateAccessKey';
      readonly now: Micros;
      readonly accessKeyId: string;
      readonly customerId: string;
      readonly name: string;
      readonly detail: string;
      readonly tmExpire: Micros;
    }
  | { readonly type: 'DeleteAccessKey'; readonly now: Micros };

// ---------------------------------------------------------------- decide

/** What a command does to an access key; `[]` when it is already so. Throws `OutdialError`: ACCESS_KEY_NOT_FOUND, ALREADY_EXISTS. */
export function decideAccessKey(command: AccessKeyCommand, state: AccessKey | null): readonly AccessKeyEvent[] {
  if (command.type === 'CreateAccessKey') {
    if (state !== null) {
      throw conflict('ALREADY_EXISTS', `An access key with the id ${state.id} exists already.`, [
        { field: 'access_key_id', reason: 'already exists', value: state.id },
      ]);
    }
    const { now, accessKeyId, customerId, name, detail, tmExpire } = command;
    return [{ type: 'AccessKeyCreated', tm: eventTime(now, null), accessKeyId, customerId, name, detail, tmExpire }];
  }
  if (state === null) throw notFound('ACCESS_KEY_NOT_FOUND', 'There is no such access key.');
  return state.tmDelete === null ? [{ type: 'AccessKeyDeleted', tm: eventTime(command.now, state.tmLast), accessKeyId: state.id }] : [];
}

// ---------------------------------------------------------------- evolve

/** An access key after one more of its events. Total: a stream that lacks its beginning folds onto a key that has expired. */
export function evolveAccessKey(state: AccessKey | null, event: AccessKeyEvent): AccessKey {
  switch (event.type) {
    case 'AccessKeyCreated': {
      const { tm, accessKeyId, customerId, name, detail, tmExpire } = event;
      return { ...emptyAccessKey(accessKeyId, tm), customerId, name, detail, tmExpire };
    }
    case 'AccessKeyDeleted':
      return { ...(state ?? emptyAccessKey(event.accessKeyId, event.tm)), tmUpdate: event.tm, tmDelete: event.tm, tmLast: event.tm };
  }
}

const emptyAccessKey = (id: string, tm: Micros): AccessKey => ({
  id,
  customerId: '',
  name: '',
  detail: '',
  tmExpire: tm,
  tmCreate: tm,
  tmUpdate: null,
  tmDelete: null,
  tmLast: tm,
});
