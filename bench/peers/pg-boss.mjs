import PgBoss from 'pg-boss';
import { DESTINATIONS, TRIES } from '../work.mjs';

const QUEUE = 'dial';
const BULK = 1000;
/** Jobs a fetch: more than ours takes, which is to its advantage. */
const BATCH = 500;

/** @returns a queue as peer.mjs dials it */
export async function open({ directory, dialers }) {
  const boss = new PgBoss({ host: directory, user: 'postgres', database: 'postgres', max: 2 * dialers, supervise: false, schedule: false });
  await boss.start();
  await boss.createQueue(QUEUE, { name: QUEUE, retryLimit: DESTINATIONS * TRIES - 1, retryDelay: 0 });
  /** Without an order by priority, and without times to wait for: less to look for. */
  const how = { batchSize: BATCH, includeMetadata: true, priority: false, ignoreStartAfter: true };

  async function dialer(tally) {
    while (!tally.isDone()) {
      const jobs = await boss.fetch(QUEUE, how);
      const done = [];
      const failed = [];
      for (const { id, data, retryCount } of jobs) {
        const attempt = tally.attempt(Number(data.external_id), retryCount + 1);
        (attempt.over ? done : failed).push(id);
      }
      await Promise.all([done.length > 0 && boss.complete(QUEUE, done), failed.length > 0 && boss.fail(QUEUE, failed)]);
    }
  }
  return {
    async add(targets) {
      for (let first = 0; first < targets.length; first += BULK) {
        await boss.insert(targets.slice(first, first + BULK).map((data) => ({ name: QUEUE, data })));
      }
    },
    async dial(tally) {
      await Promise.all(Array.from({ length: dialers }, () => dialer(tally)));
    },
    left: () => boss.getQueueSize(QUEUE, { before: 'completed' }),
    close: () => boss.stop({ graceful: false }),
  };
}
