/** Work in a process of its own, so that what one side needs of the machine is not the other's: one message with the task, one with the result. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';

const { nodeFlags, nodeEnvironment } = createRequire(import.meta.url)('../scripts/node-flags.js');

/** Has `script`, of this folder, do a task, under the flags that the service has. Rejects with what it failed with. */
export async function runIn(script, task) {
  const child = fork(path.join(import.meta.dirname, script), { execArgv: nodeFlags, env: { ...process.env, ...nodeEnvironment } });
  const ended = once(child, 'exit').then(([code, signal]) => [{ error: `${script} ended with ${code ?? signal}` }]);
  child.send(task);
  const [message] = await Promise.race([once(child, 'message'), ended]);
  await ended;
  if (message.error) throw new Error(message.error);
  return message.result;
}

/** The other side: does the task that comes. Ends when whoever asked is gone. */
export function serveTask(work) {
  process.once('disconnect', () => process.exit(1));
  // Ctrl-C reaches the whole group: this one ends after whoever asked, with all that it has to do then.
  process.on('SIGINT', () => undefined);
  process.once('message', (task) => {
    work(task)
      .then((result) => ({ result }))
      .catch((error) => ({ error: error.message }))
      .then((message) => process.send(message, () => process.exit()));
  });
}
