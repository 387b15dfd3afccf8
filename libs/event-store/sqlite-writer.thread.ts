import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { decodeAppends, encodeResults, type Flat, type PackedAppends } from './sqlite-wire';
import { SqliteWriter, type WriterAnswer, type WriterTask } from './sqlite-writer';

/** From the store to its writer thread. */
export type ToWriter =
  | { readonly kind: 'appends'; readonly appends: PackedAppends }
  | { readonly kind: 'state'; readonly tasks: readonly Extract<WriterTask, { kind: 'state' }>[] }
  | { readonly kind: 'close' };

/** And back. An error is not told but thrown: the thread ends by it, and the store hears of that. */
export type FromWriter =
  | { readonly kind: 'ready'; readonly logId: string }
  | { readonly kind: 'appended'; readonly results: Flat }
  | { readonly kind: 'state'; readonly answers: readonly Exclude<WriterAnswer, { kind: 'appended' }>[] }
  | { readonly kind: 'closed' };

if (parentPort === null) throw new Error('sqlite-writer.thread is started by the event store, not by itself');
const port = parentPort;
const send = (message: FromWriter): void => port.postMessage(message);

let answers: WriterAnswer[] = [];
const { directory } = workerData as { directory: string };
const writer = new SqliteWriter(directory, (answer) => answers.push(answer));
let closing = false;

function accept(message: ToWriter): void {
  switch (message.kind) {
    case 'appends':
      for (const task of decodeAppends(message.appends)) writer.accept(task);
      break;
    case 'state':
      for (const task of message.tasks) writer.accept(task);
      break;
    case 'close':
      closing = true;
      break;
  }
}

function sendAnswers(): void {
  const appended = answers.filter((answer) => answer.kind === 'appended');
  const others = answers.filter((answer) => answer.kind !== 'appended');
  answers = [];
  if (appended.length > 0) send({ kind: 'appended', results: encodeResults(appended) });
  if (others.length > 0) send({ kind: 'state', answers: others });
}

port.on('message', (first: ToWriter) => {
  accept(first);
  do {
    // What arrived during the last commit makes the next group; waiting for the event loop between groups would only make it later.
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port)) accept(more.message as ToWriter);
    writer.step();
    sendAnswers();
  } while (!writer.idle);
  if (closing) {
    writer.close();
    send({ kind: 'closed' });
    port.close();
  }
});

send({ kind: 'ready', logId: writer.logId });
