import type { Micros } from './time';

/** Customers own everything; each has one user who logs in. Its id is derived from the username, so two can never share one. */
export type CustomerEvent =
  | { readonly type: 'CustomerCreated'; readonly tm: Micros; readonly customerId: string; readonly name: string; readonly detail: string;
      readonly username: string; readonly passwordHash: string; readonly admin: boolean }
  | { readonly type: 'PasswordChanged'; readonly tm: Micros; readonly customerId: string; readonly passwordHash: string }
  | { readonly type: 'CustomerDeleted'; readonly tm: Micros; readonly customerId: string };

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

export type CustomerCommand =
  | { readonly type: 'CreateCustomer'; readonly now: Micros; readonly customerId: string; readonly name: string; readonly detail: string;
      readonly username: string; readonly passwordHash: string; readonly admin: boolean }
  | { readonly type: 'ChangePassword'; readonly now: Micros; readonly passwordHash: string }
  | { readonly type: 'DeleteCustomer'; readonly now: Micros };
