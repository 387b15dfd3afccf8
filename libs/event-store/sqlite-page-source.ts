import { Worker } from 'node:worker_threads';
import { type EventBatch, StoreUnavailable } from './event-store';
import type { PageRequest } from './sqlite-log';
import type { FromReader, ToReader } from './sqlite-reader.thread';
import { decodeBatch } from './sqlite-wire';
import { THREAD_MEMORY } from './thread-memory';

/** Where pages of the log come from. */
export interface PageSource {
  page(request: PageRequest): Promise<EventBatch>;
  /** Has what the writer has appended copied to its place in the file, in order that the writer need not; nothing is answered, and nothing depends on it. */
  checkpoint(): void;
  close(): Promise<void>;
}

interface Waiting {
  readonly resolve: (batch: EventBatch) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Pages read on a thread of their own, so that an audit of millions of events leaves this one free. The thread starts with the first page
 * or checkpoint that is asked for.
 */
export function openReaderThread(directory: string): PageSource {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let lastId = 0;
  let closed = false;

  const start = (): Worker => {
    const started = new Worker(require.resolve('./sqlite-reader.thread'), { workerData: { directory }, resourceLimits: THREAD_MEMORY });
    const lost = (error: unknown): void => {
      // An error is followed by an exit; by then another thread may be at work for others.
      if (worker !== started) return;
      worker = null;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.on('message', (message: FromReader) => {
      const asked = waiting.get(message.id);
      waiting.delete(message.id);
      if (waiting.size === 0) started.unref();
      if ('error' in message) asked?.reject(message.error);
      else asked?.resolve(decodeBatch(message.batch));
    });
    // The next page starts another thread: reading has no state to lose.
    started.on('error', lost);
    started.on('exit', () => lost(new StoreUnavailable('The reader thread has ended')));
    return started;
  };

  return {
    page: (request) =>
      new Promise((resolve, reject) => {
        if (closed) {
          reject(new StoreUnavailable('The store is closed'));
          return;
        }
        worker ??= start();
        worker.ref();
        lastId += 1;
        waiting.set(lastId, { resolve, reject });
        worker.postMessage({ kind: 'page', id: lastId, request } satisfies ToReader);
      }),
    checkpoint: () => {
      if (closed) return;
      worker ??= start();
      if (waiting.size === 0) worker.unref();
      worker.postMessage({ kind: 'checkpoint' } satisfies ToReader);
    },
    close: async () => {
      closed = true;
      await worker?.terminate();
    },
  };
}
