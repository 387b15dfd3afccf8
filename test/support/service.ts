import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bodyOf, clientAt } from './api';
import type { Client } from './api';
import { type FakeEventStoreDb, startFakeEventStoreDb } from './eventstoredb/fake-eventstoredb';

const ENTRY = path.join(__dirname, '../../dist/apps/gateway/src/main.js');
export const ADMIN = { username: 'admin', password: 'correct horse battery staple' };

/** Longer than any start or orderly end should take: only a service that hangs meets it. */
const PATIENCE = 30_000;

/** The built gateway as a process of its own, on a data directory of its own. */
export interface Service {
  readonly dataDir: string;
  /** Where it keeps what it keeps: the data directory alone, or what the environment names. */
  readonly stores: Stores;
  /** Of the process; 0 when none runs. */
  readonly pid: number;
  /** Where it listens; another port after each start. */
  readonly url: string;
  /** Everything that its processes have written so far. */
  readonly output: string;
  /** The first user, logged in. Goes on working after a restart: the secret that signs tokens is kept in the data directory. */
  readonly admin: Client;
  /** Outside /v1.0, without credentials. */
  readonly root: Client;
  start(): Promise<void>;
  /** SIGTERM; answers the exit code, null when it had to be killed. */
  stop(): Promise<number | null>;
  /** SIGKILL: nothing is flushed, nobody is told. */
  kill(): Promise<void>;
  /** A customer that nobody else uses, logged in. */
  customer(): Promise<Client>;
  /** Kills what still runs and removes the data directory. */
  dispose(): Promise<void>;
}

/** How a process that was meant to end did so. */
export interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Every process that still runs, so that none is left behind by a test that failed on the way. */
const alive = new Set<ChildProcess>();

/** undefined: not set. */
type Variables = Readonly<Record<string, string | undefined>>;

/** Which stores it runs on is the environment's choice, as for anybody who runs it: the same tests hold for all of them. */
async function openStores(): Promise<Stores> {
  const { EVENTSTORE_URL, STAND_INS } = process.env;
  if (EVENTSTORE_URL) return { variables: { EVENTSTORE_URL, ...SECRETS }, close: () => Promise.resolve() };
  if (STAND_INS === 'eventstoredb') return standIns();
  return { variables: {}, close: () => Promise.resolve() };
}

const SECRETS = { JWT_SECRET: 'a secret for tests that signs tokens', ID_SECRET: 'a secret for tests that derives ids' };

/** A log on a stand-in for EventStoreDB, with its faults. */
export async function standIns(): Promise<Stores & { readonly events: FakeEventStoreDb }> {
  const events = await startFakeEventStoreDb();
  return { variables: { EVENTSTORE_URL: events.url, ...SECRETS }, events, close: () => events.close() };
}

export interface Stores {
  /** That say so to the service, and to any other command on the same stores. */
  readonly variables: Variables;
  close(): Promise<void>;
}

function launch(dataDir: string, variables: Variables): ChildProcess {
  const child = spawn(process.execPath, [ENTRY], {
    // Nothing else of this environment: a variable of the developer's shell must not change what is tested.
    env: {
      PATH: process.env.PATH,
      DATA_DIR: dataDir,
      HOST: '127.0.0.1',
      PORT: '0',
      ADMIN_PASSWORD: ADMIN.password,
      ...variables,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

function listening(child: ChildProcess, output: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`the service ${why}:\n${output()}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail('did not say that it listens');
    }, PATIENCE);
    const look = (): void => {
      const url = /listening on (http:\/\/[\w.:]+)/.exec(output())?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      child.stdout?.off('data', look);
      resolve(url);
    };
    child.stdout?.on('data', look);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      fail(`ended before it listened (${String(code ?? signal)})`);
    });
  });
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

/** A service that is not running yet, on an empty data directory; it closes the stores it is given when it is disposed of. */
export async function prepareService(variables: Variables = {}, given?: Stores): Promise<Service> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'outdial-e2e-'));
  const stores = given ?? (await openStores());
  let child: ChildProcess | null = null;
  let url = '';
  let output = '';
  let admin: Client | null = null;
  const address = (): string => url;
  const root = clientAt(address, '');

  const logIn = async (username: string, password: string): Promise<Client> => {
    const { token } = bodyOf(await root.post<{ token: string }>('/auth/login', { username, password }));
    return clientAt(address, '/v1.0', token);
  };
  const kill = async (): Promise<void> => {
    child?.kill('SIGKILL');
    if (child) await ended(child);
    child = null;
  };

  return {
    dataDir,
    stores,
    get pid() {
      return child?.pid ?? 0;
    },
    get url() {
      return url;
    },
    get output() {
      return output;
    },
    get admin() {
      if (!admin) throw new Error('the service was never started');
      return admin;
    },
    root,
    async start() {
      const started = launch(dataDir, { ...stores.variables, ...variables });
      child = started;
      let said = '';
      const hear = (chunk: Buffer): void => {
        said += chunk.toString();
        output += chunk.toString();
      };
      started.stdout?.on('data', hear);
      started.stderr?.on('data', hear);
      url = await listening(started, () => said);
      // Where it was not given one, the service makes a password up and tells it.
      admin ??= await logIn(ADMIN.username, /the password (\S+)/.exec(said)?.[1] ?? ADMIN.password);
    },
    async stop() {
      if (!child) return null;
      const stopping = child;
      child = null;
      stopping.kill('SIGTERM');
      const timer = setTimeout(() => stopping.kill('SIGKILL'), PATIENCE);
      const code = await ended(stopping);
      clearTimeout(timer);
      return code;
    },
    kill,
    async customer() {
      const username = `user-${randomUUID()}`;
      const password = `password of ${username}`;
      if (!admin) throw new Error('the service was never started');
      bodyOf(await admin.post('/customers', { name: 'a customer', detail: '', username, password }), 201);
      return logIn(username, password);
    },
    async dispose() {
      await kill();
      await stores.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * One service for all tests of a file: started before the first, ended in an orderly way after the last. That SIGTERM ends it with exit code 0 is
 * thereby checked after everything a file has done to it.
 */
export function useService(): Service {
  let service: Service | null = null;
  const running = (): Service => {
    if (!service) throw new Error('the service runs only while tests run');
    return service;
  };
  beforeAll(async () => {
    service = await prepareService();
    await service.start();
  }, PATIENCE + 10_000);
  afterAll(async () => {
    if (!service) return;
    const code = await service.stop();
    const said = service.output;
    await service.dispose();
    alive.forEach((child) => child.kill('SIGKILL'));
    if (code !== 0) throw new Error(`SIGTERM did not end the service with exit code 0 but ${String(code)}:\n${said.slice(-4000)}`);
  }, PATIENCE + 10_000);
  return {
    get dataDir() {
      return running().dataDir;
    },
    get stores() {
      return running().stores;
    },
    get pid() {
      return running().pid;
    },
    get url() {
      return running().url;
    },
    get output() {
      return running().output;
    },
    get admin() {
      return running().admin;
    },
    get root() {
      return running().root;
    },
    start: () => running().start(),
    stop: () => running().stop(),
    kill: () => running().kill(),
    customer: () => running().customer(),
    dispose: () => running().dispose(),
  };
}

/** Starts the gateway where it is expected to refuse, and waits for its end. */
export async function startRefused(dataDir: string, variables: Variables = {}): Promise<Ending> {
  const child = launch(dataDir, variables);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  clearTimeout(timer);
  return { code: child.exitCode, stdout, stderr };
}
