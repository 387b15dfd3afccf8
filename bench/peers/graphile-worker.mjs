import { once } from 'node:events';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';

const TASK = 'dial';
const BULK = 1000;

/** As the documentation's chapter on performance has it, with more jobs at once: they wait for one another's additions, see `together`. */
const FAST = { concurrentJobs: 200, maxPoolSize: 10, localQueue: { size: 1000 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

const silent = new Logger(() => () => undefined);

/** @returns a queue as peer.mjs dials it */
export async function open({ directory }) {
  const preset = { worker: { connectionString: `postgresql://postgres@/postgres?host=${directory}`, logger: silent, ...FAST } };
  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  const jobs = (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: TASK, payload })));
  return {
    async add(targets) {
      for (let first = 0; first < targets.length; first += BULK) {
        await jobs(targets.slice(first, first + BULK).map((target) => ({ target, k: 1 })));
      }
    },
    async dial(tally) {
      const again = together(jobs);
      const work = async ({ target, k }) => {
        if (!tally.attempt(Number(target.external_id), k).over) await again({ target, k: k + 1 });
      };
      const runner = await run({ preset, taskList: { [TASK]: work } });
      await Promise.race([tally.ended, once(runner.events, 'pool:fatalError').then(([error]) => Promise.reject(error))]);
      await runner.stop();
    },
    left: () =>
      utils.withPgClient(async (client) => {
        const { rows } = await client.query('select count(*)::int as left from graphile_worker.jobs');
        return rows[0].left;
      }),
    close: () => utils.release(),
  };
}

/**
 * A job that fails waits for seconds, by a rule that is part of its schema. What is to be tried at once is therefore added anew before the job is done, and all that
 * come in the same turn in one call.
 */
function together(add) {
  let waiting = [];
  let next = null;
  return (payload) => {
    waiting.push(payload);
    next ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
      const all = waiting;
      waiting = [];
      next = null;
      return add(all);
    });
    return next;
  };
}
