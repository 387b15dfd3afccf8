import { on } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { LogSource, Position, Share } from '#event-store';
import { unpackFolds } from '#read-models';
import type { FoldedStreams, Helper, PackedFolds } from '#read-models';

/** What a thread folds, and from where. */
export interface BuildTask {
  readonly source: LogSource;
  readonly upTo: Position;
  readonly share: Share;
}

/** Of one build, the projector's own among them: each goes through the links of the whole log, and one alone writes. */
const MOST_THREADS = 4;

/** As for the threads of a report, which hold the same. */
const RESOURCES = { maxYoungGenerationSizeMb: 12, maxOldGenerationSizeMb: 1024 };

/** Threads that help to build read models from nothing: one for each core but the projector's, where the log can be read by several. */
export function buildThreads(source: LogSource, threads = Math.min(MOST_THREADS, availableParallelism())): readonly Helper[] {
  if (source.kind !== 'sqlite') return [];
  return Array.from({ length: threads - 1 }, () => (upTo, share, signal) => foldedBy({ source, upTo, share }, signal));
}

async function* foldedBy(task: BuildTask, signal: AbortSignal): AsyncGenerator<FoldedStreams, void> {
  const worker = new Worker(require.resolve('./build-thread'), { workerData: task, resourceLimits: RESOURCES });
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
