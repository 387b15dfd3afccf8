import { createHash, createHmac } from 'node:crypto';
import { addressKey, type Address } from './address';
import type { Five } from './five';
import { hashedUuid } from './uuid';

/**
 * What makes a target the same target within its outdial (the API contract, Targets): its `external_id`, else its lowest configured
 * destination. The two kinds are never compared, hence the prefixes. A target with neither has no identity of its own: 'd:'.
 */
export function targetIdentity(externalId: string | null, destinations: Five<Address | null>): string {
  if (externalId !== null) return `x:${externalId}`;
  const lowest = destinations.find((destination) => destination !== null);
  return lowest === undefined ? 'd:' : `d:${addressKey(lowest)}`;
}

/**
 * The id of the target with this identity in this outdial: the same identity always meets the same stream, on every store and with no lock.
 * Keyed, because a plain hash of a phone number is a phone number.
 */
export const deriveTargetId = (secret: string | Buffer, outdialId: string, identity: string): string =>
  derive(secret, 'target', outdialId, identity);

/** The id of a customer (by its username) or of an access key (by its token). */
export const deriveId = (secret: string | Buffer, purpose: 'customer' | 'access-key', text: string): string =>
  derive(secret, purpose, text);

/** Tells secrets apart without telling anything about them. */
export const secretFingerprint = (secret: string | Buffer): string => createHash('sha256').update('outdial:').update(secret).digest('hex');

/** The first 16 bytes of HMAC-SHA256 as a UUIDv8. Every part is preceded by its length, so that no two lists of parts read the same. */
function derive(secret: string | Buffer, ...parts: readonly string[]): string {
  let text = '';
  for (const part of parts) text += `${part.length}:${part}`;
  return hashedUuid(8, createHmac('sha256', secret).update(text).digest('hex'));
}
