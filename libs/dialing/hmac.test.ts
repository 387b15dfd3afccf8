import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { hmacSha256 } from './hmac';

const byNode = (secret: string | Buffer, text: string): string => createHmac('sha256', secret).update(text).digest('hex');

const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some));
const secrets = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), bytes);
const texts = fc.string({ unit: 'binary', maxLength: 2000 });

describe('A keyed hash', () => {
  it('is the one of node’s own Hmac, whatever came before it', () => {
    fc.assert(
      fc.property(secrets, secrets, texts, texts, (one, other, text, another) => {
        for (const secret of [one, other, one])
          for (const message of [text, another]) expect(hmacSha256(secret, message)).toBe(byNode(secret, message));
      }),
    );
  });

  it.each([0, 1, 63, 64, 65, 128, 1000])('takes a secret of %d bytes', (length) => {
    const secret = 'k'.repeat(length);
    expect(hmacSha256(secret, 'text')).toBe(byNode(secret, 'text'));
    expect(hmacSha256(Buffer.from(secret), 'text')).toBe(byNode(secret, 'text'));
  });

  it('takes a text of any length', () => {
    const long = 'ü'.repeat(100_000);
    expect(hmacSha256('secret', long)).toBe(byNode('secret', long));
    expect(hmacSha256('secret', 'short')).toBe(byNode('secret', 'short'));
  });

  it('knows a secret whose bytes have changed for another one', () => {
    const secret = Buffer.from('secret');
    hmacSha256(secret, 'text');
    secret[0] = 0;
    expect(hmacSha256(secret, 'text')).toBe(byNode(secret, 'text'));
  });
});
