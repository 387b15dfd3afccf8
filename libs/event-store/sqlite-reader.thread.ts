import { parentPort, workerData } from 'node:worker_threads';
import { type PageRequest, SqliteLogReader } from './sqlite-log';
import { encodeBatch, type Flat } from './sqlite-wire';

/** Pages are asked for by number; one message each way for a page. */
export interface ToReader {
  readonly id: number;
  readonly request: PageRequest;
}
export type FromReader = { readonly id: number; readonly batch: Flat } | { readonly id: number; readonly error: unknown };

if (parentPort === null) throw new Error('sqlite-reader.thread is started by the event store, not by itself');
const port = parentPort;
const { directory } = workerData as { directory: string };
const reader = new SqliteLogReader(directory);

function answerTo({ id, request }: ToReader): FromReader {
  try {
    return { id, batch: encodeBatch(reader.page(request)) };
  } catch (error) {
    return { id, error };
  }
}

port.on('message', (message: ToReader) => port.postMessage(answerTo(message)));
