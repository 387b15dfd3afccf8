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
import { type FakeMongoDb, startFakeMongoDb } from './mongodb/fake-mongodb';

const ENTRY = path.join(__dirname, '../../dist/apps/gateway/src/main.js');
const WORKER = path.join(__dirname, '../../dist/apps/worker/src/main.js');
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
  /** SIGKILL: nothing is flushed, nobody is told. Workers, where there are any, go on. */
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
  const { EVENTSTORE_URL, MONGODB_URL, STAND_INS } = process.env;
  if (EVENTSTORE_URL === undefined && STAND_INS === undefined) return { variables: {}, shared: false, close: () => Promise.resolve() };
  const fakes = STAND_INS === undefined ? [] : STAND_INS.split(',');
  return standIns({ events: fakes.includes('eventstoredb'), models: fakes.includes('mongodb') }, { EVENTSTORE_URL, MONGODB_URL });
}

const SECRETS = { JWT_SECRET: 'a secret for tests that signs tokens', ID_SECRET: 'a secret for tests that derives ids' };

interface StandIns extends Stores {
  readonly events: FakeEventStoreDb;
  readonly mongo: FakeMongoDb;
}

/** Stand-ins for the servers, with their faults; where one is not asked for, what the variables say. */
export async function standIns(which = { events: true, models: false }, variables: Variables = {}): Promise<StandIns> {
  const events = which.events ? await startFakeEventStoreDb() : null;
  const mongo = which.models ? await startFakeMongoDb() : null;
  const urls = {
    ...variables,
    ...(events === null ? {} : { EVENTSTORE_URL: events.url }),
    ...(mongo === null ? {} : { MONGODB_URL: mongo.url }),
  };
  const absent = (name: string): never => {
    throw new Error(`this test runs on no stand-in for ${name}`);
  };
  return {
    // One machine has one clock.
    variables: { ...urls, ...SECRETS, CLOCK_SKEW: '0' },
    shared: urls.EVENTSTORE_URL !== undefined && urls.MONGODB_URL !== undefined,
    get events() {
      return events ?? absent('EventStoreDB');
    },
    get mongo() {
      return mongo ?? absent('MongoDB');
    },
    async close() {
      await events?.close();
      await mongo?.close();
    },
  };
}

export interface Stores {
  /** That say so to the service, and to any other command on the same stores. */
  readonly variables: Variables;
  /** Several gateways and workers run on them. */
  readonly shared: boolean;
  close(): Promise<void>;
}

function launch(dataDir: string, variables: Variables, entry = ENTRY): ChildProcess {
  const child = spawn(process.execPath, [entry], {
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

/** Where several processes share the stores a gateway listens at once, and says when its read models are up to date. */
export async function whenReady(root: Client): Promise<void> {
  for (const deadline = Date.now() + PATIENCE; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const { status, text } = await root.get('/readyz');
    if (status === 200) return;
    if (Date.now() > deadline) throw new Error(`the service does not become ready: ${text}`);
  }
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

/** A process of a deployment, for tests that have several on the same stores. */
export interface Process {
  readonly url: string;
  readonly root: Client;
  readonly child: ChildProcess;
  /** Everything that it has written so far. */
  readonly output: string;
  /** Its parts of /readyz. */
  ready(): Promise<{
    readonly status: string;
    readonly parts: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>>;
  }>;
  /** SIGTERM, or another signal; resolves when it has ended. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a gateway or a worker and waits until it listens. Ended and cleaned up by whoever starts it. */
export async function startProcess(kind: 'gateway' | 'worker', variables: Variables): Promise<Process> {
  const dataDir = await mkdtemp(path.join(tmpdir(), `outdial-${kind}-`));
  const child = launch(dataDir, variables, kind === 'worker' ? WORKER : ENTRY);
  let output = '';
  const hear = (chunk: Buffer): void => void (output += chunk.toString());
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  const url = await listening(child, () => output);
  const root = clientAt(() => url, '');
  return {
    url,
    root,
    child,
    get output() {
      return output;
    },
    ready: async () => (await root.get<Awaited<ReturnType<Process['ready']>>>('/readyz')).body,
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
      const code = await ended(child);
      clearTimeout(timer);
      await rm(dataDir, { recursive: true, force: true });
      return code;
    },
  };
}

/** A service that is not running yet, on an empty data directory; it closes the stores it is given when it is disposed of. */
export async function prepareService(variables: Variables = {}, given?: Stores): Promise<Service> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'outdial-e2e-'));
  const stores = given ?? (await openStores());
  let child: ChildProcess | null = null;
  let url = '';
  let output = '';
  let worker: Process | null = null;
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
      if (stores.shared) {
        worker ??= await startProcess('worker', { ...stores.variables, ...variables });
        await whenReady(root);
      }
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
      const working = worker;
      worker = null;
      return (await working?.end()) ?? code;
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
      await worker?.end('SIGKILL');
      worker = null;
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
