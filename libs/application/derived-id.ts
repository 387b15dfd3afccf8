import { hash } from 'node:crypto';
import { hashedUuid } from '#dialing';

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
  return hashedUuid(5, hash('sha1', text.subarray(0, NAMESPACE + text.write(name, NAMESPACE)), 'hex'));
}

const NAMESPACE = 16;

/** What is hashed: the namespace's bytes, then the name. All ids of one command share its namespace. */
let text = Buffer.alloc(512);
let lastNamespace = '';
