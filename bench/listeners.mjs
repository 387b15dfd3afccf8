/** Listeners to a live stream, as a process of their own. Each must hear every message once; what is answered are the lags of one in ten of them. */

import http from 'node:http';

const PATIENCE_MS = 60_000;

function listen({ url, token, outdialId, messages }, lags, sampled) {
  return new Promise((resolve, reject) => {
    const agent = new http.Agent();
    const request = http.get(
      `${url}/v1.0/outdials/${outdialId}/targets/stream`,
      { agent, headers: { authorization: `Bearer ${token}` } },
      (response) => {
        if (response.statusCode !== 200) {
          reject(new Error(`the stream answered ${response.statusCode}`));
          return;
        }
        const heard = { count: 0 };
        let rest = '';
        const ended = new Promise((over, fail) => {
          response.setEncoding('utf8');
          response.on('data', (chunk) => {
            const now = Date.now();
            const blocks = (rest + chunk).split('\n\n');
            rest = blocks.pop();
            for (const block of blocks) {
              if (!block.startsWith('event: target')) continue;
              heard.count++;
              if (sampled) lags.push(now - Date.parse(`${/"tm":"([^"]+)"/.exec(block)[1].replace(' ', 'T')}Z`));
            }
            if (heard.count >= messages) {
              over(heard.count);
              request.destroy();
            }
          });
          response.on('error', fail);
          response.on('end', () => fail(new Error(`a stream ended after ${heard.count} messages`)));
        });
        ended.catch(() => undefined);
        resolve(ended);
      },
    );
    request.on('error', reject);
  }).then((ended) => ({ ended }));
}

process.once('message', async (task) => {
  const lags = [];
  try {
    const all = await Promise.all(Array.from({ length: task.listeners }, (_, n) => listen(task, lags, n % 10 === 0)));
    process.send('ready');
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error('not all messages came')), PATIENCE_MS).unref());
    const counts = await Promise.race([Promise.all(all.map(({ ended }) => ended)), late]);
    const wrong = counts.find((count) => count !== task.messages);
    process.send(wrong === undefined ? { lags } : { error: `a listener heard ${wrong} messages of ${task.messages}` }, () =>
      process.exit(0),
    );
  } catch (error) {
    process.send({ error: error.message }, () => process.exit(0));
  }
});
