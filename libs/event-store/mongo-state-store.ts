import type { Collection } from 'mongodb';
import { isDuplicate, MongoConnection, mongoPrefix } from './mongo-connection';
import type { StateRecord, StateStore } from './state-store';

interface StateDocument {
  readonly _id: string;
  readonly value: string;
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly expires_at?: number;
}

/**
 * State in a database of its own, `<database of the URL>_state`: part of back-ups, never touched by a rebuild. `logId`: of the log that it belongs to; what another log's
 * state says means nothing for this one. Rejects with StoreUnavailable when the server cannot be reached, with RangeError when the URL is wrong.
 */
export async function openMongoStateStore(options: { readonly url: string; readonly logId: string }): Promise<StateStore> {
  const name = `${mongoPrefix(options.logId)}_state`;
  const connection = await MongoConnection.open(options.url);
  const records = connection.collection<StateDocument>(name, '_state');
  try {
    await connection.run(() => records.createIndexes([EXPIRY]));
  } catch (error) {
    await connection.close();
    throw error;
  }
  return {
    get: (key) =>
      connection.run(async () => {
        const found = await records.findOne({ _id: key });
        return found === null ? null : recordOf(found);
      }),
    put: (key, value, expected, expiresAt) =>
      connection.run(() => put(records, expected, { _id: key, value, version: expected + 1, ...expiry(expiresAt) })),
    delete: (key) => connection.run(async () => void (await records.deleteOne({ _id: key }))),
    list: (prefix) =>
      connection.run(async () => {
        const found = await records.find({ _id: { $gte: prefix, $lt: prefix + LAST } }, { sort: { _id: 1 } }).toArray();
        return found.map(recordOf);
      }),
    purge: (now) => connection.run(async () => void (await records.deleteMany({ expires_at: { $lt: now } }, { hint: EXPIRY.name }))),
    close: () => connection.close(),
  };
}

const EXPIRY = { name: 'expiry', key: { expires_at: 1 }, partialFilterExpression: { expires_at: { $exists: true } } } as const;

/** No key goes on with the last of all code points. */
const LAST = '\u{10FFFF}';

async function put(records: Collection<StateDocument>, expected: number, { _id, ...record }: StateDocument): Promise<boolean> {
  if (expected > 0) return (await records.replaceOne({ _id, version: expected }, record)).matchedCount === 1;
  try {
    await records.insertOne({ _id, ...record });
    return true;
  } catch (error) {
    if (isDuplicate(error)) return false;
    throw error;
  }
}

const expiry = (expiresAt: number | undefined): Pick<StateDocument, 'expires_at'> =>
  expiresAt === undefined ? {} : { expires_at: expiresAt };

const recordOf = ({ _id, value, version }: StateDocument): StateRecord => ({ key: _id, value, version });
