import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, logIn } from '#client';
import type { Client } from '#client';

const GATEWAY = path.join(__dirname, '../../gateway/src/main.js');
const PASSWORD = 'a demo needs no secret';
const PATIENCE_MS = 30_000;

export interface Service {
  /** Logged in as the first user. */
  readonly client: Client;
  /** Stops the service and removes its data. Rejects when it does not end in order. */
  stop(): Promise<void>;
}

/** Starts the gateway as a process of its own, on an empty data directory and a free port. */
export async function startService(): Promise<Service> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'outdial-demo-'));
  const child = spawn(process.execPath, [GATEWAY], {
    // Nothing else of this environment: the demo must not find its way to somebody's real stores.
    env: { PATH: process.env.PATH, DATA_DIR: dataDir, HOST: '127.0.0.1', PORT: '0', ADMIN_PASSWORD: PASSWORD },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const killed = (): void => void child.kill('SIGKILL');
  process.once('exit', killed);
  let output = '';
  const listen = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-10_000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);

  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    process.off('exit', killed);
    await rm(dataDir, { recursive: true, force: true });
    if (child.exitCode !== 0) throw new Error(`the service ended with ${String(child.exitCode ?? child.signalCode)}:\n${output}`);
  };

  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const url = /listening on (http:\S+)/.exec(output)?.[1];
    if (url !== undefined) return { client: connect({ url, token: await logIn(url, 'admin', PASSWORD) }), stop };
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop().catch(() => undefined);
      throw new Error(`the service did not start:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
