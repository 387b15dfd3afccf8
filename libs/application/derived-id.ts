import { hash } from 'node:crypto';

/**
 * A UUIDv5 (RFC 9562) of a name in a namespace: the same name always has the same id. The uuid package makes the same ones; this is the hot path, two ids an
 * attempt, and one call of the one-shot hash costs a quarter of that package's.
 */
export function derivedId(namespace: string, name: string): string {
  const digest = hash('sha1', Buffer.concat([bytesOf(namespace), Buffer.from(name)]), 'buffer');
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = digest.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

let lastNamespace = '';
let lastBytes: Buffer = Buffer.alloc(16);

/** All ids of one command share its namespace. */
function bytesOf(namespace: string): Buffer {
  if (namespace !== lastNamespace) {
    lastNamespace = namespace;
    lastBytes = Buffer.from(namespace.replaceAll('-', ''), 'hex');
  }
  return lastBytes;
}
