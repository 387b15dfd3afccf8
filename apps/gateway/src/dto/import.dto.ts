import { ApiExtraModels, ApiProperty, ApiSchema } from '@nestjs/swagger';
import type { ApiQueryOptions } from '@nestjs/swagger';
import { an, ErrorDetailAnswer, EXAMPLE } from './common.dto';

@ApiSchema({ name: 'ImportResult', description: 'What became of a row.' })
class ImportResult {
  @ApiProperty(an.count('Which row, from 1; a CSV file’s header and blank lines do not count.', 3))
  row!: number;

  @ApiProperty({ enum: ['created', 'duplicate', 'invalid', 'updated'], description: 'What became of it.', example: 'duplicate' })
  result!: string;

  @ApiProperty({ ...an.id('The target, new or there already.', EXAMPLE.target), required: false })
  id?: string;

  @ApiProperty({ ...an.text('As the row has it, when it does.', 'crm-4711'), required: false })
  external_id?: string;

  @ApiProperty({ type: Boolean, required: false, description: 'It is deleted: `?readd=true` adds it again.', example: true })
  deleted?: boolean;

  @ApiProperty({ type: () => ErrorDetailAnswer, isArray: true, required: false, description: 'Why it is invalid.' })
  details?: ErrorDetailAnswer[];
}

@ApiSchema({ name: 'ImportSummary' })
class ImportSummary {
  @ApiProperty(an.count('Rows of the file.', 5))
  total!: number;

  @ApiProperty(an.count('Rows that became targets.', 3))
  created!: number;

  @ApiProperty(an.count('Rows whose target was there already, or earlier in the file.', 1))
  duplicates!: number;

  @ApiProperty({ ...an.count('Rows whose target took over what they say; with `?on_duplicate=update`.', 0), required: false })
  updated?: number;

  @ApiProperty(an.count('Rows that were refused.', 1))
  invalid!: number;

  @ApiProperty({ ...an.text('As the header of that name; left out when nothing was written.', 'M2Y5ZTow'), required: false })
  consistency_token?: string;
}

@ApiSchema({ name: 'ImportEnd', description: 'The last line, or an Error. Without either, send the file again: nothing is doubled.' })
class ImportEnd {
  @ApiProperty({ type: () => ImportSummary })
  summary!: ImportSummary;
}

export const ImportModels = ApiExtraModels(ImportResult, ImportEnd);

export const IMPORT_DESCRIPTION =
  'A file (JSON lines, or CSV with a header row): 200, and a line of JSON for each row as it is stored, the last one a summary. It may be sent again at any time: ' +
  'nothing is doubled. A row is up to 1 MiB; an Idempotency-Key means nothing to a file.';

export const IMPORT_QUERY: readonly ApiQueryOptions[] = [
  {
    name: 'dry_run',
    description: 'Of a file: changes nothing, and tells what would have been.',
    schema: { type: 'boolean', default: false },
  },
  {
    name: 'results',
    description: 'Of a file: the rows to answer a line for. Refused are duplicates and invalid ones.',
    schema: { type: 'string', enum: ['all', 'refused', 'none'], default: 'all' },
  },
  {
    name: 'ignore_unknown',
    description: 'Of a file: columns, or fields, that no target has are not an error.',
    schema: { type: 'boolean', default: false },
  },
];
