import type { ErrorDetail } from './shapes';

/** The service refused a request, and says why. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    message: string,
    /** The HTTP code. */
    readonly code: number,
    /** What kind of error it is, like NOT_FOUND. */
    readonly status: string,
    /** What exactly, like OUTDIAL_NOT_FOUND: for programs. */
    readonly reason: string,
    readonly details: readonly ErrorDetail[],
    readonly requestId: string,
    /** Seconds to wait before it is tried again, when the service names them. */
    readonly retryAfter: number | null,
  ) {
    super(message);
  }
}

/** A request got no answer, or not all of it: whether it took effect is not known. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

/** Text, bytes, or a stream of bytes: a file as `fs.createReadStream` gives it. */
export type Body = string | Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array>;

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: Body;
  readonly signal?: AbortSignal;
}

/** Sends requests to one service. Rejects with `ApiError` for what is refused, `ConnectionError` for what is not answered, or the signal's reason. */
export type Send = (method: string, path: string, ask?: Ask) => Promise<Response>;

export function sender(url: string, token: string | undefined): Send {
  return async (method, path, { headers = {}, query = {}, body, signal } = {}) => {
    const target = new URL(url.replace(/\/+$/, '') + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, String(value));
    const response = await answered(method, target, signal, () =>
      fetch(target, {
        method,
        headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
        ...(body === undefined ? {} : { body, duplex: 'half' as const }),
        ...(signal === undefined ? {} : { signal }),
      }),
    );
    if (response.ok) return response;
    throw errorOf(await answered(method, target, signal, () => response.text()), response);
  };
}

async function answered<T>(method: string, target: URL, signal: AbortSignal | undefined, wait: () => Promise<T>): Promise<T> {
  try {
    return await wait();
  } catch (error) {
    signal?.throwIfAborted();
    throw new ConnectionError(`${method} ${target.origin}${target.pathname}: ${reasonOf(error)}`, { cause: error });
  }
}

/** fetch says "fetch failed", or "terminated", and keeps the reason to itself. */
export function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(inner instanceof Error)) return String(inner);
  return inner.message === '' && 'code' in inner ? String(inner.code) : inner.message;
}

interface Envelope {
  readonly error?: {
    readonly status?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly request_id?: string;
    readonly details?: readonly ErrorDetail[];
  };
}

function errorOf(text: string, response: Response): ApiError {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return readError(text, response.status, Number.isNaN(seconds) ? null : seconds);
}

/** The envelope of an error, or what stands in its place when something between us and the service has answered. */
export function readError(text: string, code: number, retryAfter: number | null): ApiError {
  const { error = {} } = envelopeOf(text);
  const { status = 'UNKNOWN', reason = status, message = `the answer was ${code}`, request_id = '', details = [] } = error;
  return new ApiError(message, code, status, reason, details, request_id, retryAfter);
}

function envelopeOf(text: string): Envelope {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
