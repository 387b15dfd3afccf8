import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError, connect, ConnectionError, logIn } from '.';
import type { ImportLine } from '.';

let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const asked: IncomingMessage[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request);
    answer(request.resume(), response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});
beforeEach(() => {
  asked.length = 0;
});
const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const client = (): ReturnType<typeof connect> => connect({ url: url(), token: 'the token' });

const created = { row: 1, result: 'created', id: 'a' };
const summary = { total: 1, created: 1, duplicates: 0, invalid: 0 };

/** What an import whose answer is cut into these pieces yields, and how it ends. */
async function imported(
  pieces: readonly string[],
  end: 'ended' | 'cut' = 'ended',
): Promise<{ readonly lines: readonly ImportLine[]; readonly error: unknown }> {
  answer = (_, response) => {
    void (async () => {
      for (const piece of pieces) await new Promise((written) => response.write(piece, written));
      if (end === 'cut') response.destroy();
      else response.end();
    })();
  };
  const lines: ImportLine[] = [];
  try {
    for await (const line of client().importTargets('x', 'the file', { format: 'csv' })) lines.push(line);
    return { lines, error: null };
  } catch (error) {
    return { lines, error };
  }
}

describe('an import', () => {
  const text = `${JSON.stringify({ ...created, external_id: 'Ä😀' })}\n${JSON.stringify({ summary })}\n`;

  test('yields the lines of the answer, whatever pieces they come in', async () => {
    const bytes = Buffer.from(text).toString('latin1');
    expect((await imported([text])).lines).toEqual([{ ...created, external_id: 'Ä😀' }, { summary }]);
    for (const size of [1, 7, 30]) {
      answer = (_, response) => {
        for (let at = 0; at < bytes.length; at += size) response.write(bytes.slice(at, at + size), 'latin1');
        response.end();
      };
      const lines: ImportLine[] = [];
      for await (const line of client().importTargets('x', 'the file', { format: 'ndjson' })) lines.push(line);
      expect(lines).toEqual([{ ...created, external_id: 'Ä😀' }, { summary }]);
    }
  });

  test('says how it is to be done', async () => {
    answer = (_, response) => void response.end(`${JSON.stringify({ summary })}\n`);
    const options = { format: 'csv', dryRun: true, results: 'none', ignoreUnknown: true, updateDuplicates: true, readd: true } as const;
    for await (const line of client().importTargets('an id', 'the file', options)) expect(line).toEqual({ summary });
    expect(asked[0]?.url).toBe(
      '/v1.0/outdials/an%20id/targets?dry_run=true&results=none&ignore_unknown=true&on_duplicate=update&readd=true',
    );
    expect(asked[0]?.headers).toMatchObject({ 'content-type': 'text/csv', authorization: 'Bearer the token' });
  });

  test('that failed after it had begun is an error of the service', async () => {
    const error = { status: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE', message: 'try again', request_id: 'r' };
    const { lines, error: thrown } = await imported([`${JSON.stringify(created)}\n${JSON.stringify({ error })}\n`]);
    expect(lines).toEqual([created]);
    expect(thrown).toBeInstanceOf(ApiError);
    expect(thrown).toMatchObject({ status: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE', message: 'try again', requestId: 'r' });
  });

  test.each(['ended', 'cut'] as const)('whose answer %s early is to be sent again', async (end) => {
    const { lines, error } = await imported([`${JSON.stringify(created)}\n`, '{"summary":{"tot'], end);
    expect(lines).toEqual([created]);
    expect(error).toBeInstanceOf(ConnectionError);
  });
});

describe('a request', () => {
  test('that is refused says why', async () => {
    const error = {
      status: 'CONFLICT',
      reason: 'ARCHIVED',
      message: 'it is archived',
      request_id: 'r',
      details: [{ field: 'a', reason: 'b' }],
    };
    answer = (_, response) => void response.writeHead(409, { 'retry-after': '7' }).end(JSON.stringify({ error }));
    await expect(client().progress('x')).rejects.toMatchObject({
      name: 'ApiError',
      code: 409,
      status: 'CONFLICT',
      reason: 'ARCHIVED',
      message: 'it is archived',
      details: error.details,
      requestId: 'r',
      retryAfter: 7,
    });
  });

  test('that something else than the service refuses has its code', async () => {
    answer = (_, response) => void response.writeHead(502).end('<html>bad gateway</html>');
    await expect(logIn(url(), 'admin', 'x')).rejects.toMatchObject({ name: 'ApiError', code: 502, status: 'UNKNOWN', retryAfter: null });
  });

  test('that nobody answers says who did not', async () => {
    await expect(connect({ url: 'http://127.0.0.1:9', token: '' }).progress('x')).rejects.toThrow(
      /^GET http:\/\/127\.0\.0\.1:9\/v1\.0\/outdials\/x\/progress: /,
    );
  });

  test('that is called off rejects with the reason for it', async () => {
    const caller = new AbortController();
    answer = () => {
      caller.abort(new Error('enough'));
    };
    const reading = client().exportTargets('x', { format: 'csv', signal: caller.signal });
    await expect(reading[Symbol.asyncIterator]().next()).rejects.toThrow('enough');
  });
});
