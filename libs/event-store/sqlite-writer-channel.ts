import { Worker } from 'node:worker_threads';
import { decodeResults, encodeAppends } from './sqlite-wire';
import { SqliteWriter, type WriterAnswer, type WriterTask } from './sqlite-writer';
import type { FromWriter, ToWriter } from './sqlite-writer.thread';
import { THREAD_MEMORY } from './thread-memory';

/** The way to the writer, wherever it runs. */
export interface WriterChannel {
  readonly logId: string;
  submit(task: WriterTask): void;
  /** Finishes what was submitted, then closes the files. Rejects when the writer died before that. */
  close(): Promise<void>;
}

export interface WriterListener {
  answered(answers: readonly WriterAnswer[]): void;
  /** Nothing submitted before or after is answered any more. At most once, never after close. */
  died(error: Error): void;
}

/** The writer in this thread: what is submitted within one turn of the event loop makes a group. */
export function openInlineWriter(directory: string, listener: WriterListener): WriterChannel {
  let answers: WriterAnswer[] = [];
  const writer = new SqliteWriter(directory, (answer) => answers.push(answer));
  let scheduled = false;
  let ended = false;

  const end = (): void => {
    if (ended) return;
    ended = true;
    writer.close();
  };
  const step = (): void => {
    scheduled = false;
    if (ended) return;
    try {
      writer.step();
    } catch (error) {
      end();
      listener.died(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    const done = answers;
    answers = [];
    if (!writer.idle) schedule();
    if (done.length > 0) listener.answered(done);
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(step);
  };

  return {
    logId: writer.logId,
    submit: (task) => {
      writer.accept(task);
      schedule();
    },
    close: async () => {
      while (!ended && !writer.idle) step();
      end();
    },
  };
}

/** The writer on a thread of its own, from the compiled file beside this one: a turn of the event loop makes one message. */
export function openWriterThread(directory: string, listener: WriterListener): Promise<WriterChannel> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(require.resolve('./sqlite-writer.thread'), { workerData: { directory }, resourceLimits: THREAD_MEMORY });
    const send = (message: ToWriter): void => worker.postMessage(message);
    let outbox: WriterTask[] = [];
    let state: 'starting' | 'open' | 'closed' | 'dead' = 'starting';
    let settleClose: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null;

    const flush = (): void => {
      const tasks = outbox;
      outbox = [];
      const appends = tasks.filter((task) => task.kind === 'append');
      const others = tasks.filter((task) => task.kind === 'state');
      if (appends.length > 0) send({ kind: 'appends', appends: encodeAppends(appends) });
      if (others.length > 0) send({ kind: 'state', tasks: others });
    };
    const die = (error: Error): void => {
      if (state === 'closed' || state === 'dead') return;
      const starting = state === 'starting';
      state = 'dead';
      if (starting) {
        reject(error);
        return;
      }
      settleClose?.reject(error);
      listener.died(error);
    };
    const channel = (logId: string): WriterChannel => ({
      logId,
      submit: (task) => {
        if (outbox.length === 0) setImmediate(flush);
        outbox.push(task);
      },
      close: () =>
        new Promise((closed, failed) => {
          if (state === 'dead') {
            closed();
            return;
          }
          settleClose = { resolve: closed, reject: failed };
          flush();
          send({ kind: 'close' });
        }),
    });

    worker.on('message', (message: FromWriter) => {
      switch (message.kind) {
        case 'ready':
          state = 'open';
          resolve(channel(message.logId));
          break;
        case 'appended':
          listener.answered(decodeResults(message.results));
          break;
        case 'state':
          listener.answered(message.answers);
          break;
        case 'closed':
          state = 'closed';
          break;
      }
    });
    worker.on('error', die);
    worker.on('messageerror', die);
    worker.on('exit', (code) => {
      if (state === 'closed') settleClose?.resolve();
      else die(new Error(`The writer thread ended by itself, with code ${code}`));
    });
  });
}
