/** The `status` of the error envelope: what kind of answer it is. The table to HTTP codes is the gateway's (http-errors.ts). */
export type ErrorStatus =
  | 'INVALID_ARGUMENT'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'CONFLICT'
  | 'FAILED_PRECONDITION'
  | 'GONE'
  | 'PAYLOAD_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'IDEMPOTENCY_MISMATCH'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAVAILABLE'
  | 'INTERNAL';

/** One offending part of a request: the field as the caller wrote it (`targets[3].destination_0.target`), why, and what it was. */
export interface ErrorDetail {
  readonly field: string;
  readonly reason: string;
  readonly value?: unknown;
}

/**
 * An error the caller can act on. `status` and `reason` are stable and part of the contract; the message says what to do.
 * Thrown by deciders when a rule refuses a command, and by the application and the gateway for everything else that is refused.
 */
export class OutdialError extends Error {
  constructor(
    readonly status: ErrorStatus,
    readonly reason: string,
    message: string,
    readonly details: readonly ErrorDetail[] = [],
    /** Seconds after which the same request may be tried again; becomes Retry-After. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'OutdialError';
  }
}

export const invalidArgument = (field: string, reason: string, value?: unknown): OutdialError =>
  new OutdialError('INVALID_ARGUMENT', 'INVALID_ARGUMENT', `${field}: ${reason}`, [
    { field, reason, ...(value === undefined ? {} : { value }) },
  ]);

export const conflict = (reason: string, message: string, details: readonly ErrorDetail[] = []): OutdialError =>
  new OutdialError('CONFLICT', reason, message, details);

export const notFound = (reason: string, message: string): OutdialError => new OutdialError('NOT_FOUND', reason, message);
