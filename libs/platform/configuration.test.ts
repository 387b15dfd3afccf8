import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ConfigurationError, readConfiguration, writePrivateFile } from './configuration';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'outdial-configuration-'));
});
afterEach(() => {
  fs.rmSync(directory, { recursive: true, force: true });
});

const read = (environment: Readonly<Record<string, string>> = {}): ReturnType<typeof readConfiguration> =>
  readConfiguration({ DATA_DIR: directory, ...environment });
const modeOf = (file: string): number => fs.statSync(file).mode & 0o777;

test('nothing needs to be set', () => {
  const configuration = read();
  expect(configuration).toMatchObject({ host: '127.0.0.1', port: 3000, dataDir: directory, adminUsername: 'admin', logLevel: 'info' });
  expect(configuration.adminPassword).toBeUndefined();
});

test('what is set is taken, and what is set to nothing counts as not set', () => {
  const set = {
    HOST: '::1',
    PORT: '0',
    ADMIN_USERNAME: 'root',
    ADMIN_PASSWORD: 'pw',
    LOG_LEVEL: 'debug',
    EVENTSTORE_URL: '',
    JWT_SECRET: '',
  };
  expect(read(set)).toMatchObject({ host: '::1', port: 0, adminUsername: 'root', adminPassword: 'pw', logLevel: 'debug' });
});

test('the configuration cannot be changed afterwards', () => {
  expect(Object.isFrozen(read())).toBe(true);
});

test('DATA_DIR is made when it is not there', () => {
  const dataDir = path.join(directory, 'not', 'yet');
  read({ DATA_DIR: dataDir });
  expect(fs.statSync(dataDir).isDirectory()).toBe(true);
});

describe('a variable that is wrong stops the start with one line that names it:', () => {
  const file = (): string => {
    const name = path.join(directory, 'file');
    fs.writeFileSync(name, '');
    return name;
  };
  test.each([
    ['PORT', () => 'eighty'],
    ['PORT', () => '65536'],
    ['PORT', () => '-1'],
    ['PORT', () => '3000.5'],
    ['PORT', () => ' 3000'],
    ['LOG_LEVEL', () => 'loud'],
    ['DATA_DIR', file],
    ['DATA_DIR', () => path.join(file(), 'below')],
    ['EVENTSTORE_URL', () => 'http://localhost:2113'],
    ['MONGODB_URL', () => 'localhost:27017'],
    ['MONGODB_URL', () => 'mongodb://'],
    ['CLOCK_SKEW', () => 'none'],
    ['CLOCK_SKEW', () => '-1'],
    ['CLOCK_SKEW', () => '301'],
    ['JWT_SECRET', () => 'too short'],
    ['ID_SECRET', () => 'too short'],
  ])('%s', (name, value) => {
    const start = (): unknown => read({ [name]: value() });
    expect(start).toThrow(ConfigurationError);
    expect(start).toThrow(new RegExp(`^${name}: [^\\n]+$`));
  });

  test('and never shows a secret', () => {
    expect(() => read({ JWT_SECRET: 'hunter2' })).not.toThrow(/hunter2/);
    expect(() => read({ MONGODB_URL: 'mongo://outdial:hunter2@host' })).not.toThrow(/hunter2/);
  });
});

describe('with stores elsewhere', () => {
  const url = 'esdb://localhost:2113?tls=false';
  const secrets = { JWT_SECRET: 'signs every token', ID_SECRET: 'derives every id' };

  test.each(['JWT_SECRET', 'ID_SECRET'])(
    '%s is required with EVENTSTORE_URL: one process cannot make up what others must share',
    (name) => {
      expect(() => read({ EVENTSTORE_URL: url, ...secrets, [name]: '' })).toThrow(new RegExp(`^${name}: required with EVENTSTORE_URL`));
    },
  );

  test('each variable counts by itself; only with both there are several clocks', () => {
    expect(read({ EVENTSTORE_URL: url, ...secrets })).toMatchObject({ eventStoreUrl: url, mongoUrl: undefined, clockSkew: 0 });
    expect(read({ MONGODB_URL: 'mongodb://a,b/outdial' })).toMatchObject({ mongoUrl: 'mongodb://a,b/outdial', clockSkew: 0 });
    const both = { EVENTSTORE_URL: url, MONGODB_URL: 'mongodb+srv://a', ...secrets };
    expect(read(both).clockSkew).toBe(2000);
    expect(read({ ...both, CLOCK_SKEW: '0.5' }).clockSkew).toBe(500);
  });
});

describe('the secrets', () => {
  test('are made once, kept for the owner alone, and found again', () => {
    const { jwtSecret, idSecret } = read();
    expect(jwtSecret).toMatch(/^[0-9a-f]{64}$/);
    expect(idSecret).toMatch(/^[0-9a-f]{64}$/);
    expect(idSecret).not.toBe(jwtSecret);
    expect(modeOf(path.join(directory, 'secrets.json'))).toBe(0o600);
    expect(read()).toMatchObject({ jwtSecret, idSecret });
  });

  test('may be given instead; then nothing is kept', () => {
    const given = { JWT_SECRET: 'signs every token', ID_SECRET: 'derives every id' };
    expect(read(given)).toMatchObject({ jwtSecret: given.JWT_SECRET, idSecret: given.ID_SECRET });
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  test('may be given one by one', () => {
    const { idSecret } = read();
    expect(read({ JWT_SECRET: 'signs every token' })).toMatchObject({ jwtSecret: 'signs every token', idSecret });
  });

  test('that cannot be read are never replaced by new ones', () => {
    const file = path.join(directory, 'secrets.json');
    fs.writeFileSync(file, '{"jwt_secret":"half of it');
    expect(() => read()).toThrow(/^DATA_DIR: /);
    expect(fs.readFileSync(file, 'utf8')).toBe('{"jwt_secret":"half of it');
  });
});

test('a private file is replaced as a whole, and leaves nothing else behind', () => {
  const file = path.join(directory, 'gateway.json');
  writePrivateFile(file, 'one');
  writePrivateFile(file, 'two');
  expect(fs.readFileSync(file, 'utf8')).toBe('two');
  expect(modeOf(file)).toBe(0o600);
  expect(fs.readdirSync(directory)).toEqual(['gateway.json']);
});
