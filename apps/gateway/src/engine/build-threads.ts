import { on } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { LogSource, Position, Share } from '#event-store';
import { unpackFolds } from '#read-models';
import type { FoldedStreams, Helper, PackedFolds } from '#read-models';
import { SIDE_THREAD_MEMORY, sideThreads } from '../side-thread';

/** What a thread folds, and from where. */
export interface BuildTask {
  readonly source: LogSource;
  readonly upTo: Position;
  readonly share: Share;
}

/** Threads that help to build read models from nothing, beside the projector's, which alone writes; where the log can be read by several. */
export function buildThreads(source: LogSource, threads = sideThreads()): readonly Helper[] {
  if (source.kind !== 'sqlite') return [];
  return Array.from({ length: threads - 1 }, () => (upTo, share, signal) => foldedBy({ source, upTo, share }, signal));
}

async function* foldedBy(task: BuildTask, signal: AbortSignal): AsyncGenerator<FoldedStreams, void> {
  const worker = new Worker(require.resolve('./build-thread'), { workerData: task, resourceLimits: SIDE_THREAD_MEMORY });
  // Heard below; nobody minds what comes after.
  worker.on('error', () => undefined);
  try {
    for await (const [message] of on(worker, 'message', { close: ['exit'], signal }) as AsyncIterable<[PackedFolds]>) {
      const folded = unpackFolds(message);
      yield folded;
      if (folded.last) return;
      worker.postMessage('next');
    }
    throw new Error('A thread of the build has ended too early.');
  } finally {
    await worker.terminate();
  }
}
