/**
 * Redis and PostgreSQL for the peers: started from what is installed, each in a temporary folder, on a socket in that folder and no port. They end with
 * whoever started them, however that ends.
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeFolder, temporaryFolder } from './temporary.mjs';

const PATIENCE_MS = 30_000;
/** Debian keeps the server's programs out of PATH. */
const POSTGRES = '/usr/lib/postgresql';

/** Where a program is; null when it is not installed. Of several PostgreSQLs the newest. */
export function findProgram(name) {
  const versions = existsSync(POSTGRES) ? readdirSync(POSTGRES).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), ...versions.map((version) => path.join(POSTGRES, version, 'bin'))];
  return folders.map((folder) => path.join(folder, name)).find((program) => existsSync(program)) ?? null;
}

/** Redis that keeps a log of what it does, on disk every second. */
export async function startRedis() {
  const directory = temporaryFolder('peer');
  const socket = path.join(directory, 'redis.sock');
  const settings = { port: 0, unixsocket: socket, dir: directory, save: '', appendonly: 'yes', appendfsync: 'everysec' };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return start('redis-server', options, { directory, socket, end: (child) => child.kill('SIGKILL') });
}

/** PostgreSQL, every commit on disk, with the memory and the room for its log that a server for queues is given. */
export async function startPostgres() {
  const directory = temporaryFolder('peer');
  const owner = postgresOwner();
  if (owner.uid !== undefined) chownSync(directory, owner.uid, owner.gid);
  const data = path.join(directory, 'data');
  execFileSync(findProgram('initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'], {
    ...owner,
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const settings = { listen_addresses: '', unix_socket_directories: directory, shared_buffers: '512MB', max_wal_size: '4GB' };
  const options = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const socket = path.join(directory, '.s.PGSQL.5432');
  const stop = ['stop', '-D', data, '-m', 'immediate', '-w'];
  const end = () => spawnSync(findProgram('pg_ctl'), stop, { ...owner, cwd: directory, stdio: 'ignore' });
  return start('postgres', options, { directory, socket, end, owner });
}

/** PostgreSQL refuses to run as root. */
function postgresOwner() {
  if (process.getuid?.() !== 0) return {};
  const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/**
 * Starts a server and waits until its socket answers. Rejects with its output when it does not.
 * @returns {Promise<{ directory: string, socket: string, stop: () => Promise<void> }>}
 */
async function start(name, options, { directory, socket, end, owner = {} }) {
  // A group of its own: Ctrl-C reaches the bench alone, which then ends it in order.
  const child = spawn(findProgram(name), options, { ...owner, cwd: directory, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = (output + chunk).slice(-4000)));
  const exited = once(child, 'exit');
  const endIfRunning = () => {
    if (child.exitCode === null && child.signalCode === null) end(child);
  };
  // Before its folder is removed.
  process.prependOnceListener('exit', endIfRunning);
  const stop = async () => {
    process.off('exit', endIfRunning);
    endIfRunning();
    await exited;
    removeFolder(directory);
  };
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await answers(socket))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`${name} did not start:\n${output}`);
    }
    await sleep(50);
  }
  return { directory, socket, stop };
}

function answers(socket) {
  return new Promise((resolve) => {
    const connection = net.connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}
