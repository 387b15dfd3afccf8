import { status } from '@grpc/grpc-js';

/** The codes of gRPC that mean something to us. */
export const Code = status;

export interface GrpcError extends Error {
  readonly code: number;
}

export function isGrpcError(error: unknown): error is GrpcError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number';
}
