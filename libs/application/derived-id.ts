import { hash } from 'node:crypto';

/**
 * A UUIDv5 (RFC 9562) of a name in a namespace: the same name always has the same id. The uuid package makes the same ones; this is the hot path, two ids an
 * attempt, and one call of the one-shot hash costs a quarter of that package's.
 */
export function derivedId(namespace: string, name: string): string {
  if (namespace !== lastNamespace) {
    lastNamespace = namespace;
    text.write(namespace.replaceAll('-', ''), 'hex');
  }
  // Its length in UTF-8 is at most three times this.
  if (text.length < NAMESPACE + 3 * name.length) text = Buffer.concat([text, Buffer.alloc(3 * name.length)]);
  const hex = hash('sha1', text.subarray(0, NAMESPACE + text.write(name, NAMESPACE)), 'hex');
  const variant = VARIANTS[Number.parseInt(hex.charAt(16), 16) & 3] ?? '8';
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const NAMESPACE = 16;
const VARIANTS = ['8', '9', 'a', 'b'];

/** What is hashed: the namespace's bytes, then the name. All ids of one command share its namespace. */
let text = Buffer.alloc(512);
let lastNamespace = '';
