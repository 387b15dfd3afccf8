import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { NEVER, NO_ID } from '#dialing';

/** How long texts may be, in characters. */
export const LENGTHS = { name: 255, detail: 4000, data: 65_536, reason: 4000 } as const;

export const EXAMPLE = {
  outdial: '40bea034-1d17-474d-a5de-da00d0861c69',
  target: '1b3d7a92-7146-866d-90f5-4bc701ada4c0',
  outplan: '6f0f3c6e-5f5a-4f0c-8f0e-0b7b6a1f2d11',
  attempt: 'd2a1f6de-8a5b-5b8e-9d3c-3f1f9f3b6c55',
  accessKey: '7c1b0f5a-92b7-8e1f-a1c4-5f0a7a3a1f60',
  customer: '2f8a3b0d-6c1e-8a77-9b21-0d9f4a5be8c2',
  created: '2022-04-28 01:41:40.503790',
  later: '2022-04-30 17:53:51.183345',
} as const;

const TIMESTAMP_PATTERN = '^\\d{4}-\\d{2}-\\d{2} \\d{2}:\\d{2}:\\d{2}\\.\\d{6}$';

/** Schemas of what answers hold; requests have theirs in rules.ts. */
export const an = {
  id: (description: string, example: string = EXAMPLE.outdial) => ({ type: String, format: 'uuid', description, example }),
  text: (description: string, example = '') => ({ type: String, description, example }),
  count: (description: string, example = 0) => ({ type: 'integer' as const, minimum: 0, description, example }),
  moment: (description: string, example: string = EXAMPLE.created) => ({
    type: String,
    pattern: TIMESTAMP_PATTERN,
    description: `${description} UTC, with microseconds; \`${NEVER}\` for never.`,
    example,
  }),
};

export const ZERO_ID = `\`${NO_ID}\` when there is none.`;

@ApiSchema({ name: 'ErrorDetail' })
export class ErrorDetailAnswer {
  @ApiProperty(an.text('The offending part of the request, as it was sent.', 'targets[3].destination_0.target'))
  field!: string;

  @ApiProperty(an.text('What is wrong with it, or how to write it.', 'must be a string'))
  reason!: string;

  @ApiProperty({
    description: 'What it was, when it helps to see it.',
    required: false,
    example: 42,
    oneOf: [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }],
  })
  value?: string | number | boolean;
}

@ApiSchema({ name: 'ErrorBody' })
class ErrorBody {
  @ApiProperty(an.text('What kind of error it is; goes with the HTTP code.', 'INVALID_ARGUMENT'))
  status!: string;

  @ApiProperty(an.text('What exactly was refused: stable, for programs.', 'INVALID_ARGUMENT'))
  reason!: string;

  @ApiProperty(an.text('For people: says what to do.', 'name: must be a string'))
  message!: string;

  @ApiProperty(an.text('The request’s X-Request-Id.', 'b8b2fd39-5c0e-4f2a-9a55-8c8a3d0b7f3e'))
  request_id!: string;

  @ApiProperty({ type: () => ErrorDetailAnswer, isArray: true, required: false, description: 'Every offending part, when it can be told.' })
  details?: ErrorDetailAnswer[];
}

@ApiSchema({ name: 'Error' })
export class ErrorAnswer {
  @ApiProperty({ type: () => ErrorBody })
  error!: ErrorBody;
}
