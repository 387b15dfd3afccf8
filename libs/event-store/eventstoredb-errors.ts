import { status } from '@grpc/grpc-js';

/** Answers that mean: not with these credentials. */
export const REFUSED: ReadonlySet<number> = new Set([status.PERMISSION_DENIED, status.UNAUTHENTICATED]);

export interface GrpcError extends Error {
  readonly code: number;
}

export function isGrpcError(error: unknown): error is GrpcError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number';
}
