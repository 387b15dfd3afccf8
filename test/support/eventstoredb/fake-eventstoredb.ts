import { StreamIdentifier, UUID, WrongExpectedVersion, AllStreamPosition } from '@eventstore/db-client/generated/shared_pb';
import { StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb';
import { type BatchAppendReq, BatchAppendResp, ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb';
import { Code } from '@eventstore/db-client/generated/code_pb';
import { Status } from '@eventstore/db-client/generated/status_pb';
import { Server, ServerCredentials, status, type ServerDuplexStream, type ServerWritableStream } from '@grpc/grpc-js';
import { Any } from 'google-protobuf/google/protobuf/any_pb';
import { Empty as GoogleEmpty } from 'google-protobuf/google/protobuf/empty_pb';

/**
 * A stand-in for EventStoreDB on the client's own stubs, faithful where we rely on it: expected revisions, idempotence by stream, number and event id, filtered
 * reads of $all (which include their start) and subscriptions (which do not), flow control. It keeps its events in memory, also while it is away.
 */
export interface FakeEventStoreDb {
  readonly url: string;
  readonly faults: {
    /** Appends whose answer is lost after they were made; their call breaks. */
    loseAnswers: number;
    /** Appends that are lost before they are made; their call breaks. */
    loseRequests: number;
    /** Appends that never get an answer, though they are made. */
    silent: number;
    /** Milliseconds before an append or a read is answered. */
    delayMs: number;
  };
  /** How many appends came, counting those made again. */
  readonly appends: () => number;
  /** Ends every subscription as a server does that loses its leader. */
  dropSubscriptions(): void;
  away(): Promise<void>;
  back(): Promise<void>;
  close(): Promise<void>;
}

interface Stored {
  readonly stream: string;
  readonly revision: number;
  readonly id: string;
  readonly type: string;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
  /** Commit and prepare are the same for events that are appended without a transaction. */
  readonly position: number;
}

type Reading = ServerWritableStream<ReadReq, ReadResp>;
type Appending = ServerDuplexStream<BatchAppendReq, BatchAppendResp>;

const unavailable = { code: status.UNAVAILABLE, details: 'leader lost' };

export async function startFakeEventStoreDb(): Promise<FakeEventStoreDb> {
  const log: Stored[] = [];
  const streams = new Map<string, Stored[]>();
  const following = new Set<{ readonly call: Reading; readonly wake: () => void }>();
  const faults = { loseAnswers: 0, loseRequests: 0, silent: 0, delayMs: 0 };
  const later = (run: () => void): void => void (faults.delayMs > 0 ? setTimeout(run, faults.delayMs) : run());
  let appends = 0;

  function append(
    stream: string,
    expected: number,
    events: readonly Omit<Stored, 'stream' | 'revision' | 'position'>[],
  ): Stored | undefined {
    const there = streams.get(stream) ?? [];
    const again = events.every(({ id }, index) => there[expected + 1 + index]?.id === id);
    if (again) return there[expected + events.length];
    if (there.length - 1 !== expected) return undefined;
    for (const event of events) {
      const stored = { ...event, stream, revision: there.length, position: (log.at(-1)?.position ?? 100) + 150 };
      there.push(stored);
      log.push(stored);
    }
    streams.set(stream, there);
    for (const { wake } of following) wake();
    return there.at(-1);
  }

  function batchAppend(call: Appending): void {
    const parts = new Map<string, BatchAppendReq[]>();
    call.sendMetadata(call.metadata.clone());
    call.on('error', () => undefined);
    call.on('end', () => call.end());
    call.on('data', (request: BatchAppendReq) => {
      const id = request.getCorrelationId()?.getString() ?? '';
      const whole = [...(parts.get(id) ?? []), request];
      parts.set(id, whole);
      if (!request.getIsFinal()) return;
      parts.delete(id);
      appends += 1;
      if (faults.loseRequests > 0) {
        faults.loseRequests -= 1;
        call.emit('error', unavailable);
        return;
      }
      const { name, expected, events } = proposal(whole);
      const last = append(name, expected, events);
      if (faults.silent > 0) faults.silent -= 1;
      else if (faults.loseAnswers > 0) {
        faults.loseAnswers -= 1;
        call.emit('error', unavailable);
      } else {
        const answered = last ? made(request, last) : conflict(request, (streams.get(name)?.length ?? 0) - 1);
        later(() => void (call.writable && call.write(answered)));
      }
    });
  }

  function read(call: Reading): void {
    const options = call.request.getOptions() ?? new ReadReq.Options();
    const prefixes = options.getFilter()?.getStreamIdentifier()?.getPrefixList() ?? [''];
    const wanted = ({ stream }: Stored): boolean => prefixes.some((prefix) => stream.startsWith(prefix));
    const all = options.getAll();
    const from = all?.hasPosition() === true ? Number(all.getPosition()?.getCommitPosition()) : 0;
    call.on('error', () => undefined);
    if (options.hasSubscription()) {
      follow(call, from, wanted);
      return;
    }
    later(() => answerRead(call, options, from, wanted));
  }

  function answerRead(call: Reading, options: ReadReq.Options, from: number, wanted: (event: Stored) => boolean): void {
    const count = Number(options.getCount());
    const which = options.getStream();
    if (which) {
      const there = streams.get(nameOf(which.getStreamIdentifier()));
      if (!there) call.write(notFound(nameOf(which.getStreamIdentifier())));
      send(call, there?.slice(Number(which.getRevision())).slice(0, count) ?? []);
    } else if (options.getReadDirection() === ReadReq.Options.ReadDirection.BACKWARDS) send(call, some(backwards(log), wanted, count));
    else send(call, some(after(log, from - 1), wanted, count));
  }

  function follow(call: Reading, from: number, wanted: (event: Stored) => boolean): void {
    let position = from;
    let blocked = false;
    const wake = (): void => {
      if (blocked || call.cancelled) return;
      for (const event of after(log, position)) {
        position = event.position;
        if (wanted(event) && !call.write(answer(event))) {
          blocked = true;
          call.once('drain', () => {
            blocked = false;
            wake();
          });
          return;
        }
      }
    };
    const follower = { call, wake };
    following.add(follower);
    call.on('cancelled', () => following.delete(follower));
    const confirmed = new ReadResp();
    confirmed.setConfirmation(new ReadResp.SubscriptionConfirmation());
    call.write(confirmed);
    wake();
  }

  let server = new Server();
  let port = 0;
  const listen = async (): Promise<void> => {
    server = new Server({ 'grpc.max_receive_message_length': 17 * 1024 * 1024 });
    server.addService(StreamsService, { read, batchAppend });
    port = await new Promise((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
    );
  };
  await listen();
  const away = (): Promise<void> => {
    following.clear();
    server.forceShutdown();
    return Promise.resolve();
  };
  return {
    url: `esdb://127.0.0.1:${port}?tls=false`,
    faults,
    appends: () => appends,
    dropSubscriptions: () => {
      for (const { call } of following) call.emit('error', unavailable);
      following.clear();
    },
    away,
    back: listen,
    close: away,
  };
}

function send(call: Reading, events: readonly Stored[]): void {
  for (const event of events) call.write(answer(event));
  call.end();
}

function proposal(parts: readonly BatchAppendReq[]): {
  name: string;
  expected: number;
  events: Omit<Stored, 'stream' | 'revision' | 'position'>[];
} {
  const options = parts[0]?.getOptions();
  const events = parts.flatMap((part) => part.getProposedMessagesList());
  return {
    name: nameOf(options?.getStreamIdentifier()),
    expected: options?.hasNoStream() === true ? -1 : Number(options?.getStreamPosition()),
    events: events.map((event) => ({
      id: event.getId()?.getString() ?? '',
      type: event.getMetadataMap().get('type') ?? '',
      data: event.getData_asU8(),
      metadata: event.getCustomMetadata_asU8(),
    })),
  };
}

const nameOf = (wire: StreamIdentifier | undefined): string => Buffer.from(wire?.getStreamName_asU8() ?? []).toString();

function* backwards(log: readonly Stored[]): Generator<Stored> {
  for (let index = log.length; index > 0; index -= 1) yield log[index - 1] as Stored;
}

/** The first of those that are wanted, without a look at the rest. */
function some(events: Iterable<Stored>, wanted: (event: Stored) => boolean, count: number): Stored[] {
  const found: Stored[] = [];
  for (const event of events) {
    if (wanted(event) && found.push(event) === count) break;
  }
  return found;
}

/** The events after a position: the log is sorted by it. */
function* after(log: readonly Stored[], position: number): Generator<Stored> {
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((log[middle]?.position ?? 0) > position) high = middle;
    else low = middle + 1;
  }
  for (let index = low; index < log.length; index += 1) yield log[index] as Stored;
}

function identifier(name: string): StreamIdentifier {
  const wire = new StreamIdentifier();
  wire.setStreamName(Buffer.from(name));
  return wire;
}

function answer(event: Stored): ReadResp {
  const recorded = new ReadResp.ReadEvent.RecordedEvent();
  const id = new UUID();
  id.setString(event.id);
  recorded.setId(id);
  recorded.setStreamIdentifier(identifier(event.stream));
  recorded.setStreamRevision(String(event.revision));
  recorded.setCommitPosition(String(event.position));
  recorded.setPreparePosition(String(event.position));
  recorded.getMetadataMap().set('type', event.type).set('content-type', 'application/json');
  recorded.setData(event.data);
  recorded.setCustomMetadata(event.metadata);
  const read = new ReadResp.ReadEvent();
  read.setEvent(recorded);
  read.setCommitPosition(String(event.position));
  const wire = new ReadResp();
  wire.setEvent(read);
  return wire;
}

function notFound(name: string): ReadResp {
  const missing = new ReadResp.StreamNotFound();
  missing.setStreamIdentifier(identifier(name));
  const wire = new ReadResp();
  wire.setStreamNotFound(missing);
  return wire;
}

function made(request: BatchAppendReq, last: Stored): BatchAppendResp {
  const position = new AllStreamPosition();
  position.setCommitPosition(String(last.position));
  position.setPreparePosition(String(last.position));
  const success = new BatchAppendResp.Success();
  success.setCurrentRevision(String(last.revision));
  success.setPosition(position);
  const wire = new BatchAppendResp();
  wire.setCorrelationId(request.getCorrelationId());
  wire.setSuccess(success);
  return wire;
}

function conflict(request: BatchAppendReq, revision: number): BatchAppendResp {
  const wrong = new WrongExpectedVersion();
  if (revision < 0) wrong.setCurrentNoStream(new GoogleEmpty());
  else wrong.setCurrentStreamRevision(String(revision));
  const details = new Any();
  details.pack(wrong.serializeBinary(), 'event_store.client.WrongExpectedVersion');
  const error = new Status();
  error.setCode(Code.FAILED_PRECONDITION);
  error.setMessage('WrongExpectedVersion');
  error.setDetails(details);
  const wire = new BatchAppendResp();
  wire.setCorrelationId(request.getCorrelationId());
  wire.setStreamIdentifier(request.getOptions()?.getStreamIdentifier());
  wire.setError(error);
  return wire;
}
