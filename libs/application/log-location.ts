import path from 'node:path';
import { STREAM_CATEGORIES } from '#dialing';
import type { LogSource } from '#event-store';
import type { Configuration } from '#platform';

/** Where the configuration says the log is: in EventStoreDB when it has a URL, else in DATA_DIR. */
export function logSource({ dataDir, eventStoreUrl }: Pick<Configuration, 'dataDir' | 'eventStoreUrl'>): LogSource {
  return eventStoreUrl === undefined
    ? { kind: 'sqlite', directory: path.join(dataDir, 'store') }
    : { kind: 'eventstoredb', url: eventStoreUrl, categories: STREAM_CATEGORIES };
}

/** Where the read models of a log are. Positions mean nothing in another log, so each log of a server has a directory of its own. */
export function readModelDirectory(source: LogSource, dataDir: string, logId: string): string {
  return source.kind === 'sqlite' ? source.directory : path.join(dataDir, `log-${logId}`);
}
