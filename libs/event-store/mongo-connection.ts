import type * as Driver from 'mongodb';
import type { Collection, Document, MongoClient } from 'mongodb';
import { StoreUnavailable } from './event-store';

/** The driver is loaded only where there is a server: it takes longer than the rest of a thread's start. */
// eslint-disable-next-line @typescript-eslint/no-require-imports -- An import() would make everything that looks at an error wait.
export const mongoDriver = (): typeof Driver => require('mongodb') as typeof Driver;

/**
 * A server that is away is told of within some seconds; the driver goes on looking for it by itself. A write that a majority has not confirmed in time is
 * as unknown as one whose answer was lost.
 */
const SELECTION_MS = 2_000;
const CONNECT_MS = 2_000;
const MAJORITY_MS = 5_000;
const SOCKET_MS = 10_000;

/**
 * What a server says of a question that is wrong in itself: asking again changes nothing. All else, also what is not known here, may pass: BadValue, FailedToParse,
 * TypeMismatch, DollarPrefixedFieldName, ImmutableField, CannotCreateIndex, InvalidNamespace, IndexOptionsConflict, IndexKeySpecsConflict, NoQueryExecutionPlans,
 * BSONObjectTooLarge, unknown field.
 */
const MISTAKES: ReadonlySet<unknown> = new Set([2, 9, 14, 52, 66, 67, 73, 85, 86, 291, 10334, 40415]);

/** The driver writes to a socket that the server has just ended: what Node says of it comes through as it is. */
const OF_THE_SOCKET: ReadonlySet<unknown> = new Set([
  'EPIPE',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTCONN',
  'ETIMEDOUT',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** A client of one deployment: reads and writes by majority, from and to the primary. */
export class MongoConnection {
  private closed = false;

  private constructor(
    private readonly client: MongoClient,
    private readonly database: string,
  ) {}

  /**
   * `patient`: for what takes as long as it takes, such as building an index. Rejects with StoreUnavailable when no primary can be reached, and with
   * RangeError when the URL is wrong; neither says what may be secret in it.
   */
  static async open(url: string, { patient = false }: { readonly patient?: boolean } = {}): Promise<MongoConnection> {
    const connection = new MongoConnection(clientOf(url, patient), databaseOf(url));
    try {
      await connection.run(() => connection.client.connect());
    } catch (error) {
      await connection.close();
      throw error;
    }
    return connection;
  }

  /** Of the database that the URL names, `outdial` when it names none; `suffix` for one beside it. */
  collection<T extends Document>(name: string, suffix = ''): Collection<T> {
    return this.client.db(this.database + suffix).collection<T>(name);
  }

  /**
   * Rejects with StoreUnavailable for all that may pass; what is wrong in itself rejects as it is. The errors of bulks are kept out of both: they hold whole documents,
   * and logs show causes.
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.closed) throw new StoreUnavailable('The connection to MongoDB is closed');
    try {
      return await work();
    } catch (error) {
      if (mayPass(error)) throw new StoreUnavailable(`MongoDB: ${error.message}`);
      throw error instanceof mongoDriver().MongoBulkWriteError ? new Error(`MongoDB: ${error.message}`) : error;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.client.close();
  }
}

export const isDuplicate = (error: unknown): boolean => error instanceof mongoDriver().MongoServerError && error.code === 11_000;

/** What the names of a log's collections begin with. Positions mean nothing in another log, so nothing of two logs is ever in one collection. */
export function mongoPrefix(logId: string): string {
  const digits = logId.replaceAll('-', '').slice(0, 8);
  if (!/^[0-9a-f]{8}$/.test(digits)) throw new RangeError(`A log's id is a UUID, not ${JSON.stringify(logId)}.`);
  return digits;
}

/** Throws RangeError with what is wrong with it, without the URL itself: it may hold a password. */
function clientOf(url: string, patient: boolean): MongoClient {
  if (!/^mongodb(\+srv)?:\/\//.test(url)) throw new RangeError('must begin with mongodb:// or mongodb+srv://');
  try {
    return new (mongoDriver().MongoClient)(url, {
      appName: 'outdial',
      readPreference: 'primary',
      readConcern: { level: 'majority' },
      writeConcern: { w: 'majority', wtimeoutMS: MAJORITY_MS },
      serverSelectionTimeoutMS: SELECTION_MS,
      connectTimeoutMS: CONNECT_MS,
      waitQueueTimeoutMS: SELECTION_MS,
      socketTimeoutMS: patient ? 0 : SOCKET_MS,
      ignoreUndefined: true,
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new RangeError(message.includes(url) ? 'is no connection string that MongoDB knows' : message);
  }
}

function databaseOf(url: string): string {
  const path = /^mongodb(?:\+srv)?:\/\/[^/?]*\/([^?]*)/.exec(url)?.[1] ?? '';
  return path === '' ? 'outdial' : decodeURIComponent(path);
}

function mayPass(error: unknown): error is Error {
  const { MongoError, MongoInvalidArgumentError, MongoServerError } = mongoDriver();
  if (!(error instanceof MongoError)) return error instanceof Error && 'code' in error && OF_THE_SOCKET.has(error.code);
  return !(error instanceof MongoInvalidArgumentError) && !(error instanceof MongoServerError && MISTAKES.has(error.code));
}
