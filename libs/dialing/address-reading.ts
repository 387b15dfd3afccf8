import SipUri from 'jssip/lib/URI';
import isEmail from 'validator/lib/isEmail';
import type { Address, AddressType } from './address';
import type { ErrorDetail } from './errors';
import { possibleE164 } from './phone-number';

const MAX_LENGTH = 255;
const FIELDS: ReadonlySet<string> = new Set<keyof Address>(['type', 'target', 'target_name', 'name', 'detail']);

/**
 * Reads an address as a caller sends it: an object with `type` and `target`, and `target_name`, `name`, `detail` when they say something.
 * Answers the address, its target normalised, or everything that is wrong with it, each named `<field>.<part>`.
 */
export function parseAddress(input: unknown, field: string): { readonly address: Address } | { readonly details: readonly ErrorDetail[] } {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { details: [{ field, reason: 'must be an object with type and target', value: input }] };
  }
  // Its own members, as JSON has them; a copy of each would be most of what it costs to read one.
  const sent = input as Readonly<Record<string, unknown>>;
  const details: ErrorDetail[] = [];
  for (const name of Object.keys(sent))
    if (!FIELDS.has(name)) details.push({ field: `${field}.${name}`, reason: 'unknown field', value: sent[name] });
  const text = (name: 'target' | 'target_name' | 'name' | 'detail'): string => {
    const value = sent[name];
    if (typeof value === 'string') return value;
    if (name === 'target' || value !== undefined) details.push({ field: `${field}.${name}`, reason: 'must be a string', value });
    return '';
  };
  const { type } = sent;
  if (!isAddressType(type)) details.push({ field: `${field}.type`, reason: 'must be tel, sip or email', value: type });
  const written = text('target');
  const target = isAddressType(type) && typeof sent.target === 'string' ? normaliseTarget(type, written) : null;
  if (target !== null && 'reason' in target) details.push({ field: `${field}.target`, reason: target.reason, value: written });
  const target_name = text('target_name');
  const name = text('name');
  const detail = text('detail');
  if (details.length > 0 || !isAddressType(type) || target === null || 'reason' in target) return { details };
  return { address: { type, target: target.target, target_name, name, detail } };
}

const isAddressType = (type: unknown): type is AddressType => type === 'tel' || type === 'sip' || type === 'email';

/**
 * The one way we write an address: E.164; a SIP URI with its scheme, host in lower case; an e-mail address, domain in lower case. The
 * reason says how to write it when it cannot be read.
 */
export function normaliseTarget(type: AddressType, written: string): { readonly target: string } | { readonly reason: string } {
  const text = written.trim();
  if (text === '') return { reason: 'must not be empty' };
  if (text.length > MAX_LENGTH) return { reason: `must have at most ${MAX_LENGTH} characters` };
  const normalised = NORMALISERS[type](text);
  return 'target' in normalised && normalised.target.length > MAX_LENGTH
    ? { reason: `must have at most ${MAX_LENGTH} characters` }
    : normalised;
}

type Normalised = { readonly target: string } | { readonly reason: string };

const NORMALISERS: Readonly<Record<AddressType, (text: string) => Normalised>> = { tel: phoneNumber, sip: sipUri, email: emailAddress };

const PLAIN_NUMBER = /^\+[1-9]\d+$/;
/** Spaces, dashes (also typographic ones), dots and brackets: how people set numbers in groups. */
const GROUPING = /[\s\u2010-\u2015\u2212().[\]-]/g;

function phoneNumber(text: string): Normalised {
  if (!text.startsWith('+')) return { reason: 'write it in E.164 with a leading +, like +15551234567' };
  const plain = PLAIN_NUMBER.test(text) ? text : text.replace(GROUPING, '');
  if (!PLAIN_NUMBER.test(plain)) return { reason: 'only digits may follow the +, like +15551234567' };
  const target = possibleE164(plain);
  return target === null
    ? { reason: 'is not a possible phone number: its country code is unknown, or it is too short or too long' }
    : { target };
}

const SIP_SCHEME = /^sips?:/i;

/**
 * Checked by the grammar of RFC 3261, but not written anew by it: that would undo escapes, and so make two users one. Only scheme and host
 * change their case.
 */
function sipUri(text: string): Normalised {
  const written = SIP_SCHEME.test(text) ? text : `sip:${text}`;
  const uri = parseSipUri(written);
  const at = written.indexOf('@');
  if (!uri?.user || at < 0) return { reason: 'is not a SIP URI, like sip:user@example.com' };
  const user = written.slice(written.indexOf(':') + 1, at);
  return { target: `${uri.scheme}:${user}@${uri.host}${written.slice(at + 1 + uri.host.length)}` };
}

function parseSipUri(text: string): SipUri | undefined {
  try {
    return SipUri.parse(text);
  } catch {
    // An escape that is no UTF-8, like %FF.
    return undefined;
  }
}

function emailAddress(text: string): Normalised {
  if (!isEmailAddress(text)) return { reason: 'is not an e-mail address, like name@example.com' };
  const at = text.lastIndexOf('@');
  return { target: `${text.slice(0, at)}${text.slice(at).toLowerCase()}` };
}

function isEmailAddress(text: string): boolean {
  try {
    return isEmail(text);
  } catch {
    // Half a surrogate pair, whose bytes it cannot count.
    return false;
  }
}

/** The type that a bare address must be of, as in the columns of a CSV file. */
export function readAddressType(text: string): AddressType {
  if (SIP_SCHEME.test(text.trim())) return 'sip';
  return text.includes('@') ? 'email' : 'tel';
}
