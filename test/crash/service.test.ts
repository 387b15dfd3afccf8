/** What a user may rely on when the service is killed, stopped, started twice or started wrongly. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import {
  allAttempts,
  bodyOf,
  differences,
  eventually,
  listAll,
  micros,
  newOutdial,
  nextPhone,
  outdialAt,
  pause,
  phone,
  tel,
} from '../support/api';
import type { Added, Answer, Ask, Claim, Client, Fate, Fields, Outdial, WireAttempt, WireLease, WireTarget } from '../support/api';
import { prepareService, startRefused } from '../support/service';
import type { Service } from '../support/service';

let service: Service;
let api: Client;
beforeEach(async () => {
  service = await prepareService();
});
afterEach(async () => {
  await service.dispose();
});
async function begin(): Promise<void> {
  await service.start();
  api = await service.customer();
}

const keyed = (key: string = randomUUID()): Ask => ({ headers: { 'idempotency-key': key } });
const numbers = (count: number): readonly Fields[] => Array.from({ length: count }, () => ({ destination: tel(nextPhone()) }));
async function restart(): Promise<void> {
  await service.kill();
  await service.start();
}

/**
 * Importers and dialers that write down what they were told. A request that was cut off is sent again after the restart, as its sender would: under
 * the same key, or as it was.
 */
class Journal {
  static readonly BATCH = 50;
  static readonly BATCHES = 60;
  static readonly LIMIT = 2;

  readonly violations: string[] = [];
  /** External id → id of every target that was acknowledged. */
  readonly targets = new Map<string, string>();
  /** Every attempt whose outcome was acknowledged, and that outcome. */
  readonly outcomes = new Map<string, string>();
  /** Leases that were acknowledged and that nobody has begun to report. */
  readonly held = new Map<string, WireLease>();
  /** (target, destination, try) → the attempt it was handed out as. */
  private readonly tries = new Map<string, string>();
  private readonly batches = Array.from({ length: Journal.BATCHES }, (_, n) => n);
  private readonly unsure: (() => Promise<void>)[] = [];
  killed = false;
  private claims = 0;

  constructor(private readonly outdial: Outdial) {}

  /** All who work, until the service is killed or there is nothing left to do. */
  async work(): Promise<void> {
    this.killed = false;
    const again = this.unsure.splice(0);
    const workers = [() => this.importBatches(), ...Array.from({ length: 6 }, () => () => this.dial())];
    await Promise.all([...again, ...workers].map((worker) => worker()));
  }

  get imported(): boolean {
    return this.batches.length === 0 && this.unsure.length === 0;
  }

  /** Runs `ask` now, and once more after the restart when it was cut off. */
  private async surely(ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      if (this.killed) this.unsure.push(() => this.surely(ask));
      else this.violations.push(String(error));
    }
  }

  private learn(externalId: string | null | undefined, id: string): void {
    if (externalId == null) return;
    const known = this.targets.get(externalId);
    if (known !== undefined && known !== id) this.violations.push(`${externalId} is ${known} and ${id}`);
    this.targets.set(externalId, id);
  }

  private async importBatches(): Promise<void> {
    while (!this.killed) {
      const batch = this.batches.shift();
      if (batch === undefined) return;
      const rows = Array.from({ length: Journal.BATCH }, (_, k) => ({
        external_id: `b${batch}-${k}`,
        destination: tel(phone(batch * 100 + k)),
      }));
      await this.surely(async () => {
        const asked = this.outdial.api.post<Added>(`${this.outdial.path}/targets`, { targets: rows }, keyed(`batch-${batch}`));
        const { result, summary } = bodyOf(await asked);
        if (summary.created !== Journal.BATCH) this.violations.push(`of batch ${batch} ${JSON.stringify(summary)}`);
        for (const target of result) this.learn(target.external_id, target.id);
      });
      await pause(30);
    }
  }

  private take(lease: WireLease): void {
    const what = `${lease.target_id} ${lease.destination_index} ${lease.try_count}`;
    const known = this.tries.get(what);
    // A claim that is repeated under its key gives the same leases again.
    if (known === lease.attempt_id) return;
    if (known !== undefined) this.violations.push(`${what} was handed out as ${known} and as ${lease.attempt_id}`);
    this.tries.set(what, lease.attempt_id);
    const other = this.held.get(lease.target_id);
    if (other && other.tm_expire > lease.tm_start)
      this.violations.push(`${what} was leased until ${other.tm_expire}, and again at ${lease.tm_start}`);
    if (lease.try_count > Journal.LIMIT) this.violations.push(`${what} is beyond the limit`);
    this.held.set(lease.target_id, lease);
    this.learn(lease.external_id, lease.target_id);
  }

  private async dial(): Promise<void> {
    while (!this.killed) {
      const key = keyed(`claim-${(this.claims += 1)}`);
      await this.surely(async () => {
        const claim = this.outdial.api.post<Claim>(`${this.outdial.path}/leases`, { limit: 10, lease_seconds: 3 }, key);
        const leases = bodyOf(await claim).result;
        leases.forEach((lease) => this.take(lease));
        await pause(10);
        // Some dialers die after they have dialed.
        await this.report(leases.filter(() => Math.random() < 0.95));
      });
      await pause(5);
    }
  }

  private async report(leases: readonly WireLease[]): Promise<void> {
    if (leases.length === 0) return;
    const outcomes = leases.map(({ attempt_id, target_id }) => ({
      attempt_id,
      target_id,
      outcome: Math.random() < 0.5 ? 'answered' : 'busy',
    }));
    for (const { target_id } of outcomes) this.held.delete(target_id);
    await this.surely(async () => {
      const fates = bodyOf(await this.outdial.api.post<{ result: readonly Fate[] }>(`${this.outdial.path}/outcomes`, { outcomes })).result;
      fates.forEach(({ attempt_id, result }, n) => {
        if (!['recorded', 'repeated', 'late'].includes(result)) this.violations.push(`the report on ${attempt_id} was ${result}`);
        this.outcomes.set(attempt_id, outcomes[n]?.outcome ?? '');
      });
    });
  }
}

describe('killed at random moments', () => {
  beforeEach(begin);
  const KILLS = 5;

  async function everythingAcknowledgedIsThere(outdial: Outdial, journal: Journal): Promise<void> {
    const now = new Date().toISOString().replace('T', ' ').replace('Z', '999');
    const open = await listAll<WireAttempt>(api, `${outdial.path}/attempts`, { open: true });
    const targets = new Map((await listAll<WireTarget>(api, `${outdial.path}/targets`)).map(({ external_id, id }) => [external_id, id]));
    const outcomes = new Map((await allAttempts(outdial)).map(({ attempt_id, outcome }) => [attempt_id, outcome]));
    expect([...journal.targets].filter(([externalId, id]) => targets.get(externalId) !== id)).toEqual([]);
    expect([...journal.outcomes].filter(([attempt, outcome]) => outcomes.get(attempt) !== outcome)).toEqual([]);
    const expiries = new Map(open.map(({ attempt_id, tm_expire }) => [attempt_id, tm_expire]));
    const lost = [...journal.held.values()].filter(
      ({ tm_expire, attempt_id }) => tm_expire > now && expiries.get(attempt_id) !== tm_expire,
    );
    // What expired while it was looked for is no loss.
    const after = new Date().toISOString().replace('T', ' ').replace('Z', '999');
    expect(lost.filter(({ tm_expire }) => tm_expire > after)).toEqual([]);
  }

  test('it keeps all that it acknowledged, leases nothing twice, and brings the list to its end', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0, max_try_count_0: Journal.LIMIT });
    const journal = new Journal(outdial);
    for (let kill = 0; kill < KILLS; kill += 1) {
      const working = journal.work();
      await pause(250 + Math.random() * 700);
      journal.killed = true;
      await service.kill();
      await working;
      await service.start();
      await everythingAcknowledgedIsThere(outdial, journal);
      expect(journal.violations).toEqual([]);
    }

    const working = journal.work();
    const size = Journal.BATCH * Journal.BATCHES;
    await eventually(async () => {
      expect(journal.imported).toBe(true);
      expect((await outdial.progress()).targets).toEqual({ total: size, idle: 0, progressing: 0, done: size });
    });
    journal.killed = true;
    await working;

    expect(journal.violations).toEqual([]);
    await everythingAcknowledgedIsThere(outdial, journal);
    const attempts = await allAttempts(outdial);
    const count = (of: (attempt: WireAttempt) => string): Map<string, number> =>
      attempts.reduce((counts, attempt) => counts.set(of(attempt), (counts.get(of(attempt)) ?? 0) + 1), new Map<string, number>());
    const targets = await listAll<WireTarget>(api, `${outdial.path}/targets`);
    const triesOf = count(({ target_id }) => target_id);
    expect(targets.filter(({ id, try_count_0 }) => try_count_0 !== (triesOf.get(id) ?? 0))).toEqual([]);
    const progress = await outdial.progress();
    expect(progress.attempts.total).toBe(attempts.length);
    expect(progress.attempts.by_outcome).toMatchObject(Object.fromEntries(count(({ outcome }) => outcome ?? 'under_way')));
    expect(progress.done.answered).toBe(targets.filter(({ done_reason }) => done_reason === 'answered').length);
    expect(progress.done.answered + progress.done.exhausted).toBe(size);
    expect(await differences(outdial)).toEqual([]);
    expect(await service.stop()).toBe(0);
  }, 180_000);

  test('it lets leases expire on time, those too whose end came while it was down', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 3_600_000 });
    await outdial.addAll(numbers(10));
    const short = (await outdial.claim({ limit: 5, lease_seconds: 1 })).result;
    const long = (await outdial.claim({ limit: 5, lease_seconds: 6 })).result;
    await service.kill();
    await pause(1500);
    await service.start();
    const ready = Date.now();
    expect((await outdial.claim({ limit: 10 })).result).toEqual([]);
    for (const lease of [...short, ...long]) {
      const [attempt] = await eventually(async () => {
        const attempts = await outdial.attempts(lease.target_id);
        expect(attempts[0]?.outcome).toBe('unknown');
        return attempts;
      });
      expect(attempt?.tm_end).toBe(lease.tm_expire);
      // The contract says one second; the other is what this test takes to ask, on a machine that does other things.
      expect(Date.now() - Math.max(ready, micros(lease.tm_expire) / 1000)).toBeLessThan(2000);
    }
    expect((await outdial.progress()).attempts).toMatchObject({ total: 10, by_outcome: { unknown: 10 } });
  });

  test('it keeps a lease exclusive that has not expired', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0 });
    await outdial.addAll(numbers(20));
    const leases = (await outdial.claim({ limit: 15, lease_seconds: 600 })).result;
    await restart();
    const others = (await outdial.claim({ limit: 100 })).result;
    expect(others).toHaveLength(5);
    const taken = leases.map(({ target_id }) => target_id);
    expect(others.filter(({ target_id }) => taken.includes(target_id))).toEqual([]);
    for (const lease of leases) expect((await outdial.report(lease, 'answered')).result).toBe('recorded');
  });

  test('it gives a request that is repeated under its Idempotency-Key the answer of the first', async () => {
    const { id } = await newOutdial(api, {}, { try_interval: 0 });
    const outdial = outdialAt(api, id);
    const rows = { targets: numbers(5) };
    const asks: ((ask: Ask) => Promise<Answer<unknown>>)[] = [
      (ask) => api.post('/outdials', { name: 'once' }, ask),
      (ask) => api.post(`${outdial.path}/targets`, rows, ask),
      (ask) => api.post(`${outdial.path}/leases`, { limit: 2, dialer: 'd' }, ask),
      (ask) => api.post(`${outdial.path}/pause`, {}, ask),
    ];
    const keys = asks.map(() => keyed());
    const first: Answer<unknown>[] = [];
    for (const [n, ask] of asks.entries()) first.push(await ask(keys[n] ?? {}));
    for (let round = 0; round < 2; round += 1) {
      await restart();
      for (const [n, ask] of asks.entries()) {
        const again = await ask(keys[n] ?? {});
        expect([again.status, again.text]).toEqual([first[n]?.status, first[n]?.text]);
      }
    }
    expect((await outdial.progress()).targets).toEqual({ total: 5, idle: 3, progressing: 2, done: 0 });
    expect((await listAll(api, '/outdials')).length).toBe(2);
  });

  test('it remembers credentials, passwords and keys, and what was deleted', async () => {
    const key = bodyOf(await api.post<{ id: string; token: string }>('/accesskeys', { name: 'k', detail: '', expire: 600 }), 201);
    const gone = bodyOf(await api.post<{ id: string; token: string }>('/accesskeys', { name: 'k', detail: '', expire: 600 }), 201);
    bodyOf(await api.del(`/accesskeys/${gone.id}`));
    const outdial = await newOutdial(api);
    bodyOf(await api.del(outdial.path));
    await restart();
    expect((await api.get('/outdials')).status).toBe(200);
    expect((await service.root.get('/v1.0/outdials', { query: { accesskey: key.token } })).status).toBe(200);
    expect((await service.root.get('/v1.0/outdials', { query: { accesskey: gone.token } })).status).toBe(401);
    expect(await listAll(api, '/outdials')).toEqual([]);
  });
});

describe('stopped by SIGTERM', () => {
  beforeEach(begin);
  test('it finishes what is under way, takes nothing new, and exits with 0', async () => {
    const outdial = await newOutdial(api);
    const body = JSON.stringify({ targets: numbers(2500) });
    const sending = request(api.locate(`${outdial.path}/targets`), {
      method: 'POST',
      headers: { authorization: `Bearer ${api.token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    });
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    sending.write(body.slice(0, 1000));
    // The request is under way when the service has read its head.
    await pause(200);
    const stopped = service.stop();
    await pause(200);
    sending.end(body.slice(1000));
    const [answer] = await answered;
    let heard = '';
    for await (const chunk of answer) heard += String(chunk);
    expect((JSON.parse(heard) as Added).summary.created).toBe(2500);
    expect(await stopped).toBe(0);
    // Whose request is answered may keep the connection for another; nobody waits for that.
    expect(service.output).not.toContain('connections are cut');
    await expect(api.get('/outdials')).rejects.toThrow();
    await service.start();
    expect((await outdial.progress()).targets.total).toBe(2500);
  });

  test('it answers every claim and report that it has taken', async () => {
    const outdial = await newOutdial(api, {}, { try_interval: 0, max_try_count_0: 100 });
    await outdial.addAll(numbers(500));
    const attempts: string[] = [];
    let stopping = false;
    const dialers = Array.from({ length: 8 }, async () => {
      for (;;) {
        try {
          const leases = (await outdial.claim({ limit: 5, lease_seconds: 600 })).result;
          attempts.push(...leases.map(({ attempt_id }) => attempt_id));
          for (const lease of leases) await outdial.report(lease, 'busy');
        } catch (error) {
          if (stopping) return;
          throw error;
        }
      }
    });
    await pause(300);
    stopping = true;
    expect(await service.stop()).toBe(0);
    await Promise.all(dialers);
    await service.start();
    const recorded = new Set((await allAttempts(outdial)).map(({ attempt_id }) => attempt_id));
    expect(attempts.length).toBeGreaterThan(0);
    expect(attempts.filter((id) => !recorded.has(id))).toEqual([]);
    // A claim that it took it answered: nobody's lease is unknown to its dialer.
    expect(recorded.size).toBe(attempts.length);
  });
});

describe('started', () => {
  const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line.trim() !== '');
  /** The one clear line of a service that refuses to start. */
  async function refusal(dataDir: string, variables: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stderr, stdout } = await startRefused(dataDir, { ...service.stores.variables, ...variables });
    expect(code).toBeGreaterThan(0);
    expect(stdout).not.toContain('listening on');
    expect(lines(stderr)).toHaveLength(1);
    return stderr;
  }

  test('without ADMIN_PASSWORD it makes one up, and tells it once', async () => {
    const other = await prepareService({ ADMIN_PASSWORD: undefined });
    try {
      await other.start();
      const told = (): readonly string[] => [...other.output.matchAll(/the password (\S+)/g)].map(([, word = '']) => word);
      const [password = ''] = told();
      expect(password.length).toBeGreaterThanOrEqual(16);
      await other.stop();
      await other.start();
      expect(told()).toEqual([password]);
      bodyOf(await other.root.post('/auth/login', { username: 'admin', password }));
      expect((await other.admin.get('/customers')).status).toBe(200);
    } finally {
      await other.dispose();
    }
  });

  test('it keeps what it made up from other users of the machine', async () => {
    await service.start();
    const files = await readdir(service.dataDir, { recursive: true, withFileTypes: true });
    const secrets = files.filter((file) => file.isFile() && !/\.db(-\w+)?$/.test(file.name));
    expect(secrets.length).toBeGreaterThan(0);
    for (const { parentPath, name } of secrets) expect((await stat(path.join(parentPath, name))).mode & 0o077).toBe(0);
  });

  test('a second time on the same data it refuses, and the first goes on', async () => {
    await begin();
    const outdial = await newOutdial(api);
    expect(await refusal(service.dataDir)).toContain(service.dataDir);
    const target = await outdial.add();
    expect((await outdial.lease()).target_id).toBe(target.id);
    expect(await service.stop()).toBe(0);
    await service.start();
    expect((await outdial.progress()).targets.progressing).toBe(1);
  });

  test.each([
    ['PORT', 'eighty'],
    ['PORT', '70000'],
    ['PORT', '-1'],
    ['EVENTSTORE_URL', 'http://localhost:2113'],
    ['MONGODB_URL', 'localhost'],
  ])('with %s=%s it refuses, and names the variable', async (name, value) => {
    expect(await refusal(service.dataDir, { [name]: value })).toContain(name);
  });

  test('on a data directory that is a file it refuses, and names it', async () => {
    const file = path.join(service.dataDir, 'a-file');
    await writeFile(file, '');
    expect(await refusal(file)).toContain('a-file');
  });

  test('with another ID_SECRET than the data was made with it refuses', async () => {
    await service.start();
    await service.stop();
    expect(await refusal(service.dataDir, { ID_SECRET: 'another secret that is long enough to be one' })).toContain('ID_SECRET');
    await service.start();
  });

  test('on a port that is taken it refuses, and names it', async () => {
    await service.start();
    const { port } = new URL(service.url);
    const other = await prepareService();
    try {
      expect(await refusal(other.dataDir, { PORT: port })).toContain(port);
    } finally {
      await other.dispose();
    }
  });
});
