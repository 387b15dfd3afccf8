import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { JwtService } from '@nestjs/jwt';
import type { JwtModuleOptions } from '@nestjs/jwt';
import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { ResolveAccessKey, ResolveUser } from '#application';
import type { Principal } from '#application';
import { OutdialError } from '#dialing';
import type { Customer } from '#dialing';

/** A login is good for a day; dialers use access keys. */
const TOKEN_SECONDS = 24 * 60 * 60;
const ISSUER = 'outdial';

/** The algorithm is pinned: a token does not choose how it is checked. */
export const jwtOptions = (secret: string): JwtModuleOptions => ({
  secret,
  signOptions: { algorithm: 'HS256' },
  verifyOptions: { algorithms: ['HS256'] },
});

interface Claims {
  /** The customer, whose one user this is. */
  readonly sub: string;
  /** The password version under which it was issued. */
  readonly pv: number;
  /** Seconds since 1970. */
  readonly exp: number;
}

const isClaims = (value: unknown): value is Claims =>
  typeof value === 'object' &&
  value !== null &&
  'sub' in value &&
  'pv' in value &&
  'exp' in value &&
  typeof value.sub === 'string' &&
  typeof value.pv === 'number' &&
  typeof value.exp === 'number';

/** Finds out who asks. Tokens carry no rights: what they may do is looked up each time, so that a change counts at once. */
@Injectable()
export class Authentication {
  /** Claims of tokens whose signature was checked. */
  private readonly verified = new LRUCache<string, Claims>({ max: 10_000 });

  constructor(
    private readonly jwt: JwtService,
    private readonly queries: QueryBus,
  ) {}

  issue(customer: Pick<Customer, 'id' | 'passwordVersion'>): string {
    return this.jwt.sign({ sub: customer.id, pv: customer.passwordVersion }, { issuer: ISSUER, expiresIn: TOKEN_SECONDS });
  }

  /** Throws 401: AUTHENTICATION_REQUIRED without a credential, INVALID_CREDENTIALS with one that does not count (any more). */
  async principalOf(request: FastifyRequest): Promise<Principal> {
    const credential = credentialOf(request);
    if (credential === null) {
      throw new OutdialError(
        'UNAUTHENTICATED',
        'AUTHENTICATION_REQUIRED',
        'This needs a credential: Authorization: Bearer with a token of POST /auth/login, or an access key.',
      );
    }
    // A JWT has three parts; an access key's token has no dot.
    if (!credential.includes('.')) return this.queries.execute(new ResolveAccessKey(credential));
    const { sub, pv } = this.claimsOf(credential);
    return this.queries.execute(new ResolveUser(sub, pv));
  }

  private claimsOf(token: string): Claims {
    const known = this.verified.get(token);
    if (known && known.exp * 1000 > Date.now()) return known;
    const claims = this.verify(token);
    this.verified.set(token, claims);
    return claims;
  }

  private verify(token: string): Claims {
    try {
      const claims: unknown = this.jwt.verify<object>(token, { issuer: ISSUER });
      if (isClaims(claims)) return claims;
    } catch {
      // Why it does not count is nothing that who made it up should learn.
    }
    throw new OutdialError('UNAUTHENTICATED', 'INVALID_CREDENTIALS', 'The credential is not valid, or not any more: log in again.');
  }
}

/** The first one there is, in this order (the API contract, Credentials); one that is wrong is not made good by a second. */
function credentialOf({ headers, query }: FastifyRequest): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  const cookies = headers.cookie ?? '';
  const parameters = query as Readonly<Record<string, unknown>>;
  const places = [cookie(cookies, 'token'), parameters.token, cookie(cookies, 'accesskey'), parameters.accesskey];
  const found = places.find((value) => typeof value === 'string' && value !== '');
  return typeof found === 'string' ? found : null;
}

/** Our credentials need no decoding: they are URL-safe. */
function cookie(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name)
      return pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1');
  }
  return undefined;
}
