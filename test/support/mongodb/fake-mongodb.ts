import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { EJSON, type Document } from 'bson';
import { Databases, type Statements } from './commands';
import { CommandError } from './indexes';
import { answerTo, messageReader, type Request } from './wire';

/**
 * A stand-in for MongoDB, a replica set of one member that the real driver talks to: it speaks OP_MSG; queries, updates, projections and aggregations are
 * mingo's, indexes and their choice are like the server's as far as `plan.ts` says. Each command is atomic and what was answered is never lost; transactions and change
 * streams there are none. It keeps its documents in memory, also while it is away.
 */
export interface FakeMongoDb {
  readonly url: string;
  readonly faults: {
    /** Writes whose connection is cut before anything of them is made. */
    cutBefore: number;
    /** Writes whose connection is cut when all of them is made and before it is answered. */
    cutAfter: number;
    /** For each write, how many of its statements are made before its connection is cut. */
    cutWithin: number[];
    /** Reads whose connection is cut. */
    cutReads: number;
    /** Writes that are answered with NotWritablePrimary, and not made. */
    notPrimary: number;
    /** Writes that are made, and then answered with a write concern that was not met in time. */
    writeConcernErrors: number;
    /** Milliseconds before each answer to a command. */
    delayMs: number;
  };
  /** How many commands of a name came, counting those made again. */
  count(name: string): number;
  /** How many write statements were answered from their record instead of being made again. */
  readonly repeated: () => number;
  /** The last command of a name, as it came. */
  last(name: string): Document | undefined;
  /** Cuts every connection and refuses new ones. */
  away(): Promise<void>;
  back(): Promise<void>;
  close(): Promise<void>;
}

const WRITES: readonly unknown[] = ['insert', 'update', 'delete', 'findAndModify'];
const READS: readonly unknown[] = ['find', 'aggregate', 'getMore', 'count'];
const HELLOS: readonly unknown[] = ['hello', 'isMaster', 'ismaster'];

/** Thrown where a connection is to be cut. */
class Cut extends Error {}

export async function startFakeMongoDb(): Promise<FakeMongoDb> {
  const databases = new Databases();
  const sessions = new Map<string, { txnNumber: number; readonly made: Map<number, unknown> }>();
  const faults: FakeMongoDb['faults'] = {
    cutBefore: 0,
    cutAfter: 0,
    cutWithin: [],
    cutReads: 0,
    notPrimary: 0,
    writeConcernErrors: 0,
    delayMs: 0,
  };
  const came = new Map<string, { count: number; last: Document }>();
  const sockets = new Set<Socket>();
  const answering = new Set<NodeJS.Timeout>();
  let repeated = 0;
  let port = 0;

  const hits = (fault: Exclude<keyof FakeMongoDb['faults'], 'cutWithin' | 'delayMs'>): boolean => {
    if (faults[fault] === 0) return false;
    faults[fault] -= 1;
    return true;
  };

  /** What this write has made already, when it was sent before; and where its connection is cut. */
  function statementsOf(command: Document, mostStatements: number): Statements {
    const { lsid, txnNumber } = command as { lsid?: Document; txnNumber?: number };
    let made = new Map<number, unknown>();
    if (txnNumber !== undefined) {
      const session = sessions.get(EJSON.stringify(lsid)) ?? { txnNumber: -1, made };
      if (txnNumber < session.txnNumber)
        throw new CommandError(225, 'TransactionTooOld', 'a newer retryable write of this session was made');
      if (txnNumber === session.txnNumber) ({ made } = session);
      sessions.set(EJSON.stringify(lsid), { txnNumber, made });
    }
    let left = mostStatements;
    return {
      once: <T>(index: number, make: () => T): T => {
        if (made.has(index)) {
          repeated += 1;
          return made.get(index) as T;
        }
        if (left === 0) throw new Cut();
        left -= 1;
        const answer = make();
        made.set(index, answer);
        return answer;
      },
    };
  }

  function runWrite(command: Document): Document {
    if (hits('cutBefore')) throw new Cut();
    if (hits('notPrimary')) throw new CommandError(10107, 'NotWritablePrimary', 'not primary', { errorLabels: ['RetryableWriteError'] });
    const { done: _, ...answer } = databases.run(command, statementsOf(command, faults.cutWithin.shift() ?? Infinity));
    if (hits('cutAfter')) throw new Cut();
    if (!hits('writeConcernErrors')) return answer;
    const writeConcernError = { code: 64, codeName: 'WriteConcernFailed', errmsg: 'waiting for replication timed out' };
    return { ...answer, writeConcernError };
  }

  function answer({ command }: Request): Document {
    const name = Object.keys(command)[0] ?? '';
    if (HELLOS.includes(name)) return { ...helloOf(port), ok: 1 };
    came.set(name, { count: (came.get(name)?.count ?? 0) + 1, last: command });
    try {
      if (READS.includes(name) && hits('cutReads')) throw new Cut();
      const done = WRITES.includes(name) ? runWrite(command) : databases.run(command, statementsOf({}, Infinity));
      return { ...done, ok: 1 };
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return { ok: 0, code: error.code, codeName: error.codeName, errmsg: error.message, ...error.more };
    }
  }

  function serve(socket: Socket): void {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    const read = messageReader((request) => {
      const told = answerTo(request, answer(request));
      if (faults.delayMs === 0 || HELLOS.includes(Object.keys(request.command)[0])) {
        socket.write(told);
        return;
      }
      const timer = setTimeout(() => {
        answering.delete(timer);
        socket.write(told);
      }, faults.delayMs);
      answering.add(timer);
    });
    socket.on('data', (chunk) => {
      try {
        read(chunk);
      } catch (error) {
        socket.destroy();
        if (!(error instanceof Cut)) throw error;
      }
    });
  }

  let server: Server;
  const listen = async (): Promise<void> => {
    server = createServer(serve);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  };
  const away = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const timer of answering) clearTimeout(timer);
    answering.clear();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen();
  return {
    url: `mongodb://127.0.0.1:${port}/`,
    faults,
    count: (name) => came.get(name)?.count ?? 0,
    repeated: () => repeated,
    last: (name) => came.get(name)?.last,
    away,
    back: listen,
    close: away,
  };
}

/** A replica set of one: so that sessions and retryable writes are used, and writes go where `primary` says. */
function helloOf(port: number): Document {
  const me = `127.0.0.1:${port}`;
  return {
    helloOk: true,
    isWritablePrimary: true,
    ismaster: true,
    setName: 'stand-in',
    setVersion: 1,
    hosts: [me],
    primary: me,
    me,
    maxBsonObjectSize: 16 * 1024 * 1024,
    maxMessageSizeBytes: 48_000_000,
    maxWriteBatchSize: 100_000,
    localTime: new Date(),
    logicalSessionTimeoutMinutes: 30,
    minWireVersion: 0,
    maxWireVersion: 21,
    readOnly: false,
  };
}
