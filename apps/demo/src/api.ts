/** The part of the HTTP API that a dialer and the one who gives it work need: shapes as on the wire, and a client for them. */

export interface NewTarget {
  readonly [field: string]: string | number | { readonly type: 'tel' | 'sip' | 'email'; readonly target: string };
}

export interface ImportResult {
  readonly summary: { readonly total: number; readonly created: number; readonly duplicates: number; readonly invalid: number };
  readonly errors: readonly { readonly index: number; readonly details: readonly { readonly field: string; readonly reason: string }[] }[];
}

export interface Lease {
  readonly attempt_id: string;
  readonly target_id: string;
  readonly destination: { readonly type: string; readonly target: string };
  readonly destination_index: number;
  readonly try_count: number;
}

export interface LeaseResult {
  readonly result: readonly Lease[];
  /** A timestamp; the year 9999 when nothing will become callable by itself. */
  readonly next_callable_at: string;
}

export interface Report {
  readonly attempt_id: string;
  readonly target_id: string;
  readonly outcome: string;
}

export interface ReportResult {
  readonly result: readonly { readonly attempt_id: string; readonly result: string }[];
}

export interface Progress {
  readonly targets: { readonly total: number; readonly idle: number; readonly progressing: number; readonly done: number };
  readonly done: { readonly answered: number; readonly exhausted: number; readonly canceled: number };
  readonly attempts: {
    readonly total: number;
    readonly by_outcome: Readonly<Record<string, number>>;
    readonly by_destination: readonly number[];
  };
  readonly callable: number;
  readonly waiting: number;
  readonly penetration: number;
  readonly connect_rate: number;
}

export interface Target {
  readonly status: 'idle' | 'progressing' | 'done';
  readonly done_reason: 'answered' | 'exhausted' | 'canceled' | null;
  readonly try_count_0: number;
  readonly try_count_1: number;
  readonly try_count_2: number;
  readonly try_count_3: number;
  readonly try_count_4: number;
}

export interface Page<T> {
  readonly result: readonly T[];
  /** '' after the last page. */
  readonly next_page_token: string;
}

export interface Client {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
}

/** `T` is what the API document says: the answer is not checked against it. Rejects with the service's own message when it refuses. */
export function clientAt(url: string, token?: string): Client {
  const send = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  };
  return { get: (path) => send('GET', path), post: (path, body) => send('POST', path, body) };
}
