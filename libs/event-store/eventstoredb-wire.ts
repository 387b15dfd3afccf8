import { Empty, StreamIdentifier, UUID } from '@eventstore/db-client/generated/shared_pb';
import { BatchAppendReq, ReadReq, type ReadResp } from '@eventstore/db-client/generated/streams_pb';
import { Empty as GoogleEmpty } from 'google-protobuf/google/protobuf/empty_pb';
import { Timestamp } from 'google-protobuf/google/protobuf/timestamp_pb';
import { type NewEvent, type Position, type RecordedEvent, START } from './event-store';

/**
 * Events as EventStoreDB keeps them, and back. The stubs are used, not the client's own reading and writing: that parses JSON and writes it again, and
 * the chain is over the very text.
 */

const HASH_LENGTH = 64;
const HASH_TAIL = /"hash":"[0-9a-f]{64}"}$/;
const TAIL_LENGTH = '"hash":""}'.length + HASH_LENGTH;

/** Puts the hash of an event last into its metadata, where other consumers of the log can read it too; `takeHash` undoes exactly this. */
export function putHash(metadata: string, hash: string): string {
  if (!metadata.startsWith('{') || !metadata.endsWith('}')) throw new RangeError('metadata must be the text of a JSON object');
  const body = metadata.slice(0, -1);
  return `${body}${body.slice(1).trim() === '' ? '' : ','}"hash":"${hash}"}`;
}

/** The metadata as it was given, and the hash; '' for an event that somebody else has written. */
export function takeHash(stored: string): { readonly metadata: string; readonly hash: string } {
  if (!HASH_TAIL.test(stored)) return { metadata: stored, hash: '' };
  const at = stored.length - TAIL_LENGTH;
  const body = stored.slice(0, stored[at - 1] === ',' ? at - 1 : at);
  return { metadata: `${body}}`, hash: stored.slice(at + '"hash":"'.length, -2) };
}

const POSITION_DIGITS = 20;

/** Commit and prepare position, zero-padded so that positions sort as text: the commit part alone does not tell events of one append apart on every version. */
export function positionOf(commit: string, prepare: string): Position {
  return `${commit.padStart(POSITION_DIGITS, '0')}${prepare.padStart(POSITION_DIGITS, '0')}`;
}

function grpcPosition(position: Position): ReadReq.Options.Position {
  const wire = new ReadReq.Options.Position();
  wire.setCommitPosition(unpad(position.slice(0, POSITION_DIGITS)));
  wire.setPreparePosition(unpad(position.slice(POSITION_DIGITS)));
  return wire;
}
const unpad = (digits: string): string => digits.replace(/^0+(?=\d)/, '');

const text = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');

/** The event of an answer; undefined when the answer is something else (a checkpoint, a confirmation). */
export function recordedEvent(answer: ReadResp): RecordedEvent | undefined {
  const event = answer.getEvent()?.getEvent();
  if (!event) return undefined;
  const { metadata, hash } = takeHash(text(event.getCustomMetadata_asU8()));
  return {
    id: event.getId()?.getString() ?? '',
    type: event.getMetadataMap().get('type') ?? '',
    data: text(event.getData_asU8()),
    metadata,
    hash,
    stream: text(event.getStreamIdentifier()?.getStreamName_asU8() ?? new Uint8Array()),
    revision: Number(event.getStreamRevision()),
    position: positionOf(event.getCommitPosition(), event.getPreparePosition()),
  };
}

function readOptions(): ReadReq.Options {
  const options = new ReadReq.Options();
  options.setResolveLinks(false);
  const ids = new ReadReq.Options.UUIDOption();
  ids.setString(new Empty());
  options.setUuidOption(ids);
  return options;
}

const request = (options: ReadReq.Options): ReadReq => {
  const read = new ReadReq();
  read.setOptions(options);
  return read;
};

const ALL = '9223372036854775807';

/** Events of one stream from a revision on. */
export function readStreamRequest(stream: string, from: number): ReadReq {
  const options = readOptions();
  const which = new ReadReq.Options.StreamOptions();
  which.setStreamIdentifier(streamIdentifier(stream));
  which.setRevision(String(from));
  options.setStream(which);
  options.setReadDirection(ReadReq.Options.ReadDirection.FORWARDS);
  options.setCount(ALL);
  options.setNoFilter(new Empty());
  return request(options);
}

/** Not a position: the end of the log, read backwards from. */
export const END = Symbol('end');

/** `count` events of the whole log whose stream begins with one of the prefixes: from a position on, which is included, or from the end backwards. */
export function readAllRequest(from: Position | typeof END, prefixes: readonly string[], count: number): ReadReq {
  const options = readOptions();
  const all = new ReadReq.Options.AllOptions();
  if (from === END) all.setEnd(new Empty());
  else if (from === START) all.setStart(new Empty());
  else all.setPosition(grpcPosition(from));
  options.setAll(all);
  options.setReadDirection(from === END ? ReadReq.Options.ReadDirection.BACKWARDS : ReadReq.Options.ReadDirection.FORWARDS);
  options.setCount(String(count));
  options.setFilter(streamsBeginning(prefixes));
  return request(options);
}

/** Everything after a position whose stream begins with one of the prefixes, and then what comes. */
export function subscribeRequest(after: Position, prefixes: readonly string[]): ReadReq {
  const options = readOptions();
  const all = new ReadReq.Options.AllOptions();
  if (after === START) all.setStart(new Empty());
  else all.setPosition(grpcPosition(after));
  options.setAll(all);
  options.setSubscription(new ReadReq.Options.SubscriptionOptions());
  options.setFilter(streamsBeginning(prefixes));
  return request(options);
}

/** Records that the server looks at for one page of a filtered read; its own 32 makes a scan over others' events many times slower. */
const WINDOW = 4096;

function streamsBeginning(prefixes: readonly string[]): ReadReq.Options.FilterOptions {
  const filter = new ReadReq.Options.FilterOptions();
  const expression = new ReadReq.Options.FilterOptions.Expression();
  expression.setPrefixList([...prefixes]);
  filter.setStreamIdentifier(expression);
  filter.setMax(WINDOW);
  filter.setCheckpointintervalmultiplier(1);
  return filter;
}

/** Bytes of events that one message of an append carries at most; an append larger than it goes in several. */
const MESSAGE_BYTES = 512 * 1024;

/** The messages of one append; `expected` is the revision that the stream's last event must have, NO_STREAM when there must be none. */
export function appendRequests(
  correlationId: string,
  stream: string,
  expected: number,
  events: readonly NewEvent[],
  hashes: readonly string[],
  deadline: Date,
): BatchAppendReq[] {
  const options = new BatchAppendReq.Options();
  options.setStreamIdentifier(streamIdentifier(stream));
  if (expected < 0) options.setNoStream(new GoogleEmpty());
  else options.setStreamPosition(String(expected));
  options.setDeadline(Timestamp.fromDate(deadline));
  const messages = [message(correlationId)];
  messages[0]?.setOptions(options);
  let bytes = 0;
  for (const [index, event] of events.entries()) {
    const proposed = new BatchAppendReq.ProposedMessage();
    const data = Buffer.from(event.data);
    const metadata = Buffer.from(putHash(event.metadata, hashes[index] ?? ''));
    proposed.setId(uuid(event.id));
    proposed.getMetadataMap().set('type', event.type).set('content-type', 'application/json');
    proposed.setData(data);
    proposed.setCustomMetadata(metadata);
    bytes += data.length + metadata.length;
    if (bytes > MESSAGE_BYTES && messages.at(-1)?.getProposedMessagesList().length !== 0) {
      messages.push(message(correlationId));
      bytes = data.length + metadata.length;
    }
    messages.at(-1)?.addProposedMessages(proposed);
  }
  messages.at(-1)?.setIsFinal(true);
  return messages;
}

function message(correlationId: string): BatchAppendReq {
  const append = new BatchAppendReq();
  append.setCorrelationId(uuid(correlationId));
  append.setIsFinal(false);
  return append;
}

function streamIdentifier(stream: string): StreamIdentifier {
  const identifier = new StreamIdentifier();
  identifier.setStreamName(Buffer.from(stream));
  return identifier;
}

function uuid(id: string): UUID {
  const wire = new UUID();
  wire.setString(id);
  return wire;
}
