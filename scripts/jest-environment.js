'use strict';

// The one that Jest itself brings, so that their versions cannot part.
const { TestEnvironment } = require(require.resolve('jest-environment-node', { paths: [require.resolve('jest')] }));

/** Node lists threads among no resources. */
const threads = new Set();
process.on('worker', (thread) => {
  threads.add(thread);
  thread.once('exit', () => threads.delete(thread));
});

/** What still keeps the process alive, by kind. Read in a timer's callback, so that the timer itself counts the same each time. */
function openResources(afterMillis) {
  return new Promise((resolve) => {
    setTimeout(() => {
      const kinds = new Map([['Worker', threads.size]]);
      for (const kind of process.getActiveResourcesInfo()) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      resolve(kinds);
    }, afterMillis);
  });
}

/** Resources that a test file opened and left behind would keep a service from ending: such a file fails. */
const watched = ['Worker', 'Timeout', 'TCPSocketWrap', 'TCPServerWrap', 'ProcessWrap', 'MessagePort', 'FSEventWrap'];

module.exports = class LeakCheckingEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    this.before = await openResources(0);
  }

  async teardown() {
    const leaked = await this.leaked();
    await super.teardown();
    // The file has failed by now; the run should nevertheless come to its end.
    for (const thread of threads) void thread.terminate();
    if (leaked.length > 0) throw new Error(`${leaked.join(', ')} still open after the last test: close what a test opens`);
  }

  /** Closing takes a moment (a socket's last exchange, a thread's end): waits up to two seconds for it. */
  async leaked() {
    for (let round = 0; ; round++) {
      const now = await openResources(round === 0 ? 0 : 50);
      const more = watched.filter((kind) => (now.get(kind) ?? 0) > (this.before.get(kind) ?? 0));
      if (more.length === 0 || round === 40) return more;
    }
  }
};
