import { Command, CommandHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IQueryHandler } from '@nestjs/cqrs';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { decideAccessKey, decideCustomer, deriveId, invalidArgument, notFound, OutdialError, streamOf } from '#dialing';
import type { AccessKey, AccessKeyCommand, Customer, CustomerCommand } from '#dialing';
import { hashPassword, verifyPassword } from '#platform';
import { listAccessKeys, listCustomers } from '#read-models';
import type { Page, PageRequest, RequestContext, Versioned } from './request';
import { Services } from './services';
import { ACCESS_KEY, CUSTOMER } from './streams';
import type { Known } from './streams';

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

const LISTS = 'access';

/** Ten wrong passwords for one username, or thirty from one address, in a quarter of an hour; then 429 until it is over. */
const WINDOW_SECONDS = 900;
const PER_USERNAME = 10;
const PER_ADDRESS = 30;

/** Ids derive from the username under ID_SECRET: a second customer of the same name meets the first one's stream. */
export const customerIdOf = (services: Services, username: string): string => deriveId(services.ports.idSecret, 'customer', username);
const accessKeyIdOf = (services: Services, token: string): string => deriveId(services.ports.idSecret, 'access-key', token);

const unauthenticated = (): OutdialError =>
  new OutdialError('UNAUTHENTICATED', 'INVALID_CREDENTIALS', 'The credential is not valid, or not any more: log in again.');
const wrongPassword = (): OutdialError =>
  new OutdialError('UNAUTHENTICATED', 'INVALID_CREDENTIALS', 'The username or the password is wrong.');

/** Counts failures only: who knows the password is never slowed by it. */
class LoginFailures {
  private readonly byUsername = new RateLimiterMemory({ points: PER_USERNAME, duration: WINDOW_SECONDS });
  private readonly byAddress = new RateLimiterMemory({ points: PER_ADDRESS, duration: WINDOW_SECONDS });

  async refuseWhenTooMany(username: string, address: string): Promise<void> {
    const [one, other] = await Promise.all([this.byUsername.get(username), this.byAddress.get(address)]);
    for (const [failures, most] of [
      [one, PER_USERNAME],
      [other, PER_ADDRESS],
    ] as const) {
      if (failures && failures.consumedPoints >= most) throw tooMany(failures);
    }
  }

  async failed(username: string, address: string): Promise<void> {
    // Rejects beyond the limit, which refuseWhenTooMany reports at the next try.
    await Promise.allSettled([this.byUsername.consume(username), this.byAddress.consume(address)]);
  }
}

const tooMany = (failures: RateLimiterRes): OutdialError =>
  new OutdialError(
    'RESOURCE_EXHAUSTED',
    'TOO_MANY_FAILURES',
    'Too many failed logins: wait before you try again.',
    [],
    Math.max(1, Math.ceil(failures.msBeforeNext / 1000)),
  );

@CommandHandler(LogIn)
export class LogInHandler implements ICommandHandler<LogIn> {
  private readonly failures = new LoginFailures();
  /** Verified against when there is no such user, so that both take the same time. */
  private decoy: Promise<string> | null = null;

  constructor(private readonly services: Services) {}

  async execute({ username, password, remoteAddress }: LogIn): Promise<{ readonly customer: Customer }> {
    await this.failures.refuseWhenTooMany(username, remoteAddress);
    const { state } = await this.services.streams.load(CUSTOMER, streamOf.customer(customerIdOf(this.services, username)));
    this.decoy ??= hashPassword(this.services.ports.randomness.token());
    const fits = await verifyPassword(password, state?.passwordHash ?? (await this.decoy));
    if (!fits || state?.tmDelete !== null) {
      await this.failures.failed(username, remoteAddress);
      throw wrongPassword();
    }
    return { customer: state };
  }
}

async function changeCustomer(
  services: Services,
  context: RequestContext,
  customerId: string,
  command: CustomerCommand,
): Promise<Versioned<Customer>> {
  const { result, position } = await services.streams.runOne(
    {
      stream: streamOf.customer(customerId),
      kind: CUSTOMER,
      decide: ({ state }) => {
        if (!state && command.type !== 'CreateCustomer') throw customerNotFound(customerId);
        return { events: decideCustomer(command, state), result: (after: Known<Customer>) => after };
      },
    },
    { context },
  );
  if (!result.state) throw customerNotFound(customerId);
  services.wrote(context, LISTS, position);
  return { value: result.state, revision: result.head.revision, position };
}

const customerNotFound = (id: string): OutdialError => notFound('CUSTOMER_NOT_FOUND', `There is no customer ${id}.`);
const accessKeyNotFound = (id: string): OutdialError => notFound('ACCESSKEY_NOT_FOUND', `There is no access key ${id}.`);

@CommandHandler(ChangePassword)
export class ChangePasswordHandler implements ICommandHandler<ChangePassword> {
  private readonly failures = new LoginFailures();

  constructor(private readonly services: Services) {}

  async execute({ context, oldPassword, newPassword }: ChangePassword): Promise<{ readonly customer: Customer }> {
    if (context.actor !== context.customerId) {
      throw new OutdialError('PERMISSION_DENIED', 'PERMISSION_DENIED', 'An access key cannot change the password: log in as the user.');
    }
    await this.failures.refuseWhenTooMany(context.customerId, context.customerId);
    const { state } = await this.services.streams.load(CUSTOMER, streamOf.customer(context.customerId));
    if (!state || !(await verifyPassword(oldPassword, state.passwordHash))) {
      await this.failures.failed(context.customerId, context.customerId);
      throw invalidArgument('old', 'is not the current password');
    }
    const command: CustomerCommand = {
      type: 'ChangePassword',
      now: this.services.ports.clock.now(),
      passwordHash: await hashPassword(newPassword),
    };
    const { value } = await changeCustomer(this.services, context, context.customerId, command);
    return { customer: value };
  }
}

@QueryHandler(ResolveUser)
export class ResolveUserHandler implements IQueryHandler<ResolveUser> {
  constructor(private readonly services: Services) {}

  async execute({ customerId, passwordVersion }: ResolveUser): Promise<Principal> {
    const { state } = await this.services.streams.load(CUSTOMER, streamOf.customer(customerId));
    if (state?.tmDelete !== null || state.passwordVersion !== passwordVersion) throw unauthenticated();
    return { customerId, actor: customerId, admin: state.admin };
  }
}

@QueryHandler(ResolveAccessKey)
export class ResolveAccessKeyHandler implements IQueryHandler<ResolveAccessKey> {
  constructor(private readonly services: Services) {}

  async execute({ token }: ResolveAccessKey): Promise<Principal> {
    const id = accessKeyIdOf(this.services, token);
    const { state: key } = await this.services.streams.load(ACCESS_KEY, streamOf.accessKey(id));
    if (key?.tmDelete !== null || key.tmExpire <= this.services.ports.clock.now()) throw unauthenticated();
    const { state: customer } = await this.services.streams.load(CUSTOMER, streamOf.customer(key.customerId));
    if (customer?.tmDelete !== null) throw unauthenticated();
    return { customerId: key.customerId, actor: id, admin: customer.admin };
  }
}

async function changeAccessKey(
  services: Services,
  context: RequestContext,
  accessKeyId: string,
  command: AccessKeyCommand,
): Promise<Versioned<AccessKey>> {
  const { result, position } = await services.streams.runOne(
    {
      stream: streamOf.accessKey(accessKeyId),
      kind: ACCESS_KEY,
      decide: ({ state }) => {
        if (command.type !== 'CreateAccessKey' && state?.customerId !== context.customerId) throw accessKeyNotFound(accessKeyId);
        return { events: decideAccessKey(command, state), result: (after: Known<AccessKey>) => after };
      },
    },
    { context },
  );
  if (!result.state) throw accessKeyNotFound(accessKeyId);
  services.wrote(context, LISTS, position);
  return { value: result.state, revision: result.head.revision, position };
}

@CommandHandler(CreateAccessKey)
export class CreateAccessKeyHandler implements ICommandHandler<CreateAccessKey> {
  constructor(private readonly services: Services) {}

  async execute({ context, name, detail, expireSeconds }: CreateAccessKey): Promise<Versioned<AccessKey> & { readonly token: string }> {
    const token = this.services.ports.randomness.token();
    const accessKeyId = accessKeyIdOf(this.services, token);
    const now = this.services.ports.clock.now();
    const { customerId } = context;
    const tmExpire = now + expireSeconds * 1_000_000;
    const command: AccessKeyCommand = { type: 'CreateAccessKey', now, accessKeyId, customerId, name, detail, tmExpire };
    return { ...(await changeAccessKey(this.services, context, accessKeyId, command)), token };
  }
}

@CommandHandler(DeleteAccessKey)
export class DeleteAccessKeyHandler implements ICommandHandler<DeleteAccessKey> {
  constructor(private readonly services: Services) {}

  execute({ context, accessKeyId }: DeleteAccessKey): Promise<Versioned<AccessKey>> {
    return changeAccessKey(this.services, context, accessKeyId, { type: 'DeleteAccessKey', now: this.services.ports.clock.now() });
  }
}

@QueryHandler(GetAccessKey)
export class GetAccessKeyHandler implements IQueryHandler<GetAccessKey> {
  constructor(private readonly services: Services) {}

  async execute({ context, accessKeyId }: GetAccessKey): Promise<Versioned<AccessKey>> {
    const { state, head } = await this.services.streams.load(ACCESS_KEY, streamOf.accessKey(accessKeyId));
    if (state?.customerId !== context.customerId) throw accessKeyNotFound(accessKeyId);
    return { value: state, revision: head.revision, position: null };
  }
}

@QueryHandler(ListAccessKeys)
export class ListAccessKeysHandler implements IQueryHandler<ListAccessKeys> {
  constructor(private readonly services: Services) {}

  async execute({ context, page }: ListAccessKeys): Promise<Page<AccessKey>> {
    await this.services.fresh(context, LISTS);
    const { accessKeys, nextPageToken } = await listAccessKeys(this.services.ports.reads, { customerId: context.customerId, ...page });
    return { items: accessKeys.map(({ state }) => state), nextPageToken };
  }
}

function refuseUnlessAdmin(context: RequestContext): void {
  if (!context.admin)
    throw new OutdialError('PERMISSION_DENIED', 'PERMISSION_DENIED', 'Only the administrator of the service manages customers.');
}

@CommandHandler(CreateCustomer)
export class CreateCustomerHandler implements ICommandHandler<CreateCustomer> {
  constructor(private readonly services: Services) {}

  async execute({ context, name, detail, username, password }: CreateCustomer): Promise<Versioned<Customer>> {
    refuseUnlessAdmin(context);
    const customerId = customerIdOf(this.services, username);
    const passwordHash = await hashPassword(password);
    const now = this.services.ports.clock.now();
    const command: CustomerCommand = { type: 'CreateCustomer', now, customerId, name, detail, username, passwordHash, admin: false };
    return changeCustomer(this.services, context, customerId, command);
  }
}

@CommandHandler(DeleteCustomer)
export class DeleteCustomerHandler implements ICommandHandler<DeleteCustomer> {
  constructor(private readonly services: Services) {}

  async execute({ context, customerId }: DeleteCustomer): Promise<Versioned<Customer>> {
    refuseUnlessAdmin(context);
    if (customerId === context.customerId) {
      throw new OutdialError('CONFLICT', 'OWN_CUSTOMER', 'The administrator cannot delete its own customer: nobody could log in any more.');
    }
    return changeCustomer(this.services, context, customerId, { type: 'DeleteCustomer', now: this.services.ports.clock.now() });
  }
}

@QueryHandler(GetCustomer)
export class GetCustomerHandler implements IQueryHandler<GetCustomer> {
  constructor(private readonly services: Services) {}

  async execute({ context, customerId }: GetCustomer): Promise<Versioned<Customer>> {
    refuseUnlessAdmin(context);
    const { state, head } = await this.services.streams.load(CUSTOMER, streamOf.customer(customerId));
    if (!state) throw customerNotFound(customerId);
    return { value: state, revision: head.revision, position: null };
  }
}

@QueryHandler(ListCustomers)
export class ListCustomersHandler implements IQueryHandler<ListCustomers> {
  constructor(private readonly services: Services) {}

  async execute({ context, page }: ListCustomers): Promise<Page<Customer>> {
    refuseUnlessAdmin(context);
    await this.services.fresh(context, LISTS);
    const { customers, nextPageToken } = await listCustomers(this.services.ports.reads, page);
    return { items: customers.map(({ state }) => state), nextPageToken };
  }
}

export const ACCESS_HANDLERS = [
  LogInHandler,
  ChangePasswordHandler,
  ResolveUserHandler,
  ResolveAccessKeyHandler,
  CreateAccessKeyHandler,
  DeleteAccessKeyHandler,
  GetAccessKeyHandler,
  ListAccessKeysHandler,
  CreateCustomerHandler,
  DeleteCustomerHandler,
  GetCustomerHandler,
  ListCustomersHandler,
];
