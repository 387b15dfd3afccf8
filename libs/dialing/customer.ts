import { conflict, notFound } from './errors';
import { eventTime, type Micros } from './time';

// ---------------------------------------------------------------- events

/** Customers own everything; each has one user who logs in. Its id is derived from the username, so two can never share one. */
export type CustomerEvent =
  | {
      readonly type: 'CustomerCreated';
      readonly tm: Micros;
      readonly customerId: string;
      readonly name: string;
      readonly detail: string;
      readonly username: string;
      readonly passwordHash: string;
      readonly admin: boolean;
    }
  | { readonly type: 'PasswordChanged'; readonly tm: Micros; readonly customerId: string; readonly passwordHash: string }
  | { readonly type: 'CustomerDeleted'; readonly tm: Micros; readonly customerId: string };

// ---------------------------------------------------------------- state

export interface Customer {
  readonly id: string;
  readonly name: string;
  readonly detail: string;
  readonly username: string;
  readonly passwordHash: string;
  /** Administers the service: may manage customers. */
  readonly admin: boolean;
  /** Raised by each password change: a token names the one it was issued under, so a change ends the old tokens. */
  readonly passwordVersion: number;
  readonly tmCreate: Micros;
  readonly tmUpdate: Micros | null;
  readonly tmDelete: Micros | null;
  readonly tmLast: Micros;
}

// ---------------------------------------------------------------- commands

export type CustomerCommand =
  | {
      readonly type: 'CreateCustomer';
      readonly now: Micros;
      readonly customerId: string;
      readonly name: string;
      readonly detail: string;
      readonly username: string;
      readonly passwordHash: string;
      readonly admin: boolean;
    }
  | { readonly type: 'ChangePassword'; readonly now: Micros; readonly passwordHash: string }
  | { readonly type: 'DeleteCustomer'; readonly now: Micros };

// ---------------------------------------------------------------- decide

/**
 * What a command does to a customer; `[]` when it is already so. A deleted customer keeps its username for good, or a newcomer would inherit
 * what it owned. Throws `OutdialError`: CUSTOMER_NOT_FOUND, ALREADY_EXISTS, DELETED.
 */
export function decideCustomer(command: CustomerCommand, state: Customer | null): readonly CustomerEvent[] {
  if (command.type === 'CreateCustomer') {
    if (state !== null) {
      throw conflict('ALREADY_EXISTS', 'The username is taken.', [
        {
          field: 'username',
          reason: state.tmDelete === null ? 'already exists' : 'belonged to a deleted customer',
          value: command.username,
        },
      ]);
    }
    const { now, customerId, name, detail, username, passwordHash, admin } = command;
    return [{ type: 'CustomerCreated', tm: eventTime(now, null), customerId, name, detail, username, passwordHash, admin }];
  }
  if (state === null) throw notFound('CUSTOMER_NOT_FOUND', 'There is no such customer.');
  const happened = { tm: eventTime(command.now, state.tmLast), customerId: state.id };
  switch (command.type) {
    case 'ChangePassword':
      if (state.tmDelete !== null) throw conflict('DELETED', `The customer ${state.id} is deleted: it cannot change any more.`);
      return state.passwordHash === command.passwordHash
        ? []
        : [{ type: 'PasswordChanged', ...happened, passwordHash: command.passwordHash }];
    case 'DeleteCustomer':
      return state.tmDelete === null ? [{ type: 'CustomerDeleted', ...happened }] : [];
  }
}

// ---------------------------------------------------------------- evolve

/** A customer after one more of its events. Total: a stream that lacks its beginning folds onto an empty customer. */
export function evolveCustomer(state: Customer | null, event: CustomerEvent): Customer {
  if (event.type === 'CustomerCreated') {
    const { tm, customerId, name, detail, username, passwordHash, admin } = event;
    return { ...emptyCustomer(customerId, tm), name, detail, username, passwordHash, admin };
  }
  const next: Customer = { ...(state ?? emptyCustomer(event.customerId, event.tm)), tmUpdate: event.tm, tmLast: event.tm };
  switch (event.type) {
    case 'PasswordChanged':
      return { ...next, passwordHash: event.passwordHash, passwordVersion: next.passwordVersion + 1 };
    case 'CustomerDeleted':
      return { ...next, tmDelete: event.tm };
  }
}

const emptyCustomer = (id: string, tm: Micros): Customer => ({
  id,
  name: '',
  detail: '',
  username: '',
  passwordHash: '',
  admin: false,
  passwordVersion: 1,
  tmCreate: tm,
  tmUpdate: null,
  tmDelete: null,
  tmLast: tm,
});
