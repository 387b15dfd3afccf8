import { deserialize, serialize, type Document } from 'bson';

/** A command as it came: in OP_MSG, or in the OP_QUERY that a driver opens a connection with. */
export interface Request {
  readonly id: number;
  readonly legacy: boolean;
  readonly command: Document;
}

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER = 16;

/** Cuts what a socket brings into whole messages. */
export function messageReader(onMessage: (request: Request) => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let length = 0;
  return (chunk) => {
    parts.push(chunk);
    length += chunk.length;
    while (length >= 4) {
      if ((parts[0]?.length ?? 0) < 4) parts = [Buffer.concat(parts)];
      const wanted = parts[0]?.readInt32LE(0) ?? 0;
      if (length < wanted) return;
      const whole = parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts);
      length -= wanted;
      parts = length === 0 ? [] : [whole.subarray(wanted)];
      onMessage(parse(whole.subarray(0, wanted)));
    }
  };
}

function parse(message: Buffer): Request {
  const id = message.readInt32LE(4);
  const opCode = message.readInt32LE(12);
  if (opCode === OP_MSG) return { id, legacy: false, command: parseSections(message) };
  if (opCode !== OP_QUERY) throw new Error(`The stand-in does not know the opcode ${opCode}.`);
  // Flags, the name of the collection, how many to skip and to return.
  const name = message.indexOf(0, HEADER + 4);
  return { id, legacy: true, command: deserialize(message.subarray(name + 9)) };
}

/** The body, with the sequences of documents that came apart from it put where they belong. */
function parseSections(message: Buffer): Document {
  let command: Document = {};
  const sequences: Record<string, Document[]> = {};
  let at = HEADER + 4;
  while (at < message.length) {
    const kind = message.readUInt8(at);
    const size = message.readInt32LE(at + 1);
    if (kind === 0) command = deserialize(message.subarray(at + 1, at + 1 + size));
    else {
      const end = message.indexOf(0, at + 5);
      sequences[message.toString('utf8', at + 5, end)] = documentsOf(message.subarray(end + 1, at + 1 + size));
    }
    at += 1 + size;
  }
  return { ...command, ...sequences };
}

function documentsOf(bytes: Buffer): Document[] {
  const documents: Document[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = bytes.readInt32LE(at);
    documents.push(deserialize(bytes.subarray(at, at + size)));
    at += size;
  }
  return documents;
}

export function answerTo(request: Request, answer: Document): Buffer {
  const body = serialize(answer);
  const before = Buffer.alloc(HEADER + (request.legacy ? 20 : 5));
  before.writeInt32LE(before.length + body.length, 0);
  before.writeInt32LE(request.id, 8);
  before.writeInt32LE(request.legacy ? OP_REPLY : OP_MSG, 12);
  // An OP_REPLY says how many documents follow; an OP_MSG has no flags, and one section of kind 0.
  if (request.legacy) before.writeInt32LE(1, HEADER + 16);
  return Buffer.concat([before, body]);
}
