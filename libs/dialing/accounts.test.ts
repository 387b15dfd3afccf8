import { rulesOf } from '../../test/support/decider';
import { decideAccessKey, evolveAccessKey, type AccessKey, type AccessKeyCommand, type AccessKeyEvent } from './access-key';
import { decideCustomer, evolveCustomer, type Customer, type CustomerCommand, type CustomerEvent } from './customer';
import { decideDeployment, evolveDeployment, type Deployment, type DeploymentCommand, type DeploymentEvent } from './deployment';

const NOW = 1_651_110_100_000_000;
const later = NOW + 1000;

describe('A customer', () => {
  const { given, after } = rulesOf<Customer, CustomerCommand, CustomerEvent>({ decide: decideCustomer, evolve: evolveCustomer });
  const create: CustomerCommand = {
    type: 'CreateCustomer',
    now: NOW,
    customerId: 'c1',
    name: 'Acme',
    detail: '',
    username: 'acme',
    passwordHash: 'hash 1',
    admin: false,
  };
  const change: CustomerCommand = { type: 'ChangePassword', now: later, passwordHash: 'hash 2' };
  const remove: CustomerCommand = { type: 'DeleteCustomer', now: later };

  it('is created with the first version of its password', () => {
    given([])
      .when(create)
      .then([{ type: 'CustomerCreated', customerId: 'c1', username: 'acme', admin: false }])
      .thenState({ passwordVersion: 1, tmCreate: NOW, tmUpdate: null, tmDelete: null });
  });
  it('has its username to itself, for good', () => {
    after([create]).when(create).thenRefused('ALREADY_EXISTS', { username: 'already exists' });
    after([create, remove]).when(create).thenRefused('ALREADY_EXISTS', { username: 'belonged to a deleted customer' });
  });
  it('raises the version with each new password', () => {
    after([create])
      .when(change)
      .then([{ type: 'PasswordChanged' }])
      .thenState({ passwordHash: 'hash 2', passwordVersion: 2, tmUpdate: later });
    after([create, change]).when(change).then([]);
  });
  it('is deleted once, and has no password to change from then on', () => {
    after([create])
      .when(remove)
      .then([{ type: 'CustomerDeleted' }])
      .thenState({ tmDelete: later });
    after([create, remove]).when(remove).then([]);
    after([create, remove]).when(change).thenRefused('DELETED');
  });
  it('must exist', () => {
    given([]).when(change).thenRefused('CUSTOMER_NOT_FOUND');
    given([]).when(remove).thenRefused('CUSTOMER_NOT_FOUND');
  });
});

describe('An access key', () => {
  const { given, after } = rulesOf<AccessKey, AccessKeyCommand, AccessKeyEvent>({ decide: decideAccessKey, evolve: evolveAccessKey });
  const create: AccessKeyCommand = {
    type: 'CreateAccessKey',
    now: NOW,
    accessKeyId: 'k1',
    customerId: 'c1',
    name: 'dialer',
    detail: '',
    tmExpire: NOW + 86_400_000_000,
  };
  const remove: AccessKeyCommand = { type: 'DeleteAccessKey', now: NOW };

  it('is created until it expires', () => {
    given([])
      .when(create)
      .then([{ type: 'AccessKeyCreated', accessKeyId: 'k1' }])
      .thenState({ customerId: 'c1', tmExpire: NOW + 86_400_000_000 });
    after([create]).when(create).thenRefused('ALREADY_EXISTS', { access_key_id: 'already exists' });
  });
  it('is deleted once, after it was created whatever the clock says', () => {
    after([create])
      .when(remove)
      .then([{ type: 'AccessKeyDeleted', tm: NOW + 1 }])
      .thenState({ tmDelete: NOW + 1 });
    after([create, remove]).when(remove).then([]);
    given([]).when(remove).thenRefused('ACCESS_KEY_NOT_FOUND');
  });
  it('that lacks its beginning has expired', () => {
    expect(evolveAccessKey(null, { type: 'AccessKeyDeleted', tm: NOW, accessKeyId: 'k1' })).toMatchObject({ tmExpire: NOW, tmDelete: NOW });
  });
});

describe('A deployment', () => {
  const { given, after } = rulesOf<Deployment, DeploymentCommand, DeploymentEvent>({ decide: decideDeployment, evolve: evolveDeployment });
  const open = (secretFingerprint: string): DeploymentCommand => ({ type: 'OpenDeployment', now: NOW, secretFingerprint });

  it('belongs to the secret it was first opened with', () => {
    given([])
      .when(open('one'))
      .then([{ type: 'DeploymentCreated', tm: NOW, secretFingerprint: 'one' }])
      .thenState({ secretFingerprint: 'one', tmCreate: NOW });
    after([open('one')])
      .when(open('one'))
      .then([]);
    after([open('one')])
      .when(open('two'))
      .thenRefused('ID_SECRET_CHANGED');
  });
});
