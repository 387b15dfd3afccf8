import { Body, Controller, Delete, Get, HttpCode, Ip, Param, Post, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import {
  ChangePassword,
  CreateAccessKey,
  CreateCustomer,
  DeleteAccessKey,
  DeleteCustomer,
  GetAccessKey,
  GetCustomer,
  ListAccessKeys,
  ListCustomers,
  LogIn,
} from '#application';
import type { PageRequest, RequestContext } from '#application';
import { Answer, created, page, resource } from './answer';
import { Authentication } from './authentication';
import {
  AccessKeyAnswer,
  AccessKeyPage,
  CreatedAccessKey,
  CustomerAnswer,
  CustomerPage,
  LoginAnswer,
  LoginBody,
  NewAccessKey,
  NewCustomer,
  PasswordChange,
} from './dto/access.dto';
import { as } from './dto/rules';
import { Operation } from './openapi';
import { Asked, Paged } from './request-context';
import { accessKeyWire, customerWire } from './wire';

@ApiTags('Credentials')
@Controller()
export class AccessController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly authentication: Authentication,
  ) {}

  @Post('auth/login')
  @HttpCode(200)
  @Operation({
    summary: 'Logs a user in.',
    description: 'Slowed after repeated failures.',
    answers: LoginAnswer,
    open: true,
    errors: ['UNAUTHENTICATED', 'RESOURCE_EXHAUSTED'],
  })
  async logIn(@Body(as(LoginBody)) { username, password }: LoginBody, @Ip() remoteAddress: string): Promise<Answer> {
    const { customer } = await this.commands.execute(new LogIn(username, password, remoteAddress));
    return new Answer(200, { username: customer.username, token: this.authentication.issue(customer) });
  }

  @Put('v1.0/password')
  @Operation({
    summary: 'Changes the user’s password.',
    description: 'Every token issued before ends; a new one is answered. An access key cannot do this.',
    answers: LoginAnswer,
    errors: ['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED'],
  })
  async changePassword(@Asked() context: RequestContext, @Body(as(PasswordChange)) body: PasswordChange): Promise<Answer> {
    const { customer } = await this.commands.execute(new ChangePassword(context, body.old, body.new));
    return new Answer(200, { username: customer.username, token: this.authentication.issue(customer) });
  }

  @Post('v1.0/accesskeys')
  @Operation({
    summary: 'Creates an access key.',
    description: 'Its `token` is answered here and never again.',
    answers: CreatedAccessKey,
    status: 201,
    writes: 'unkeyed',
  })
  async createAccessKey(@Asked() context: RequestContext, @Body(as(NewAccessKey)) body: NewAccessKey): Promise<Answer> {
    const { name, detail = '', expire } = body;
    const { value, token, position } = await this.commands.execute(new CreateAccessKey(context, name, detail, expire));
    return new Answer(201, { ...accessKeyWire(value), token }, null, position);
  }

  @Get('v1.0/accesskeys')
  @Operation({
    summary: 'Lists the access keys, newest first; deleted ones are left out.',
    answers: AccessKeyPage,
    reads: true,
    paged: true,
  })
  async listAccessKeys(@Asked() context: RequestContext, @Paged() paged: PageRequest): Promise<Answer> {
    return page(accessKeyWire, await this.queries.execute(new ListAccessKeys(context, paged)));
  }

  @Get('v1.0/accesskeys/:id')
  @Operation({ summary: 'Answers an access key, without its token.', answers: AccessKeyAnswer, reads: true, errors: ['NOT_FOUND'] })
  async getAccessKey(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return withoutEtag(resource(accessKeyWire, await this.queries.execute(new GetAccessKey(context, id))));
  }

  @Delete('v1.0/accesskeys/:id')
  @Operation({ summary: 'Ends an access key.', answers: AccessKeyAnswer, writes: 'unkeyed', errors: ['NOT_FOUND'] })
  async deleteAccessKey(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return withoutEtag(resource(accessKeyWire, await this.commands.execute(new DeleteAccessKey(context, id))));
  }

  @Post('v1.0/customers')
  @Operation({
    summary: 'Creates a customer and its user. For the administrator only.',
    answers: CustomerAnswer,
    status: 201,
    writes: 'unkeyed',
    errors: ['PERMISSION_DENIED', 'CONFLICT'],
  })
  async createCustomer(@Asked() context: RequestContext, @Body(as(NewCustomer)) body: NewCustomer): Promise<Answer> {
    const { name, detail = '', username, password } = body;
    return withoutEtag(created(customerWire, await this.commands.execute(new CreateCustomer(context, name, detail, username, password))));
  }

  @Get('v1.0/customers')
  @Operation({
    summary: 'Lists the customers, newest first. For the administrator only.',
    answers: CustomerPage,
    reads: true,
    paged: true,
    errors: ['PERMISSION_DENIED'],
  })
  async listCustomers(@Asked() context: RequestContext, @Paged() paged: PageRequest): Promise<Answer> {
    return page(customerWire, await this.queries.execute(new ListCustomers(context, paged)));
  }

  @Get('v1.0/customers/:id')
  @Operation({
    summary: 'Answers a customer. For the administrator only.',
    answers: CustomerAnswer,
    reads: true,
    errors: ['PERMISSION_DENIED', 'NOT_FOUND'],
  })
  async getCustomer(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return withoutEtag(resource(customerWire, await this.queries.execute(new GetCustomer(context, id))));
  }

  @Delete('v1.0/customers/:id')
  @Operation({
    summary: 'Deletes a customer: none of its credentials counts any more. For the administrator only.',
    answers: CustomerAnswer,
    writes: 'unkeyed',
    errors: ['PERMISSION_DENIED', 'NOT_FOUND', 'CONFLICT'],
  })
  async deleteCustomer(@Param('id') id: string, @Asked() context: RequestContext): Promise<Answer> {
    return withoutEtag(resource(customerWire, await this.commands.execute(new DeleteCustomer(context, id))));
  }
}

/** Credentials and customers cannot be changed, so there is nothing to condition a change on. */
const withoutEtag = ({ status, body, position }: Answer): Answer => new Answer(status, body, null, position);
