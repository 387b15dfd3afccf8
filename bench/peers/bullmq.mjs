import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { DESTINATIONS, TRIES } from '../work.mjs';

const QUEUE = 'dial';
const BULK = 1000;
/** Jobs under way at once. */
const CONCURRENCY = 100;
/** Without `backoff` a failed job is tried again at once. What is done is removed: a history would cost more. */
const JOB = { attempts: DESTINATIONS * TRIES, removeOnComplete: true, removeOnFail: true, stackTraceLimit: 0 };

/** One error for all: that it failed is all there is to say. */
const NOT_DONE = new Error('not answered');

/** @returns a queue as peer.mjs dials it */
export async function open({ socket }) {
  const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
  const queue = new Queue(QUEUE, { connection });
  await queue.waitUntilReady();
  return {
    async add(targets) {
      for (let first = 0; first < targets.length; first += BULK) {
        await queue.addBulk(targets.slice(first, first + BULK).map((data) => ({ name: QUEUE, data, opts: JOB })));
      }
    },
    async dial(tally) {
      const work = async ({ data, attemptsMade }) => {
        if (!tally.attempt(Number(data.external_id), attemptsMade + 1).over) throw NOT_DONE;
      };
      const worker = new Worker(QUEUE, work, { connection, concurrency: CONCURRENCY });
      await Promise.race([tally.ended, new Promise((_, reject) => worker.on('error', reject))]);
      await worker.close();
    },
    async left() {
      const counts = await queue.getJobCounts();
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
    async close() {
      await queue.close();
      await connection.quit();
    },
  };
}
