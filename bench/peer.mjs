/** One peer, as a process of its own: adds the targets, dials them to their end if that is asked for, answers with the seconds that each took. */

import { serveTask } from './child.mjs';
import { attemptTally, checkDialed, mustEqual, targetOf } from './work.mjs';

serveTask(async ({ name, targets, dials, ...where }) => {
  const { open } = await import(`./peers/${name}.mjs`);
  const queue = await open(where);
  const list = Array.from({ length: targets }, (_, i) => targetOf(i));
  const added = await seconds(() => queue.add(list));
  mustEqual('jobs', targets, await queue.left());
  const dialed = dials ? await dial(queue, targets) : null;
  await queue.close();
  return { added, dialed };
});

async function dial(queue, targets) {
  const tally = attemptTally(targets);
  const taken = await seconds(() => queue.dial(tally));
  checkDialed(targets, tally.byOutcome);
  mustEqual('jobs that are left', 0, await queue.left());
  return taken;
}

async function seconds(run) {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}
