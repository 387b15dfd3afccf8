import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { decodeEvent } from '#dialing';
import { openLogReader } from '#event-store';
import { foldStreams, packFolds, READ_MODELS } from '#read-models';
import type { BuildTask } from './build-threads';

/** A part of a build from nothing: reads, decodes and folds with a connection of its own. What it has made the projector's thread writes. */
const port = parentPort;
if (!port) throw new Error('This is a worker thread: see build-threads.ts.');
const { source, upTo, share } = workerData as BuildTask;

/** Documents sent together, some 150 KB of them. */
const TOGETHER = 200;

/** Messages that may be on their way: the next is made while the last is being written, and memory does not grow with the log. */
let credit = 3;
let resume: () => void = () => undefined;
port.on('message', () => {
  credit += 1;
  resume();
});

/** Claims go first. Only Linux has a priority for each thread; elsewhere this would be the whole process's. */
const NICENESS = 10;
if (process.platform === 'linux') setPriority(NICENESS);

/** What is thrown ends the thread, and is heard as its error. */
async function run(to: NonNullable<typeof port>): Promise<void> {
  const log = await openLogReader(source);
  if (log.readStreams === undefined) throw new Error('This log cannot be shared.');
  const { readStreams } = log;
  const streams = foldStreams({
    log: { ...log, readStreams },
    decode: decodeEvent,
    projections: READ_MODELS,
    upTo,
    share,
    together: TOGETHER,
  });
  for await (const folded of streams) {
    while (credit === 0) await new Promise<void>((resolve) => (resume = resolve));
    credit -= 1;
    to.postMessage(packFolds(folded));
  }
  await log.close();
  to.close();
}

void run(port);
