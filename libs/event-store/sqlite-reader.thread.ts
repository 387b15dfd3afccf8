import { parentPort, workerData } from 'node:worker_threads';
import { type PageRequest, SqliteCheckpointer, SqliteLogReader } from './sqlite-log';
import { encodeBatch, type Flat } from './sqlite-wire';

/** Pages are asked for by number; one message each way for a page. A checkpoint is not answered. */
export type ToReader = { readonly kind: 'page'; readonly id: number; readonly request: PageRequest } | { readonly kind: 'checkpoint' };
export type FromReader = { readonly id: number; readonly batch: Flat } | { readonly id: number; readonly error: unknown };

if (parentPort === null) throw new Error('sqlite-reader.thread is started by the event store, not by itself');
const port = parentPort;
const { directory } = workerData as { directory: string };
const reader = new SqliteLogReader(directory);
let checkpointer: SqliteCheckpointer | null = null;

function answerTo(id: number, request: PageRequest): FromReader {
  try {
    return { id, batch: encodeBatch(reader.page(request)) };
  } catch (error) {
    return { id, error };
  }
}

port.on('message', (message: ToReader) => {
  if (message.kind === 'page') port.postMessage(answerTo(message.id, message.request));
  else (checkpointer ??= new SqliteCheckpointer(directory)).run();
});
