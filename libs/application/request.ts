import type { Position } from '#event-store';

/** Who asks, and in which request. Made by the gateway from the credential and the headers; every command and query carries one. */
export interface RequestContext {
  readonly customerId: string;
  /** May manage customers. */
  readonly admin: boolean;
  /** Id of the credential: the customer's own id for its user, else an access key's. */
  readonly actor: string;
  readonly requestId: string;
  /** Minted once a request, or derived from its Idempotency-Key: event ids and new aggregates' ids derive from it, so a repeated request cannot act twice. */
  readonly commandId: string;
  /** The command id was minted: nobody has run this command before, here or elsewhere. */
  readonly fresh: boolean;
  readonly traceparent?: string;
  /** From the query's Consistency-Token: answer only when the read models have reached it. */
  readonly consistency?: Position;
  /** Revision that If-Match names: the command is refused (412) when the stream is elsewhere. */
  readonly ifMatch?: number;
  /** Where a claim under an Idempotency-Key notes what it is about to append (engines.md, Appending). */
  readonly intent?: ClaimIntent;
}

export interface ClaimIntent {
  /** JSON text noted by an earlier run of the same request, if any. */
  readonly noted: string | null;
  note(text: string): Promise<void>;
}

/** A resource as it stands after a command or in a query. */
export interface Versioned<T> {
  readonly value: T;
  /** The stream's revision: the ETag. */
  readonly revision: number;
  /** Of the newest event that the answer reflects, as far as this request wrote it; null for a query or when nothing was written. Becomes the Consistency-Token. */
  readonly position: Position | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** '' when nothing older exists. */
  readonly nextPageToken: string;
}

export interface PageRequest {
  readonly pageSize: number;
  /** `tm_create` in microseconds, and the id when the token names one; null for the first page. */
  readonly after: { readonly value: number; readonly id?: string } | null;
}
