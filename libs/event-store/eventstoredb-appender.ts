import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchAppendReq, BatchAppendResp } from '@eventstore/db-client/generated/streams_pb';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { linkHash } from './chain';
import type { Connection } from './eventstoredb-connection';
import { appendRequests, positionOf } from './eventstoredb-wire';
import type { AppendRequest, Position } from './event-store';

/** How long one attempt waits for its answer before its outcome counts as unknown. */
export interface AppendLimits {
  readonly attemptMs: number;
  /** An append that may have been made is repeated, with the same ids, for this long. */
  readonly inDoubtMs: number;
  /** It gives up when the server could not be reached for this long: whoever waits is told soon, and may send the same command again. */
  readonly unreachableMs: number;
}
const APPEND_LIMITS: AppendLimits = { attemptMs: 3000, inDoubtMs: 10_000, unreachableMs: 2000 };

export type Appended =
  | { readonly kind: 'appended'; readonly revision: number; readonly hash: string; readonly position: Position }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'unavailable' };

type Answer =
  | Exclude<Appended, { kind: 'appended' | 'unavailable' }>
  | { kind: 'success'; revision: number; position: Position }
  | { kind: 'unknown'; sent: boolean };

interface Line {
  readonly stream: ClientDuplexStream<BatchAppendReq, BatchAppendResp>;
  readonly pending: Map<string, (answer: Answer) => void>;
  /** Something has come back on it: what is written to it now leaves this process. */
  answered: boolean;
  ended: boolean;
}

const PAUSE_MS = 100;

/**
 * Appends over one duplex call, many in flight: a claim of a hundred costs a few round trips, not a hundred. The table of what is pending belongs to the
 * call: when it breaks, only its own appends are in doubt, and those are sent again with the same ids and revision, which the store recognises.
 */
export class Appender {
  private line: Promise<Line> | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly limits: AppendLimits = APPEND_LIMITS,
  ) {}

  /** Rejects only when the store refuses for good: no rights, the stream deleted, too large. */
  async append({ stream, expected, events }: AppendRequest): Promise<Appended> {
    const hashes: string[] = [];
    for (const event of events) hashes.push(linkHash(hashes.at(-1) ?? expected.hash, stream, expected.revision + 1 + hashes.length, event));
    const began = performance.now();
    let reached = began;
    for (;;) {
      const now = performance.now();
      const left = this.limits.inDoubtMs - (now - began);
      if (left <= 0 || now - reached >= this.limits.unreachableMs) return { kind: 'unavailable' };
      const wait = Math.min(this.limits.attemptMs, left);
      const id = randomUUID();
      const answer = await this.attempt(
        id,
        appendRequests(id, stream, expected.revision, events, hashes, new Date(Date.now() + wait)),
        wait,
      );
      if (answer.kind === 'success') return { ...answer, kind: 'appended', hash: hashes.at(-1) ?? '' };
      if (answer.kind === 'conflict') return answer;
      if (answer.sent) reached = performance.now();
      await sleep(PAUSE_MS);
    }
  }

  async close(): Promise<void> {
    const line = await this.line?.catch(() => undefined);
    line?.stream.end();
  }

  private async attempt(id: string, messages: readonly BatchAppendReq[], waitMs: number): Promise<Answer> {
    let line: Line;
    try {
      line = await this.open();
    } catch {
      return { kind: 'unknown', sent: false };
    }
    if (line.ended) return { kind: 'unknown', sent: false };
    return new Promise((resolve, reject) => {
      const settle = (answer: Answer | Error): void => {
        clearTimeout(timer);
        line.pending.delete(id);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      const timer = setTimeout(() => {
        settle({ kind: 'unknown', sent: true });
        // An answer that does not come may be a connection that is dead without having said so.
        if (this.line && !line.ended) line.stream.cancel();
      }, waitMs + 200);
      line.pending.set(id, settle);
      for (const message of messages) line.stream.write(message);
    });
  }

  private open(): Promise<Line> {
    this.line ??= this.connect().catch((error: unknown) => {
      this.line = undefined;
      throw error;
    });
    return this.line;
  }

  private async connect(): Promise<Line> {
    const stream = await this.connection.appends();
    const line: Line = { stream, pending: new Map(), answered: false, ended: false };
    const end = (): void => {
      if (line.ended) return;
      line.ended = true;
      this.line = undefined;
      for (const settle of [...line.pending.values()]) settle({ kind: 'unknown', sent: line.answered });
    };
    stream.on('data', (answer: BatchAppendResp) => {
      line.answered = true;
      const settle = line.pending.get(answer.getCorrelationId()?.getString() ?? '') as ((answer: Answer | Error) => void) | undefined;
      settle?.(answerOf(answer));
    });
    // The server says hello in headers when the call is accepted: from then on what is written may have been made.
    stream.on('metadata', () => (line.answered = true));
    stream.on('error', end);
    stream.on('end', end);
    stream.on('close', end);
    return line;
  }
}

const PERMANENT: ReadonlyMap<string, string> = new Map([
  ['StreamDeleted', 'the stream has been deleted in EventStoreDB, which breaks its chain'],
  ['AccessDenied', 'EventStoreDB does not let this user append'],
  ['MaximumAppendSizeExceeded', 'the events of one append are larger than EventStoreDB takes'],
]);

function answerOf(answer: BatchAppendResp): Answer | Error {
  const success = answer.getSuccess();
  if (success) {
    const position = success.getPosition();
    return {
      kind: 'success',
      revision: Number(success.getCurrentRevision()),
      position: positionOf(position?.getCommitPosition() ?? '0', position?.getPreparePosition() ?? '0'),
    };
  }
  const kind = (answer.getError()?.getDetails()?.getTypeName() ?? '').split('.').at(-1) ?? '';
  if (kind === 'WrongExpectedVersion') return { kind: 'conflict' };
  const refused = PERMANENT.get(kind);
  return refused === undefined ? { kind: 'unknown', sent: true } : new Error(refused);
}
