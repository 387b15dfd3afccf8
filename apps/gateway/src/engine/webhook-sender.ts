import { createHmac } from 'node:crypto';
import { lookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { formatMicros } from '#dialing';
import type { Clock, DeliveryResult, SendDelivery } from '#application';
import { consistencyToken, targetMessageWire } from '../wire';

const TIMEOUT_MILLIS = 10_000;

/** What no webhook of a customer may reach: this machine, its networks, and what only looks like an address (IANA's special-purpose registries). */
const PRIVATE = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv6');
}

const isPrivate = (address: string): boolean => PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

class PrivateAddress extends Error {
  constructor(host: string) {
    super(`${host} is a private address`);
  }
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');

/** Looked at when the connection is made, so that a name which resolves differently each time gains nothing. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const bad = error ? undefined : addresses.find(({ address }) => isPrivate(address));
    const [first] = addresses;
    if (error) callback(error, '', 0);
    else if (bad) callback(new PrivateAddress(`${hostname} (${bad.address})`), '', 0);
    else if (options.all) callback(null, addresses);
    else callback(null, first?.address ?? '', first?.family ?? 0);
  });
};

/** What is wrong with a webhook's URL; null when nothing is. A name that cannot be resolved yet is none of it. */
export async function wrongUrl(text: string, allowPrivate: boolean): Promise<string | null> {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return 'must be an http or https URL';
  if (url.username !== '' || url.password !== '') return 'must not hold credentials: verify the signature instead';
  if (allowPrivate) return null;
  const refusal = 'must not lead to a private address (unless WEBHOOK_ALLOW_PRIVATE=true)';
  const host = hostOf(url);
  if (isIP(host) !== 0) return isPrivate(host) ? refusal : null;
  const addresses = await new Promise<readonly string[]>((resolve) => {
    lookup(host, { all: true }, (error, found) => resolve(error ? [] : found.map(({ address }) => address)));
  });
  return addresses.some(isPrivate) ? refusal : null;
}

/** HMAC-SHA256 as Standard Webhooks has it: over `<id>.<timestamp>.<body>`; a secret `whsec_…` is base64 of the key, any other is the key. */
function signatureOf(secret: string, id: string, timestamp: number, body: string): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

export interface SenderOptions {
  readonly logId: string;
  readonly clock: Clock;
  readonly allowPrivate: boolean;
}

/** Sends signed POSTs. Redirects are not followed, answers' bodies not read. */
export function webhookSender({ logId, clock, allowPrivate }: SenderOptions): SendDelivery & { close(): void } {
  const guard = allowPrivate ? {} : { lookup: publicLookup };
  const agents = { 'http:': new http.Agent({ keepAlive: true, ...guard }), 'https:': new https.Agent({ keepAlive: true, ...guard }) };

  const send: SendDelivery = ({ webhook, position, event, message }, signal) => {
    const url = new URL(webhook.url);
    if (!allowPrivate && isIP(hostOf(url)) !== 0 && isPrivate(hostOf(url))) {
      return Promise.resolve({ kind: 'failed', reason: new PrivateAddress(hostOf(url)).message });
    }
    const id = consistencyToken(logId, position);
    const body = JSON.stringify({ id, type: event, tm: formatMicros(message.tm), data: targetMessageWire(message) });
    const timestamp = Math.floor(clock.now() / 1_000_000);
    const [library, agent] = url.protocol === 'https:' ? [https, agents['https:']] : [http, agents['http:']];
    return new Promise((resolve) => {
      const failed = (error: Error): void => resolve({ kind: 'failed', reason: error.message });
      const request = library.request(
        url,
        {
          method: 'POST',
          agent,
          signal,
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
            'user-agent': 'Outdial-Webhooks',
            'webhook-id': id,
            'webhook-timestamp': String(timestamp),
            'webhook-signature': signatureOf(webhook.secret, id, timestamp, body),
          },
        },
        (response) => {
          response.resume();
          // Its body is nobody's business, however long it is.
          response.on('error', () => undefined);
          response.once('close', () => resolve(resultOf(response.statusCode ?? 0)));
        },
      );
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${TIMEOUT_MILLIS / 1000} s`)), TIMEOUT_MILLIS);
      request.once('close', () => clearTimeout(timer));
      request.once('error', failed);
      request.end(body);
    });
  };
  return Object.assign(send, {
    close() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  });
}

function resultOf(status: number): DeliveryResult {
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  const reason = `the endpoint answered ${status}`;
  const permanent = status >= 400 && status < 500 && ![408, 425, 429].includes(status);
  return { kind: permanent ? 'refused' : 'failed', reason };
}
