import { ApiError, ConnectionError } from '#client';
import { persist } from './persistence';

const refusal = (code: number, status: string): ApiError => new ApiError('refused', code, status, status, [], '', 0);
const away = new ConnectionError('nobody listens');

/** What an attempt that fails thus, one time after the other, comes to; `reached` grows where it says so. */
async function outcome(failures: readonly { readonly error: Error; readonly further?: boolean }[], retries: number): Promise<unknown> {
  let tries = 0;
  let rows = 0;
  const signal = new AbortController().signal;
  const attempt = async (): Promise<string> => {
    const failure = failures[tries];
    tries += 1;
    if (!failure) return `done at try ${tries}`;
    if (failure.further) rows += 1;
    throw failure.error;
  };
  const options = { retries, signal, reached: () => rows, onRetry: () => undefined, wait: async () => undefined };
  return persist(attempt, options).catch((error: unknown) => error);
}

test('a connection that broke is tried again, and so is a service that is away', async () => {
  expect(await outcome([{ error: away }, { error: refusal(503, 'UNAVAILABLE') }, { error: refusal(502, 'UNKNOWN') }], 3)).toBe(
    'done at try 4',
  );
});

test('it gives up after so many failures in a row', async () => {
  expect(await outcome([{ error: away }, { error: away }, { error: away }], 2)).toBe(away);
});

test('a failure that came further than the one before begins the count anew', async () => {
  expect(await outcome([{ error: away }, { error: away, further: true }, { error: away }, { error: away, further: true }], 2)).toBe(
    'done at try 5',
  );
});

test.each([
  ['a conflict', refusal(409, 'CONFLICT')],
  ['a wrong credential', refusal(401, 'UNAUTHENTICATED')],
  ['a failure of the service', refusal(500, 'INTERNAL')],
  ['a mistake of ours', new Error('a mistake')],
])('what cannot get better is not tried again: %s', async (_, error) => {
  expect(await outcome([{ error }], 5)).toBe(error);
});

test('waits grow, and are as long as the service asks for at least', async () => {
  const waits: number[] = [];
  const errors = [away, away, away, new ApiError('wait', 503, 'UNAVAILABLE', 'UNAVAILABLE', [], '', 60)];
  const attempt = async (): Promise<void> => {
    const error = errors.shift();
    if (error) throw error;
  };
  const onRetry = (_: Error, millis: number): void => void waits.push(millis);
  await persist(attempt, { retries: 9, signal: new AbortController().signal, reached: () => 0, onRetry, wait: async () => undefined });
  const [first = 0, , third = 0, asked = 0] = waits;
  expect(third).toBeGreaterThan(first);
  expect(asked).toBeGreaterThanOrEqual(60_000);
});

test('an interruption ends the waiting', async () => {
  const interruption = new AbortController();
  const onRetry = (): void => interruption.abort(new Error('interrupted'));
  const attempt = async (): Promise<void> => {
    throw away;
  };
  const running = persist(attempt, { retries: 9, signal: interruption.signal, reached: () => 0, onRetry });
  await expect(running).rejects.toThrow(/abort|interrupted/i);
});
