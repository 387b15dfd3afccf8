import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { an } from './common.dto';

@ApiSchema({ name: 'NewAddress', description: 'An address as it is sent.' })
export class NewAddress {
  @ApiProperty({ enum: ['tel', 'sip', 'email'], description: 'What `target` is.', example: 'tel' })
  type!: string;

  @ApiProperty({
    type: String,
    minLength: 1,
    maxLength: 255,
    description:
      'A phone number in E.164 (`+15551234567`; spaces, dashes and brackets are taken out), a SIP URI (`sip:user@example.com`) or an e-mail address.',
    example: '+15559876543',
  })
  target!: string;

  @ApiProperty({ ...an.text('The name of who is reached there.', 'Jane Doe'), required: false, default: '' })
  target_name?: string;

  @ApiProperty({ ...an.text('A name for the address.', 'mobile'), required: false, default: '' })
  name?: string;

  @ApiProperty({ ...an.text('Anything else about it.'), required: false, default: '' })
  detail?: string;
}

@ApiSchema({ name: 'Address', description: 'An address as it is answered: every field is there, `target` is normalised.' })
export class AddressAnswer {
  @ApiProperty({ enum: ['tel', 'sip', 'email'], description: 'What `target` is.', example: 'tel' })
  type!: string;

  @ApiProperty(an.text('The normalised address.', '+15559876543'))
  target!: string;

  @ApiProperty(an.text('The name of who is reached there.'))
  target_name!: string;

  @ApiProperty(an.text('A name for the address.'))
  name!: string;

  @ApiProperty(an.text('Anything else about it.'))
  detail!: string;
}
