import { ApiProperty, ApiSchema } from '@nestjs/swagger';

@ApiSchema({ name: 'ReadinessPart' })
export class ReadinessPartAnswer {
  @ApiProperty({ type: Boolean, description: 'Whether this part works.', example: true })
  ok!: boolean;

  @ApiProperty({ type: String, description: 'How it is.', example: '0.1 s behind' })
  detail!: string;
}

@ApiSchema({ name: 'Readiness' })
export class ReadinessAnswer {
  @ApiProperty({ enum: ['ok', 'unavailable'], description: 'The sum of it.', example: 'ok' })
  status!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: { $ref: '#/components/schemas/ReadinessPart' },
    description: 'Each part by its name.',
    example: { projections: { ok: true, detail: '0.1 s behind' } },
  })
  parts!: Record<string, ReadinessPartAnswer>;
}
