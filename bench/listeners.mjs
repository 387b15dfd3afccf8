/**
 * Listeners to a live stream, as a process of their own. Each must hear every message once. One in fifty parses what it hears, checks the order and measures the lag, with
 * HTTP as a client would; the others count messages in what their socket brings and remember the last id: 500 parsing listeners would measure themselves.
 */

import http from 'node:http';
import net from 'node:net';

const PATIENCE_MS = 60_000;
const ONE_IN = 50;
const MARK = Buffer.from('event: target\n');
/** What is left of a message after its mark, at least. */
const SHORTEST = 200;
const BUFFER = 256 * 1024;

/** Resolves when it listens, with what resolves when it has heard all: the last id, and the lags. */
function parsing({ url, token, outdialId, messages }) {
  return new Promise((resolve, reject) => {
    const request = http.get(
      `${url}/v1.0/outdials/${outdialId}/targets/stream`,
      { agent: new http.Agent(), headers: { authorization: `Bearer ${token}` } },
      (response) => {
        if (response.statusCode !== 200) {
          reject(new Error(`the stream answered ${response.statusCode}`));
          return;
        }
        const lags = [];
        let lastPosition = '';
        let lastId = '';
        let rest = '';
        const ended = new Promise((over, fail) => {
          response.setEncoding('utf8');
          response.on('data', (chunk) => {
            const now = Date.now();
            const blocks = (rest + chunk).split('\n\n');
            rest = blocks.pop();
            for (const block of blocks) {
              if (!block.startsWith('event: target')) continue;
              lags.push(now - Date.parse(`${/"tm":"([^"]+)"/.exec(block)[1].replace(' ', 'T')}Z`));
              lastId = /^id: (.*)$/m.exec(block)[1];
              const position = Buffer.from(lastId, 'base64url').toString();
              if (position <= lastPosition) fail(new Error(`a message came twice, or too late: ${position} after ${lastPosition}`));
              lastPosition = position;
            }
            if (lags.length < messages) return;
            over({ count: lags.length, lastId, lags });
            request.destroy();
          });
          response.on('error', fail);
          response.on('end', () => fail(new Error(`a stream ended after ${lags.length} messages`)));
        });
        ended.catch(() => undefined);
        resolve({ ended });
      },
    );
    request.on('error', reject);
  });
}

/** The same, without lags. */
function counting({ url, token, outdialId, messages }) {
  return new Promise((resolve, reject) => {
    const { hostname, port, host } = new URL(url);
    let count = 0;
    /** The end of what came before: a mark, or the last message, may be torn in two. */
    let tail = Buffer.alloc(0);
    let over;
    let fail;
    const ended = new Promise((all, failed) => ([over, fail] = [all, failed]));
    ended.catch(() => undefined);
    const read = (size, buffer) => {
      const chunk = buffer.subarray(0, size);
      if (count === 0 && tail.length === 0) {
        const status = chunk.toString('latin1', 9, 12);
        if (status === '200') resolve({ ended });
        else reject(new Error(`the stream answered ${status}`));
      }
      const seam = Buffer.concat([tail.subarray(-(MARK.length - 1)), chunk.subarray(0, MARK.length - 1)]);
      if (seam.includes(MARK)) count++;
      for (let at = chunk.indexOf(MARK); at >= 0; at = chunk.indexOf(MARK, at + MARK.length + SHORTEST)) count++;
      tail = Buffer.concat([size < 2048 ? tail.subarray(-2048) : Buffer.alloc(0), chunk.subarray(-2048)]);
      if (count < messages) return true;
      const last = [...tail.toString('latin1').matchAll(/event: target\nid: (\S+)\n/g)].at(-1);
      if (last === undefined) return true;
      over({ count, lastId: last[1], lags: [] });
      socket.destroy();
      return false;
    };
    const socket = net.connect({ host: hostname, port, onread: { buffer: Buffer.alloc(BUFFER), callback: read } });
    const lost = (error) => {
      const said = error ?? new Error(`a stream ended after ${count} messages`);
      reject(said);
      fail(said);
    };
    socket.on('error', lost);
    socket.on('end', () => lost());
    socket.write(`GET /v1.0/outdials/${outdialId}/targets/stream HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  });
}

process.once('message', async (task) => {
  try {
    const all = await Promise.all(
      // The last one, too: it is the last that is written to.
      Array.from({ length: task.listeners }, (_, n) => (n % ONE_IN === 0 || n === task.listeners - 1 ? parsing(task) : counting(task))),
    );
    process.send('ready');
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error('not all messages came')), PATIENCE_MS).unref());
    const heard = await Promise.race([Promise.all(all.map(({ ended }) => ended)), late]);
    const wrong = heard.find(({ count, lastId }) => count !== task.messages || lastId !== heard[0].lastId);
    const answer =
      wrong === undefined
        ? { lags: heard.flatMap(({ lags }) => lags) }
        : { error: `a listener heard ${wrong.count} messages of ${task.messages}, the last ${wrong.lastId}` };
    process.send(answer, () => process.exit(0));
  } catch (error) {
    process.send({ error: error.message }, () => process.exit(0));
  }
});
