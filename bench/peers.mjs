/** The job queues that are used in an engine's place, doing the same work. Each has a server and a process of its own. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runIn } from './child.mjs';
import { findProgram, startPostgres, startRedis } from './servers.mjs';
import { expectedTotals } from './work.mjs';

const REDIS = { start: startRedis, programs: ['redis-server'] };
const POSTGRES = { start: startPostgres, programs: ['initdb', 'postgres', 'pg_ctl'] };
const PEERS = { bullmq: REDIS, 'pg-boss': POSTGRES, 'graphile-worker': POSTGRES };

/**
 * `import` and `dial-cycle`, as far as they are among `only`, of each peer. What is not installed is told on stderr and left out.
 * @returns {AsyncGenerator<object>} figures
 */
export async function* peerFigures({ targets, dialers, only }) {
  const { attempts } = expectedTotals(targets);
  for (const [name, { start, programs }] of Object.entries(PEERS)) {
    const version = installed(name);
    const missing = version === null ? 'its package (npm ci --prefix bench)' : programs.find((program) => findProgram(program) === null);
    if (missing !== undefined) {
      process.stderr.write(`${name} is not measured: ${missing} is not installed\n`);
      continue;
    }
    const server = await start();
    try {
      const { directory, socket } = server;
      const dials = only.includes('dial-cycle');
      const { added, dialed } = await runIn('peer.mjs', { name, targets, dials, dialers, directory, socket });
      if (only.includes('import')) yield { figure: 'import', via: name, version, value: targets / added, unit: 'targets/s', targets };
      if (dials) yield { figure: 'dial-cycle', via: name, version, value: attempts / dialed, unit: 'attempts/s', targets };
    } finally {
      await server.stop();
    }
  }
}

/** Version of the package; null when it is not there. */
function installed(name) {
  try {
    return JSON.parse(readFileSync(path.join(import.meta.dirname, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return null;
  }
}
