import { Command, Query } from '@nestjs/cqrs';
import type { AccessKey, Customer } from '#dialing';
import type { Page, PageRequest, RequestContext, Versioned } from './request';

/** Who a credential stands for; UNAUTHENTICATED otherwise. */
export interface Principal {
  readonly customerId: string;
  readonly actor: string;
  readonly admin: boolean;
}
/** Result: the user when username and password fit (constant time); 401 INVALID_CREDENTIALS, 429 after repeated failures. */
export class LogIn extends Command<{ readonly customer: Customer }> {
  constructor(
    readonly username: string,
    readonly password: string,
    readonly remoteAddress: string,
  ) {
    super();
  }
}
export class ChangePassword extends Command<{ readonly customer: Customer }> {
  constructor(
    readonly context: RequestContext,
    readonly oldPassword: string,
    readonly newPassword: string,
  ) {
    super();
  }
}
/** Is this user still there, with this password version? Served from memory. */
export class ResolveUser extends Query<Principal> {
  constructor(
    readonly customerId: string,
    readonly passwordVersion: number,
  ) {
    super();
  }
}
export class ResolveAccessKey extends Query<Principal> {
  constructor(readonly token: string) {
    super();
  }
}
/** `expireSeconds` from now. `token` is returned here and never again. */
export class CreateAccessKey extends Command<Versioned<AccessKey> & { readonly token: string }> {
  constructor(
    readonly context: RequestContext,
    readonly name: string,
    readonly detail: string,
    readonly expireSeconds: number,
  ) {
    super();
  }
}
export class DeleteAccessKey extends Command<Versioned<AccessKey>> {
  constructor(
    readonly context: RequestContext,
    readonly accessKeyId: string,
  ) {
    super();
  }
}
export class GetAccessKey extends Query<Versioned<AccessKey>> {
  constructor(
    readonly context: RequestContext,
    readonly accessKeyId: string,
  ) {
    super();
  }
}
export class ListAccessKeys extends Query<Page<AccessKey>> {
  constructor(
    readonly context: RequestContext,
    readonly page: PageRequest,
  ) {
    super();
  }
}
export class CreateCustomer extends Command<Versioned<Customer>> {
  constructor(
    readonly context: RequestContext,
    readonly name: string,
    readonly detail: string,
    readonly username: string,
    readonly password: string,
  ) {
    super();
  }
}
export class DeleteCustomer extends Command<Versioned<Customer>> {
  constructor(
    readonly context: RequestContext,
    readonly customerId: string,
  ) {
    super();
  }
}
export class GetCustomer extends Query<Versioned<Customer>> {
  constructor(
    readonly context: RequestContext,
    readonly customerId: string,
  ) {
    super();
  }
}
export class ListCustomers extends Query<Page<Customer>> {
  constructor(
    readonly context: RequestContext,
    readonly page: PageRequest,
  ) {
    super();
  }
}
