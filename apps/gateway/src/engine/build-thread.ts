import { workerData } from 'node:worker_threads';
import { decodeEvent } from '#dialing';
import { openLogReader } from '#event-store';
import { foldStreams, packFolds, READ_MODELS } from '#read-models';
import type { PackedFolds } from '#read-models';
import { SideThread } from '../side-thread';
import type { BuildTask } from './build-threads';

/** A part of a build from nothing: reads, decodes and folds with a connection of its own. What it has made the projector's thread writes. */
const { source, upTo, share } = workerData as BuildTask;

/** Documents sent together, some 150 KB of them. */
const TOGETHER = 200;

const side = new SideThread<PackedFolds>(3);

/** What is thrown ends the thread, and is heard as its error. */
async function run(): Promise<void> {
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
  for await (const folded of streams) await side.send(packFolds(folded));
  await log.close();
  side.end();
}

void run();
