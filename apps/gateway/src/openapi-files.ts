import { getSchemaPath } from '@nestjs/swagger';
import type { OpenAPIObject } from '@nestjs/swagger';
import { CSV_TYPE, NDJSON_TYPE } from './imports';

const CSV_EXAMPLE = 'external_id,name,destination_0,destination_1\ncrm-4711,Jane Doe,+15559876543,jane@example.com\n';

interface Contents {
  content?: Record<string, object>;
}
interface FileOperation {
  readonly requestBody?: Contents;
  readonly responses: Readonly<Record<string, Contents>>;
}

const schema = (...names: readonly string[]): object => {
  const refs = names.map((name) => ({ $ref: getSchemaPath(name) }));
  return { schema: refs.length === 1 ? refs[0] : { oneOf: refs } };
};
const csv = { schema: { type: 'string' }, example: CSV_EXAMPLE };

/** Adds what the decorators have no words for: bodies of another type, with other schemas than the JSON ones. A schema of JSON lines is that of one line. */
export function describeFiles({ paths }: OpenAPIObject): void {
  const added = paths['/v1.0/outdials/{id}/targets']?.post as FileOperation | undefined;
  const exported = paths['/v1.0/outdials/{id}/targets/export']?.get as FileOperation | undefined;
  Object.assign(added?.requestBody?.content ?? {}, { [NDJSON_TYPE]: schema('NewTarget'), [CSV_TYPE]: csv });
  Object.assign(added?.responses['200']?.content ?? {}, { [NDJSON_TYPE]: schema('ImportResult', 'ImportEnd', 'Error') });
  Object.assign(exported?.responses['200'] ?? {}, { content: { [NDJSON_TYPE]: schema('NewTarget'), [CSV_TYPE]: csv } });
}
