import type { AccessKeyEvent } from './access-key';
import type { CustomerEvent } from './customer';
import type { OutdialEvent } from './outdial';
import type { TargetEvent } from './outdial-target';
import type { OutplanEvent } from './outplan';

export type DialingEvent = OutdialEvent | TargetEvent | OutplanEvent | CustomerEvent | AccessKeyEvent;

/** Who did it, on whose behalf, in which request. Stored in each event's metadata beside its time and schema version. */
export interface EventContext {
  readonly customerId: string;
  /** Id of the credential: a customer's (its user) or an access key's; `system` for expiry. */
  readonly actor: string;
  /** The request's id; all events of one request share it. */
  readonly correlationId: string;
  /** The command's id. */
  readonly causationId: string;
  readonly traceparent?: string;
}

/** The names of streams are a storage format (architecture.md, rule 2). */
export const streamOf = {
  outdial: (id: string): string => `outdial-${id}`,
  target: (outdialId: string, targetId: string): string => `outdialtarget-${outdialId}.${targetId}`,
  outplan: (id: string): string => `outplan-${id}`,
  customer: (id: string): string => `customer-${id}`,
  accessKey: (id: string): string => `accesskey-${id}`,
};

export interface EncodedEvent {
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
}
