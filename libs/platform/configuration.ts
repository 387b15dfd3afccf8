import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** The service cannot start as it was configured. `message` is one line that names the variable and says what to do. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Configuration {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Absolute; exists and can be written to. */
  readonly dataDir: string;
  /** Of the EventStoreDB that keeps the log; undefined: the log is in DATA_DIR. */
  readonly eventStoreUrl: string | undefined;
  /** Of the MongoDB that keeps the read models; undefined: they are in DATA_DIR. With both, several gateways and workers share the stores. */
  readonly mongoUrl: string | undefined;
  /** Milliseconds by which the clocks of the processes that share the stores may differ; 0 when there is one process. */
  readonly clockSkew: number;
  readonly adminUsername: string;
  /** undefined: generated at the first start. */
  readonly adminPassword: string | undefined;
  readonly jwtSecret: string;
  readonly idSecret: string;
  readonly logLevel: LogLevel;
  /** Webhooks may lead to this machine and its networks. */
  readonly webhooksMayBePrivate: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The shortest secret that is accepted. Anybody can try secrets against a token that he has seen, as fast as his machine allows. */
const SECRET_LENGTH = 16;

/**
 * Reads the environment (the API contract, Running). A variable that is set to nothing counts as not set, as in compose files. Makes DATA_DIR and, in it,
 * the secrets that were not given.
 * Throws `ConfigurationError` for the first variable that is wrong.
 */
export function readConfiguration(environment: Environment): Configuration {
  const given = (name: string): string | undefined => (environment[name] === '' ? undefined : environment[name]);
  const [eventStoreUrl, mongoUrl] = [readEventStoreUrl(given('EVENTSTORE_URL')), readMongoUrl(given('MONGODB_URL'))];
  const clockSkew = readSkew(given('CLOCK_SKEW') ?? '2');
  const host = given('HOST') ?? '127.0.0.1';
  const port = readPort(given('PORT') ?? '3000');
  const logLevel = readLogLevel(given('LOG_LEVEL') ?? 'info');
  const webhooksMayBePrivate = readFlag('WEBHOOK_ALLOW_PRIVATE', given('WEBHOOK_ALLOW_PRIVATE') ?? 'false');
  const [jwtSecret, idSecret] = [readSecret('JWT_SECRET', given('JWT_SECRET')), readSecret('ID_SECRET', given('ID_SECRET'))];
  if (eventStoreUrl !== undefined) {
    requireSecret('JWT_SECRET', jwtSecret);
    requireSecret('ID_SECRET', idSecret);
  }
  const dataDir = prepareDataDir(given('DATA_DIR') ?? './data');
  return Object.freeze({
    host,
    port,
    dataDir,
    eventStoreUrl,
    mongoUrl,
    clockSkew: eventStoreUrl !== undefined && mongoUrl !== undefined ? clockSkew : 0,
    adminUsername: given('ADMIN_USERNAME') ?? 'admin',
    adminPassword: given('ADMIN_PASSWORD'),
    ...(jwtSecret !== undefined && idSecret !== undefined ? { jwtSecret, idSecret } : secretsOf(dataDir, jwtSecret, idSecret)),
    logLevel,
    webhooksMayBePrivate,
  });
}

function readEventStoreUrl(url: string | undefined): string | undefined {
  if (url === undefined || /^(esdb|kurrentdb|kurrent)(\+discover)?:\/\/[^/?]+/.test(url)) return url;
  throw new ConfigurationError('EVENTSTORE_URL: must be a connection string such as esdb://admin:changeit@host:2113?tls=true.');
}

/** The URL itself stays out of the message: it may hold a password. */
function readMongoUrl(url: string | undefined): string | undefined {
  if (url === undefined || /^mongodb(\+srv)?:\/\/[^/?]+/.test(url)) return url;
  throw new ConfigurationError('MONGODB_URL: must be a connection string such as mongodb://user:secret@host:27017/outdial?replicaSet=rs0.');
}

function readSkew(text: string): number {
  const seconds = Number(text);
  if (!/^\d{1,3}(\.\d+)?$/.test(text) || seconds > 300) {
    throw new ConfigurationError(`CLOCK_SKEW: must be a number of seconds from 0 to 300, not "${text}".`);
  }
  return seconds * 1000;
}

/** What several processes must agree on cannot be made by one of them. */
function requireSecret(name: string, secret: string | undefined): void {
  if (secret !== undefined) return;
  throw new ConfigurationError(`${name}: required with EVENTSTORE_URL, the same for every process on that log; keep it with its back-ups.`);
}

function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw new ConfigurationError(`PORT: must be a number from 0 to 65535 (0: any free port), not "${text}".`);
  }
  return port;
}

function readFlag(name: string, text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new ConfigurationError(`${name}: must be true or false, not "${text}".`);
  return text === 'true';
}

function readLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) throw new ConfigurationError(`LOG_LEVEL: must be one of ${LOG_LEVELS.join(', ')}, not "${text}".`);
  return level;
}

/** The value itself stays out of the message: it is a secret. */
function readSecret(name: string, text: string | undefined): string | undefined {
  if (text !== undefined && text.length < SECRET_LENGTH) {
    throw new ConfigurationError(`${name}: must have at least ${SECRET_LENGTH} characters; it has ${text.length}.`);
  }
  return text;
}

function prepareDataDir(text: string): string {
  const dataDir = path.resolve(text);
  try {
    fs.mkdirSync(dataDir, { recursive: true });
    // access() says yes to root even where writing fails, as on a read-only file system.
    const probe = path.join(dataDir, `.writable-${process.pid}`);
    fs.writeFileSync(probe, '');
    fs.rmSync(probe);
  } catch (error) {
    throw new ConfigurationError(`DATA_DIR: ${dataDir} cannot be written to (${codeOf(error)}).`);
  }
  return dataDir;
}

/** What was given wins over what is kept. */
function secretsOf(dataDir: string, jwtSecret?: string, idSecret?: string): Pick<Configuration, 'jwtSecret' | 'idSecret'> {
  const kept = keepSecrets(dataDir);
  return { jwtSecret: jwtSecret ?? kept.jwt_secret, idSecret: idSecret ?? kept.id_secret };
}

interface KeptSecrets {
  readonly jwt_secret: string;
  readonly id_secret: string;
}

/** Reads the secrets of this data directory, or makes them: 256 bits each, readable by the owner alone. */
function keepSecrets(dataDir: string): KeptSecrets {
  const file = path.join(dataDir, 'secrets.json');
  const known = readSecrets(file);
  if (known) return known;
  const made: KeptSecrets = { jwt_secret: randomBytes(32).toString('hex'), id_secret: randomBytes(32).toString('hex') };
  try {
    writeNew(file, `${JSON.stringify(made, null, 2)}\n`);
  } catch (error) {
    // Another process made them in the meantime: theirs count.
    if (codeOf(error) !== 'EEXIST') throw new ConfigurationError(`DATA_DIR: ${file} cannot be written (${codeOf(error)}).`);
  }
  return readSecrets(file) ?? made;
}

function readSecrets(file: string): KeptSecrets | null {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new ConfigurationError(`DATA_DIR: ${file} cannot be read (${codeOf(error)}).`);
  }
  const { jwt_secret, id_secret } = parseObject(text);
  if (typeof jwt_secret !== 'string' || typeof id_secret !== 'string') {
    throw new ConfigurationError(
      `DATA_DIR: ${file} does not hold jwt_secret and id_secret; restore it from a back-up or set JWT_SECRET and ID_SECRET.`,
    );
  }
  return { jwt_secret, id_secret };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Writes a private file that must not exist yet: all of it or, after a crash, none. */
function writeNew(file: string, text: string): void {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeDurably(draft, text);
  try {
    // Unlike rename, link refuses when the file is there already.
    fs.linkSync(draft, file);
  } finally {
    fs.rmSync(draft, { force: true });
  }
  syncDirectory(path.dirname(file));
}

/** Writes, or replaces, a file that only its owner may read: a reader sees the old text or the new one, never a part. */
export function writePrivateFile(file: string, text: string): void {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeDurably(draft, text);
  fs.renameSync(draft, file);
  syncDirectory(path.dirname(file));
}

function writeDurably(file: string, text: string): void {
  const handle = fs.openSync(file, 'wx', 0o600);
  try {
    fs.writeFileSync(handle, text);
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

/** A name is durable when its directory is. */
function syncDirectory(directory: string): void {
  const handle = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

const codeOf = (error: unknown): string => {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : String(error);
};
