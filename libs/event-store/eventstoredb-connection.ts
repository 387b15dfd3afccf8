import { EventStoreDBClient } from '@eventstore/db-client';
import { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb';
import type { BatchAppendReq, BatchAppendResp, ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { CallOptions, ClientDuplexStream, ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { isGrpcError, REFUSED } from './eventstoredb-errors';
import { StoreUnavailable } from './event-store';

/** What of the client is used: its discovery, credentials and reconnecting, with calls of our own on its stubs. */
interface Calls {
  GRPCStreamCreator<T>(client: typeof StreamsClient, name: string, create: (client: StreamsClient) => T): () => Promise<T>;
  callArguments(options: { requiresLeader?: boolean }, call: CallOptions): [Metadata, Partial<CallOptions>];
}

/**
 * What a connection is for. Each has one of its own: a server allows a hundred calls at once on a connection, and grpc-js shares connections between
 * clients of equal options. The keep-alive differs by a millisecond for that reason alone.
 */
export type Purpose = 'append' | 'subscribe' | 'scan';
const KEEP_ALIVE_MS: Readonly<Record<Purpose, number>> = { append: 10_000, subscribe: 10_001, scan: 10_002 };

/**
 * The connection string as the client understands it: `kurrentdb:` is the newer name of the same protocol.
 * Throws RangeError with what is wrong with it.
 */
export function connectionUrl(url: string, purpose: Purpose): string {
  const renamed = url.replace(/^kurrent(db)?(\+discover)?:/, 'esdb$2:');
  if (!/^esdb(\+discover)?:\/\//.test(renamed))
    throw new RangeError('must begin with esdb://, esdb+discover://, kurrentdb:// or kurrentdb+discover://');
  const [address = '', query = ''] = renamed.split('?');
  const settings = query.split('&').filter((setting) => setting !== '' && !/^keepAliveInterval=/i.test(setting));
  return `${address.replace(/\/?$/, '/')}?${[...settings, `keepAliveInterval=${KEEP_ALIVE_MS[purpose]}`].join('&')}`;
}

/** One connection for one purpose, made again whenever it is lost. */
export class Connection {
  private client: EventStoreDBClient;
  private readonly url: string;

  /** Throws RangeError with what is wrong with the URL. */
  constructor(url: string, purpose: Purpose) {
    this.url = connectionUrl(url, purpose);
    try {
      this.client = EventStoreDBClient.connectionString(this.url);
    } catch {
      // The client's own message quotes the string, which may hold a password.
      throw new RangeError('is no connection string that EventStoreDB’s client can read');
    }
  }

  /** `deadlineMs` for the whole answer; Infinity for a subscription. */
  read(request: ReadReq, deadlineMs: number, requiresLeader = true): Promise<ClientReadableStream<ReadResp>> {
    return this.call('read', requiresLeader, deadlineMs, (client, metadata, options) => client.read(request, metadata, options));
  }

  /** A stream of appends for as long as it holds. */
  appends(): Promise<ClientDuplexStream<BatchAppendReq, BatchAppendResp>> {
    return this.call('batchAppend', true, Infinity, (client, metadata, options) => client.batchAppend(metadata, options));
  }

  async close(): Promise<void> {
    await this.client.dispose();
  }

  private async call<T extends { on(event: 'error', listener: () => void): unknown }>(
    name: string,
    requiresLeader: boolean,
    deadlineMs: number,
    create: (client: StreamsClient, metadata: Metadata, options: Partial<CallOptions>) => T,
  ): Promise<T> {
    const client = this.client;
    const calls = client as unknown as Calls;
    const deadline = deadlineMs === Infinity ? Infinity : Date.now() + deadlineMs;
    const [metadata, options] = calls.callArguments({ requiresLeader }, { deadline });
    try {
      return await calls.GRPCStreamCreator(StreamsClient, name, (stubs) => {
        const stream = create(stubs, metadata, options);
        // Whoever reads the stream learns of its end; without a listener an error before then would end the process.
        stream.on('error', () => undefined);
        return stream;
      })();
    } catch (error) {
      // The client keeps a discovery that has failed, for ever: only another client looks again.
      if (this.client === client) {
        this.client = EventStoreDBClient.connectionString(this.url);
        void client.dispose().catch(() => undefined);
      }
      throw new StoreUnavailable(`EventStoreDB cannot be reached: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}

/** Everything that a read brings, in order. Rejects with StoreUnavailable; a refusal for want of rights says which. */
export async function* answers(stream: ClientReadableStream<ReadResp>): AsyncGenerator<ReadResp> {
  try {
    for await (const answer of stream) yield answer as ReadResp;
  } catch (error) {
    throw unavailable(error);
  } finally {
    stream.cancel();
  }
}

export function unavailable(error: unknown): StoreUnavailable {
  if (error instanceof StoreUnavailable) return error;
  if (isGrpcError(error) && REFUSED.has(error.code)) {
    return new StoreUnavailable(
      'EventStoreDB refuses these credentials: the user in EVENTSTORE_URL must be allowed to read $all and to append.',
      {
        cause: error,
      },
    );
  }
  return new StoreUnavailable(`EventStoreDB: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
