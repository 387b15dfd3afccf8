import type { EventStore, Position, StateStore } from '#event-store';
import type { ReadStore } from '#read-models';
import type { Micros } from '#dialing';

/** The clock: strictly increasing within a process, so that rows of one import keep their order in time. */
export interface Clock {
  now(): Micros;
}

/** Runs something later, on the real or a simulated timer. */
export interface Scheduler {
  /** Answers a function that cancels it. */
  after(milliseconds: number, run: () => void): () => void;
}

/** Random ids (UUID v4) and tokens. */
export interface Randomness {
  uuid(): string;
  /** Unguessable, URL-safe, at least 256 bits. */
  token(): string;
}

/** How far the read models are, and a way to wait for them. Fed by the projector. */
export interface ProjectionProgress {
  readonly position: Position;
  /** Resolves true when the read models have reached `position`, false after `milliseconds`. */
  reached(position: Position, milliseconds: number): Promise<boolean>;
}

/** Everything outside the core that handlers use; the composition root picks the adapters (gateway.module.ts). */
export interface Ports {
  readonly events: EventStore;
  readonly state: StateStore;
  readonly reads: ReadStore;
  readonly projections: ProjectionProgress;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly randomness: Randomness;
  /** ID_SECRET: target ids, customer ids and access key ids derive from it. */
  readonly idSecret: string;
  /** Milliseconds an expiry waits beyond tm_expire for clocks that differ: 0 embedded. */
  readonly clockSkew: number;
  readonly log: Log;
}

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One part of /readyz. */
export interface ReadinessPart {
  readonly ok: boolean;
  readonly detail: string;
}
