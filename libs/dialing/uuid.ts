/** Where each digit of a UUID stands in its text. */
const PLACES = Array.from({ length: 32 }, (_, digit) => digit + [8, 12, 16, 20].filter((dash) => dash <= digit).length);
const VERSION = 14;
const VARIANT = 19;
const DIGITS = Buffer.from('0123456789abcdef');

const text = Buffer.from('00000000-0000-0000-0000-000000000000');

/**
 * The UUID of a version (RFC 9562) that the first 16 bytes of a hash make, given in lower-case hex. Written digit by digit and read as one text: put together from its
 * parts it would be a tree of them, several times its size, for as long as it lives; and every event has one.
 */
export function hashedUuid(version: 5 | 8, hex: string): string {
  for (let digit = 0; digit < 32; digit++) text[PLACES[digit] ?? 0] = hex.charCodeAt(digit);
  text[VERSION] = DIGITS[version] ?? 0;
  text[VARIANT] = DIGITS[(Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8] ?? 0;
  return text.toString('latin1');
}
