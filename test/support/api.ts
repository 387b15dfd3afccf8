/** A small client of the HTTP API, the shapes it answers with, and the few verbs that most tests need. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** A request body or a part of one: whatever a caller may send, right or wrong. */
export type Fields = Readonly<Record<string, unknown>>;

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed when it is JSON. */
  readonly body: T;
  readonly text: string;
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly signal?: AbortSignal;
}

export interface Client {
  /** '' when it carries no credential. */
  readonly token: string;
  get<T = Json>(path: string, ask?: Ask): Promise<Answer<T>>;
  /** No body at all when `body` is undefined. */
  post<T = Json>(path: string, body?: unknown, ask?: Ask): Promise<Answer<T>>;
  put<T = Json>(path: string, body?: unknown, ask?: Ask): Promise<Answer<T>>;
  del<T = Json>(path: string, ask?: Ask): Promise<Answer<T>>;
  /** Any method; the body goes out as it is. */
  send<T = Json>(method: string, path: string, body?: string | Uint8Array<ArrayBuffer>, ask?: Ask): Promise<Answer<T>>;
  /** Where a path of this client leads. */
  locate(path: string, query?: Ask['query']): string;
}

/** `base` is asked at each request: a service that was restarted listens elsewhere. */
export function clientAt(base: () => string, prefix: string, token = ''): Client {
  const locate: Client['locate'] = (path, query = {}) => {
    const url = new URL(`${base()}${prefix}${path}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    return url.href;
  };
  const send = async <T>(method: string, path: string, body?: string | Uint8Array<ArrayBuffer>, ask: Ask = {}): Promise<Answer<T>> => {
    const response = await fetch(locate(path, ask.query), {
      method,
      headers: { ...(token === '' ? {} : { authorization: `Bearer ${token}` }), ...ask.headers },
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
      ...(ask.signal === undefined ? {} : { signal: ask.signal }),
    });
    const text = await response.text();
    const isJson = /^application\/json\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: (isJson && text !== '' ? JSON.parse(text) : null) as T, text };
  };
  const sendJson = <T>(method: string, path: string, body: unknown, ask: Ask = {}): Promise<Answer<T>> =>
    body === undefined
      ? send<T>(method, path, undefined, ask)
      : send<T>(method, path, JSON.stringify(body), { ...ask, headers: { 'content-type': 'application/json', ...ask.headers } });
  return {
    token,
    get: <T>(path: string, ask?: Ask) => send<T>('GET', path, undefined, ask),
    post: <T>(path: string, body?: unknown, ask?: Ask) => sendJson<T>('POST', path, body, ask),
    put: <T>(path: string, body?: unknown, ask?: Ask) => sendJson<T>('PUT', path, body, ask),
    del: <T>(path: string, ask?: Ask) => send<T>('DELETE', path, undefined, ask),
    send,
    locate,
  };
}

/** The body of an answer that must have this status; says the whole answer when it has another. */
export function bodyOf<T>(answer: Answer<T>, status = 200): T {
  if (answer.status !== status) throw new Error(`expected ${status}, got ${answer.status}: ${answer.text.slice(0, 2000)}`);
  return answer.body;
}

export interface ApiError {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly request_id: string;
  readonly details: readonly { readonly field: string; readonly reason: string; readonly value?: unknown }[];
}

/** The error of an answer that must be refused with this status. */
export function errorOf(answer: Answer<unknown>, status: number): ApiError {
  const { error } = bodyOf(answer, status) as { error?: ApiError };
  if (!error) throw new Error(`no error envelope: ${answer.text.slice(0, 2000)}`);
  return { ...error, details: (error as Partial<ApiError>).details ?? [] };
}

// ---------------------------------------------------------------- what the API answers with

export const NO_ID = '00000000-0000-0000-0000-000000000000';
export const NEVER = '9999-01-01 00:00:00.000000';
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const TIMESTAMP = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{6}$/;

export interface Page<T> {
  readonly result: readonly T[];
  readonly next_page_token: string;
}

export interface WireAddress {
  readonly type: string;
  readonly target: string;
  readonly target_name: string;
  readonly name: string;
  readonly detail: string;
}

export interface WireOutdial {
  readonly id: string;
  readonly campaign_id: string;
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly outplan_id: string;
  readonly state: string;
  readonly tm_create: string;
  readonly tm_update: string;
  readonly tm_delete: string;
}

export interface WireOutplan {
  readonly id: string;
  readonly name: string;
  readonly detail: string;
  readonly source: WireAddress | null;
  readonly dial_timeout: number;
  readonly try_interval: number;
  readonly max_try_count_0: number;
  readonly max_try_count_1: number;
  readonly max_try_count_2: number;
  readonly max_try_count_3: number;
  readonly max_try_count_4: number;
  readonly retry: Readonly<Record<string, { readonly retry?: boolean; readonly interval?: number; readonly next_destination?: boolean }>>;
  readonly tm_create: string;
  readonly tm_update: string;
  readonly tm_delete: string;
}

export interface WireTarget {
  readonly id: string;
  readonly outdial_id: string;
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly status: string;
  readonly destination_0: WireAddress | null;
  readonly destination_1: WireAddress | null;
  readonly destination_2: WireAddress | null;
  readonly destination_3: WireAddress | null;
  readonly destination_4: WireAddress | null;
  readonly try_count_0: number;
  readonly try_count_1: number;
  readonly try_count_2: number;
  readonly try_count_3: number;
  readonly try_count_4: number;
  readonly external_id: string | null;
  readonly priority: number;
  readonly try_count_max: number | null;
  readonly try_count_max_0: number | null;
  readonly try_count_max_1: number | null;
  readonly try_count_max_2: number | null;
  readonly try_count_max_3: number | null;
  readonly try_count_max_4: number | null;
  readonly exhausted: readonly boolean[];
  readonly done_reason: string | null;
  readonly tm_next_try: string;
  readonly tm_create: string;
  readonly tm_update: string;
  readonly tm_delete: string;
}

export interface WireAttempt {
  readonly attempt_id: string;
  readonly outdial_id: string;
  readonly target_id: string;
  readonly destination_index: number;
  readonly destination: WireAddress;
  readonly try_count: number;
  readonly try_count_max: number;
  readonly dialer: string;
  readonly dial_timeout: number;
  readonly source: WireAddress | null;
  readonly tm_start: string;
  readonly tm_expire: string;
  readonly tm_end: string;
  readonly outcome: string | null;
  readonly disposition: string | null;
  readonly note: string | null;
  readonly late: boolean;
}

export interface WireLease extends WireAttempt {
  readonly name: string;
  readonly detail: string;
  readonly data: string;
  readonly external_id: string | null;
}

export interface Claim {
  readonly result: readonly WireLease[];
  readonly next_callable_at: string;
}

export interface Fate {
  readonly attempt_id: string;
  readonly result: string;
  readonly status: string | null;
  readonly done_reason: string | null;
}

export interface Added {
  readonly result: readonly WireTarget[];
  readonly duplicates: readonly { readonly index: number; readonly id: string; readonly deleted?: boolean }[];
  readonly errors: readonly { readonly index: number; readonly details: ApiError['details'] }[];
  readonly summary: { readonly total: number; readonly created: number; readonly duplicates: number; readonly invalid: number };
}

export interface WireProgress {
  readonly targets: { readonly total: number; readonly idle: number; readonly progressing: number; readonly done: number };
  readonly done: { readonly answered: number; readonly exhausted: number; readonly canceled: number };
  readonly attempts: {
    readonly total: number;
    readonly by_outcome: Readonly<Record<string, number>>;
    readonly by_destination: readonly number[];
  };
  readonly callable: number;
  readonly waiting: number;
  readonly next_callable_at: string;
  readonly penetration: number;
  readonly connect_rate: number;
  readonly tm: string;
}

// ---------------------------------------------------------------- time and numbers

/** Microseconds since 1970 of a timestamp as answers have it. Written anew here: tests must not read with the code that writes. */
export const micros = (timestamp: string): number =>
  Date.parse(`${timestamp.slice(0, 19).replace(' ', 'T')}Z`) * 1000 + Number(timestamp.slice(20));

/** A phone number in E.164 for each n below ten million. */
export const phone = (n: number, area = '+1555'): string => `${area}${String(n).padStart(7, '0')}`;
export const tel = (target: string): { type: 'tel'; target: string } => ({ type: 'tel', target });

export const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Tries until it passes; its last failure when it never does. The limit only keeps a broken service from hanging the tests. */
export async function eventually<T>(attempt: () => Promise<T>, milliseconds = 15_000): Promise<T> {
  const limit = Date.now() + milliseconds;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > limit) throw error;
      await pause(50);
    }
  }
}

// ---------------------------------------------------------------- verbs

/** All rows of a list, page by page. */
export async function listAll<T>(api: Client, path: string, query: Ask['query'] = {}): Promise<readonly T[]> {
  const rows: T[] = [];
  for (let token: string | undefined; token !== '';) {
    const page: Page<T> = bodyOf(
      await api.get<Page<T>>(path, { query: { ...query, ...(token === undefined ? {} : { page_token: token }) } }),
    );
    rows.push(...page.result);
    token = page.next_page_token;
  }
  return rows;
}

let lastNumber = 0;
/** A number that no other target of this test file has. */
export const nextPhone = (): string => phone((lastNumber += 1));

/** An outdial, and what its users and dialers do with it. Every verb fails loudly when it is refused. */
export interface Outdial {
  readonly api: Client;
  readonly id: string;
  readonly path: string;
  get(): Promise<WireOutdial>;
  /** Adds one target; a number is made up when no destination is given. */
  add(fields?: Fields): Promise<WireTarget>;
  addAll(targets: readonly Fields[]): Promise<Added>;
  target(id: string): Promise<WireTarget>;
  /** One lease. */
  lease(options?: Fields): Promise<WireLease>;
  claim(options?: Fields): Promise<Claim>;
  report(attempt: Pick<WireAttempt, 'attempt_id' | 'target_id'>, outcome: string, more?: Fields): Promise<Fate>;
  attempts(targetId: string): Promise<readonly WireAttempt[]>;
  progress(): Promise<WireProgress>;
}

export function outdialAt(api: Client, id: string): Outdial {
  const path = `/outdials/${id}`;
  const claim: Outdial['claim'] = async (options = {}) => bodyOf(await api.post<Claim>(`${path}/leases`, { limit: 1, ...options }));
  return {
    api,
    id,
    path,
    claim,
    get: async () => bodyOf(await api.get<WireOutdial>(path)),
    add: async (fields = {}) => {
      const reachable = ['destination', ...[0, 1, 2, 3, 4].map((n) => `destination_${n}`)].some((name) => name in fields);
      return bodyOf(
        await api.post<WireTarget>(`${path}/targets`, { ...(reachable ? {} : { destination_0: tel(nextPhone()) }), ...fields }),
        201,
      );
    },
    addAll: async (targets) => bodyOf(await api.post<Added>(`${path}/targets`, { targets })),
    target: async (targetId) => bodyOf(await api.get<WireTarget>(`${path}/targets/${targetId}`)),
    lease: async (options = {}) => {
      const [lease] = (await claim(options)).result;
      if (!lease) throw new Error('nothing was leased');
      return lease;
    },
    report: async ({ attempt_id, target_id }, outcome, more = {}) => {
      const body = { outcomes: [{ attempt_id, target_id, outcome, ...more }] };
      const [fate] = bodyOf(await api.post<{ result: readonly Fate[] }>(`${path}/outcomes`, body)).result;
      if (!fate) throw new Error('no fate was answered');
      return fate;
    },
    attempts: async (targetId) => bodyOf(await api.get<{ result: readonly WireAttempt[] }>(`${path}/targets/${targetId}/attempts`)).result,
    progress: async () => bodyOf(await api.get<WireProgress>(`${path}/progress`)),
  };
}

/** Runs `work` for each item, some at a time, and answers the results in order. */
async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>, atOnce = 16): Promise<readonly R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const worker = async (): Promise<void> => {
    for (const [at, item] of rest) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** Every attempt of an outdial's listed targets, as the targets' own streams tell. */
export async function allAttempts(outdial: Outdial): Promise<readonly WireAttempt[]> {
  const targets = await listAll<WireTarget>(outdial.api, `${outdial.path}/targets`);
  return (await eachOf(targets, ({ id }) => outdial.attempts(id))).flat();
}

/**
 * Where the read models (lists, progress) and the event log (a target by its id is folded from its stream) tell different stories of an outdial that
 * nobody changes meanwhile. Of a large list some of the targets are compared.
 */
export async function differences(outdial: Outdial, most = 1000): Promise<readonly string[]> {
  const listed = await listAll<WireTarget>(outdial.api, `${outdial.path}/targets`);
  const step = Math.ceil(listed.length / most);
  const compared = listed.filter((_, n) => n % step === 0);
  const folded = await eachOf(compared, ({ id }) => outdial.target(id));
  const found = compared.flatMap((target, n) =>
    JSON.stringify(target) === JSON.stringify(folded[n]) ? [] : [`${JSON.stringify(target)} is ${JSON.stringify(folded[n])}`],
  );
  const { targets, done } = await outdial.progress();
  const count = (field: 'status' | 'done_reason', value: string): number => listed.filter((target) => target[field] === value).length;
  const counted = {
    targets: {
      total: listed.length,
      idle: count('status', 'idle'),
      progressing: count('status', 'progressing'),
      done: count('status', 'done'),
    },
    done: {
      answered: count('done_reason', 'answered'),
      exhausted: count('done_reason', 'exhausted'),
      canceled: count('done_reason', 'canceled'),
    },
  };
  const progress = { targets, done };
  return JSON.stringify(progress) === JSON.stringify(counted)
    ? found
    : [...found, `${JSON.stringify(progress)} is ${JSON.stringify(counted)}`];
}

export const newOutplan = async (api: Client, fields: Fields = {}): Promise<WireOutplan> =>
  bodyOf(await api.post<WireOutplan>('/outplans', { name: 'an outplan', ...fields }), 201);

/** An outdial of its own outplan, when one is given. */
export async function newOutdial(api: Client, fields: Fields = {}, outplan?: Fields): Promise<Outdial> {
  const plan = outplan && (await newOutplan(api, outplan));
  const body = { name: 'an outdial', ...(plan ? { outplan_id: plan.id } : {}), ...fields };
  const { id } = bodyOf(await api.post<WireOutdial>('/outdials', body), 201);
  return outdialAt(api, id);
}
