import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { NEVER } from '#dialing';
import { an, EXAMPLE, LENGTHS } from './common.dto';
import { Integer, Text } from './rules';

const password = { min: 8, max: 255, description: 'At least 8 characters.', example: 'correct horse battery staple' };
/** A hundred years: as good as for ever. */
const LONGEST_SECONDS = 100 * 365 * 24 * 60 * 60;

@ApiSchema({ name: 'NewLogin' })
export class LoginBody {
  @Text({ max: 255, description: 'The user’s name.', example: 'admin' })
  username!: string;

  @Text({ ...password, min: 0, description: 'The user’s password.' })
  password!: string;
}

@ApiSchema({ name: 'Login' })
export class LoginAnswer {
  @ApiProperty(an.text('The user’s name.', 'admin'))
  username!: string;

  @ApiProperty(
    an.text('Send it as `Authorization: Bearer …`. It is good for a day, or until the password changes.', 'eyJhbGciOiJIUzI1NiJ9.…'),
  )
  token!: string;
}

export class PasswordChange {
  @Text({ ...password, min: 0, description: 'The present password.' })
  old!: string;

  @Text({ ...password, description: 'The new password: at least 8 characters. Every token issued before ends.' })
  new!: string;
}

export class NewAccessKey {
  @Text({ min: 1, max: LENGTHS.name, description: 'A name that people recognise.', example: 'dialer-1' })
  name!: string;

  @Text({ max: LENGTHS.detail, description: 'What it is for.', example: '', optional: true, initially: '' })
  detail?: string;

  @Integer({ min: 1, max: LONGEST_SECONDS, description: 'Seconds from now until it ends.', example: 31_536_000 })
  expire!: number;
}

@ApiSchema({ name: 'AccessKey' })
export class AccessKeyAnswer {
  @ApiProperty(an.id('The key’s id.', EXAMPLE.accessKey))
  id!: string;

  @ApiProperty(an.id('Whose it is.', EXAMPLE.customer))
  customer_id!: string;

  @ApiProperty(an.text('A name that people recognise.', 'dialer-1'))
  name!: string;

  @ApiProperty(an.text('What it is for.'))
  detail!: string;

  @ApiProperty(an.moment('When it ends.', EXAMPLE.later))
  tm_expire!: string;

  @ApiProperty(an.moment('When it was created.'))
  tm_create!: string;

  @ApiProperty(an.moment('When it was last changed.', NEVER))
  tm_update!: string;

  @ApiProperty(an.moment('When it was deleted.', NEVER))
  tm_delete!: string;
}

@ApiSchema({ name: 'CreatedAccessKey' })
export class CreatedAccessKey extends AccessKeyAnswer {
  @ApiProperty(an.text('The credential itself: shown here and never again.', 'x2Zk0b8m1…'))
  token!: string;
}

@ApiSchema({ name: 'AccessKeyPage' })
export class AccessKeyPage {
  @ApiProperty({ type: () => AccessKeyAnswer, isArray: true, description: 'Newest first.' })
  result!: AccessKeyAnswer[];

  @ApiProperty(an.text('Send it as `page_token` for the next page; empty when nothing older exists.', EXAMPLE.created))
  next_page_token!: string;
}

export class NewCustomer {
  @Text({ min: 1, max: LENGTHS.name, description: 'A name that people recognise.', example: 'Example Ltd' })
  name!: string;

  @Text({ max: LENGTHS.detail, description: 'Anything about them.', example: '', optional: true, initially: '' })
  detail?: string;

  @Text({ min: 1, max: 255, description: 'Who logs in: taken once, by one customer.', example: 'example' })
  username!: string;

  @Text(password)
  password!: string;
}

@ApiSchema({ name: 'Customer' })
export class CustomerAnswer {
  @ApiProperty(an.id('The customer’s id.', EXAMPLE.customer))
  id!: string;

  @ApiProperty(an.text('A name that people recognise.', 'Example Ltd'))
  name!: string;

  @ApiProperty(an.text('Anything about them.'))
  detail!: string;

  @ApiProperty(an.text('Who logs in.', 'example'))
  username!: string;

  @ApiProperty({ type: Boolean, description: 'Administers the service: may manage customers.', example: false })
  admin!: boolean;

  @ApiProperty(an.moment('When it was created.'))
  tm_create!: string;

  @ApiProperty(an.moment('When it was last changed.', NEVER))
  tm_update!: string;

  @ApiProperty(an.moment('When it was deleted.', NEVER))
  tm_delete!: string;
}

@ApiSchema({ name: 'CustomerPage' })
export class CustomerPage {
  @ApiProperty({ type: () => CustomerAnswer, isArray: true, description: 'Newest first.' })
  result!: CustomerAnswer[];

  @ApiProperty(an.text('Send it as `page_token` for the next page; empty when nothing older exists.', EXAMPLE.created))
  next_page_token!: string;
}
