import type { Micros } from './time';

/** A long-lived credential of a customer. Its id is a keyed hash of its token, so the token itself is stored nowhere. */
export type AccessKeyEvent =
  | { readonly type: 'AccessKeyCreated'; readonly tm: Micros; readonly accessKeyId: string; readonly customerId: string; readonly name: string;
      readonly detail: string; readonly tmExpire: Micros }
  | { readonly type: 'AccessKeyDeleted'; readonly tm: Micros; readonly accessKeyId: string };

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

export type AccessKeyCommand =
  | { readonly type: 'CreateAccessKey'; readonly now: Micros; readonly accessKeyId: string; readonly customerId: string; readonly name: string;
      readonly detail: string; readonly tmExpire: Micros }
  | { readonly type: 'DeleteAccessKey'; readonly now: Micros };
