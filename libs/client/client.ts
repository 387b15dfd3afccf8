import { chunksOf, FILE_TYPES, importTargets } from './imports';
import type { ImportLine, ImportOptions } from './imports';
import { sender } from './requests';
import type { Body, Send } from './requests';
import type {
  Attempt,
  Claim,
  ClaimRequest,
  NewOutdial,
  NewTarget,
  Outcome,
  OutcomeResult,
  Outdial,
  Page,
  Progress,
  Target,
} from './shapes';

/**
 * A client of one service, with one credential. Answers are what the API document says: they are not checked against it. Every method rejects with `ApiError`
 * when the service refuses, and with `ConnectionError` when it does not answer.
 */
export interface Client {
  /** Any request under /v1.0 that has no method here; `T` is its answer. */
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown, options?: WriteOptions): Promise<T>;

  createOutdial(outdial: NewOutdial, options?: WriteOptions): Promise<Outdial>;
  outdial(id: string): Promise<Outdial>;
  /** Newest first. */
  outdials(): AsyncIterable<Outdial>;
  addTarget(outdialId: string, target: NewTarget, options?: WriteOptions): Promise<Target>;
  target(outdialId: string, targetId: string): Promise<Target>;
  /** Newest first. */
  targets(outdialId: string, filter?: TargetFilter): AsyncIterable<Target>;
  /** See `importTargets`: rows' fates while the file is sent, the summary last. */
  importTargets(outdialId: string, body: Body, options: ImportOptions): AsyncIterable<ImportLine>;
  /** The targets as a file that can be imported again, as it comes. */
  exportTargets(
    outdialId: string,
    options: { readonly format: 'csv' | 'ndjson'; readonly signal?: AbortSignal },
  ): AsyncIterable<Uint8Array>;
  /** Leases of what is to be dialed next. With an Idempotency-Key a repeated request answers the same leases. */
  claim(outdialId: string, request: ClaimRequest, options?: WriteOptions): Promise<Claim>;
  /** What came of attempts, up to 1000. Reporting twice is harmless. */
  report(outdialId: string, outcomes: readonly Outcome[]): Promise<readonly OutcomeResult[]>;
  progress(outdialId: string): Promise<Progress>;
  /** All attempts on a target, oldest first. */
  attempts(outdialId: string, targetId: string): Promise<readonly Attempt[]>;
}

export interface WriteOptions {
  readonly idempotencyKey?: string;
}

export interface TargetFilter {
  readonly status?: Target['status'];
  readonly external_id?: string;
  readonly destination?: string;
}

/** Logs a user in; answers the token. */
export async function logIn(url: string, username: string, password: string): Promise<string> {
  const { token } = await sendJson<{ readonly token: string }>(sender(url, undefined), '/auth/login', { username, password });
  return token;
}

async function sendJson<T>(send: Send, path: string, body: unknown, { idempotencyKey }: WriteOptions = {}): Promise<T> {
  const headers = { 'content-type': 'application/json', ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }) };
  const response = await send('POST', path, { headers, body: JSON.stringify(body) });
  return (await response.json()) as T;
}

/** `token`: what `logIn` answered, or an access key. */
export function connect({ url, token }: { readonly url: string; readonly token: string }): Client {
  const send = sender(url, token);
  const get = async <T>(path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<T> =>
    (await (await send('GET', `/v1.0${path}`, { query })).json()) as T;
  const post = <T>(path: string, body: unknown, options?: WriteOptions): Promise<T> => sendJson<T>(send, `/v1.0${path}`, body, options);
  async function* list<T>(path: string, query: Readonly<Record<string, string | undefined>> = {}): AsyncGenerator<T> {
    let token = '';
    do {
      const page: Page<T> = await get<Page<T>>(path, { ...query, page_token: token });
      yield* page.result;
      token = page.next_page_token;
    } while (token !== '');
  }
  const at = (outdialId: string, rest = ''): string => `/outdials/${encodeURIComponent(outdialId)}${rest}`;
  return {
    get,
    post,
    createOutdial: (outdial, options) => post('/outdials', outdial, options),
    outdial: (id) => get(at(id)),
    outdials: () => list('/outdials'),
    addTarget: (outdialId, target, options) => post(at(outdialId, '/targets'), target, options),
    target: (outdialId, targetId) => get(at(outdialId, `/targets/${encodeURIComponent(targetId)}`)),
    targets: (outdialId, filter = {}) => list(at(outdialId, '/targets'), { ...filter }),
    importTargets: (outdialId, body, options) => importTargets(send, encodeURIComponent(outdialId), body, options),
    async *exportTargets(outdialId, { format, signal }) {
      const response = await send('GET', `/v1.0${at(outdialId, '/targets/export')}`, {
        headers: { accept: FILE_TYPES[format] },
        ...(signal === undefined ? {} : { signal }),
      });
      yield* chunksOf(response, signal);
    },
    claim: (outdialId, request, options) => post(at(outdialId, '/leases'), request, options),
    report: async (outdialId, outcomes) =>
      (await post<{ readonly result: readonly OutcomeResult[] }>(at(outdialId, '/outcomes'), { outcomes })).result,
    progress: (outdialId) => get(at(outdialId, '/progress')),
    attempts: async (outdialId, targetId) =>
      (await get<{ readonly result: readonly Attempt[] }>(at(outdialId, `/targets/${encodeURIComponent(targetId)}/attempts`))).result,
  };
}
