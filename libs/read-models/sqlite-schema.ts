import { idStarts, indexFor, sortedBy, type Rows } from './index-choice';
import type { CollectionSchema, FindQuery, IndexSchema } from './read-store';

/**
 * How collections become tables, and queries statements. A collection is a rowid table: bodies of one to three kilobytes do not belong into a tree that is
 * sorted by random ids. Every statement names its index, so SQLite refuses it when the index does not serve it, and never scans.
 */
const quoted = (name: string): string => `"${name}"`;
const RESERVED = ['row', 'id', 'position', 'quarantine', 'body'];

/** The one generation row: what it was built by, how far it is, and whether its indexes exist. */
export const GENERATION_TABLE = `
  CREATE TABLE generation (
    id INTEGER PRIMARY KEY CHECK (id = 1), versions TEXT NOT NULL, position TEXT NOT NULL, prepared INTEGER NOT NULL DEFAULT 0
  ) STRICT`;

export const fieldNames = (schema: CollectionSchema): readonly string[] => Object.keys(schema.fields);

/** The table of a collection. A `texts` field is kept as a JSON array, beside the tables that `indexStatements` makes of it. */
export function tableStatements(schema: CollectionSchema): readonly string[] {
  const clash = fieldNames(schema).find((field) => RESERVED.includes(field));
  if (clash !== undefined) throw new Error(`A field of ${schema.name} cannot be called ${clash}.`);
  const columns = Object.entries(schema.fields).map(([field, type]) => `${quoted(field)} ${type === 'integer' ? 'INTEGER' : 'TEXT'},`);
  const table = quoted(schema.name);
  return [
    `CREATE TABLE ${table} (
      row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, position TEXT NOT NULL, quarantine TEXT, ${columns.join(' ')} body TEXT NOT NULL
    ) STRICT`,
    // Kept from the first row on: it is nearly always empty.
    `CREATE INDEX ${quoted(`${schema.name}_quarantine`)} ON ${table} (id) WHERE quarantine IS NOT NULL`,
  ];
}

/** The statements that make one index of a collection; each can be run on its own, and again. */
export function indexStatements(schema: CollectionSchema, at: number): readonly string[] {
  const index = schema.indexes[at];
  if (index === undefined) return [];
  const texts = textsOf(schema, index);
  return texts === undefined ? [plainIndex(schema, index, at)] : textsIndex(schema, index, at, texts);
}

const indexName = (schema: CollectionSchema, at: number): string => quoted(`${schema.name}_${at}`);

const textsOf = (schema: CollectionSchema, index: IndexSchema): string | undefined =>
  index.fields.find((field) => schema.fields[field] === 'texts');

function plainIndex(schema: CollectionSchema, index: IndexSchema, at: number): string {
  const present = index.sparse ? ` WHERE ${index.fields.map((field) => `${quoted(field)} IS NOT NULL`).join(' AND ')}` : '';
  const columns = [...index.fields, 'id'].map(quoted).join(', ');
  return `CREATE INDEX IF NOT EXISTS ${indexName(schema, at)} ON ${quoted(schema.name)} (${columns})${present}`;
}

/** A field of many values is a table with a row for each. What is there already is taken over; from then on `SideTable` keeps it. */
function textsIndex(schema: CollectionSchema, index: IndexSchema, at: number, texts: string): readonly string[] {
  const name = indexName(schema, at);
  const columns = index.fields.map(quoted).join(', ');
  const values = index.fields.map((field) => (field === texts ? 'value' : `t.${quoted(field)}`)).join(', ');
  const present = index.fields.map((field) => `t.${quoted(field)} IS NOT NULL`).join(' AND ');
  const typed = index.fields.map((field) => `${quoted(field)} ${schema.fields[field] === 'integer' ? 'INTEGER' : 'TEXT'} NOT NULL`);
  return [
    `CREATE TABLE IF NOT EXISTS ${name} (${typed.join(', ')}, id TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (${columns}, id)) STRICT, WITHOUT ROWID`,
    `INSERT OR IGNORE INTO ${name} (${columns}, id, row) SELECT ${values}, t.id, t.row FROM ${quoted(schema.name)} t, json_each(t.${quoted(texts)})
     WHERE ${present} ORDER BY ${values}, t.id`,
  ];
}

/** How the table of one `texts` index is kept, where there is one; null for an index that SQLite keeps by itself. */
export interface SideTableSql {
  readonly table: string;
  /** The index's fields; their values, then id, are the parameters of `remove`, and with row those of `add`. */
  readonly fields: readonly string[];
  readonly texts: string;
  readonly add: string;
  readonly remove: string;
}

export function sideTableSql(schema: CollectionSchema, at: number): SideTableSql | null {
  const index = schema.indexes[at];
  const texts = index && textsOf(schema, index);
  if (index === undefined || texts === undefined) return null;
  const name = indexName(schema, at);
  const key = [...index.fields.map(quoted), 'id'];
  return {
    table: `${schema.name}_${at}`,
    fields: index.fields,
    texts,
    add: `INSERT OR IGNORE INTO ${name} (${key.join(', ')}, row) VALUES (${key.map(() => '?').join(', ')}, ?)`,
    remove: `DELETE FROM ${name} WHERE ${key.map((column) => `${column} = ?`).join(' AND ')}`,
  };
}

export interface SqlQuery {
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
}

const DOCUMENT = 't.id, t.position, t.quarantine, t.body';

export const getSql = (schema: CollectionSchema): string => `SELECT ${DOCUMENT} FROM ${quoted(schema.name)} t WHERE t.id = ?`;

/** What is stored of a document, but for its body. Parameter: id. */
export const storedSql = (schema: CollectionSchema): string =>
  `SELECT ${['row', 'position', ...fieldNames(schema)].map(quoted).join(', ')} FROM ${quoted(schema.name)} WHERE id = ?`;

/** Parameters: id, position, quarantine, the fields in their order, body. */
export function insertSql(schema: CollectionSchema): string {
  const columns = ['id', 'position', 'quarantine', ...fieldNames(schema), 'body'].map(quoted);
  return `INSERT INTO ${quoted(schema.name)} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`;
}

/** Replaces a document, naming only those of its fields that changed. Parameters: position, quarantine, these fields, body, row. */
export function updateSql(schema: CollectionSchema, changed: readonly string[]): string {
  const updates = ['position', 'quarantine', ...changed, 'body'].map((column) => `${quoted(column)} = ?`);
  return `UPDATE ${quoted(schema.name)} SET ${updates.join(', ')} WHERE row = ?`;
}

export const quarantinedSql = (schema: CollectionSchema): string =>
  `SELECT id, quarantine FROM ${quoted(schema.name)} INDEXED BY ${quoted(`${schema.name}_quarantine`)} WHERE quarantine IS NOT NULL ORDER BY id`;

/** Throws for a query that no index of the collection serves. */
export function findSql(schema: CollectionSchema, query: FindQuery): SqlQuery {
  const { from, conditions, parameters, column } = rowsOf(schema, query);
  const { order, after } = query;
  const sorted = order === undefined ? [] : [column(order.field), ...(order.then === undefined ? [] : [column(order.then)]), column('id')];
  const backwards = order?.direction === 'descending' ? ' DESC' : '';
  if (after !== undefined) {
    if (order === undefined || order.then !== undefined)
      throw new Error(`A query of ${schema.name} goes on after a row only in the order of one field.`);
    const beyond = backwards === '' ? '>' : '<';
    if (after.id === undefined) {
      conditions.push(`${column(order.field)} ${beyond} ?`);
      parameters.push(after.value);
    } else {
      conditions.push(`(${column(order.field)}, ${column('id')}) ${beyond} (?, ?)`);
      parameters.push(after.value, after.id);
    }
  }
  if (query.idStartsWith !== undefined) {
    const starts = idStarts(query.idStartsWith);
    conditions.push(`substr(${column('id')}, 1, 1) IN (${starts.map(() => '?').join(', ')})`);
    parameters.push(...starts);
  }
  parameters.push(query.limit);
  const by = sorted.length === 0 ? '' : ` ORDER BY ${sorted.map((name) => `${name}${backwards}`).join(', ')}`;
  return { sql: `SELECT ${DOCUMENT} FROM ${from}${whereSql(conditions)}${by} LIMIT ?`, parameters };
}

/** Throws for a query that no index of the collection serves. */
export function countSql(schema: CollectionSchema, query: Pick<FindQuery, 'collection' | 'where' | 'range'>): SqlQuery {
  const { from, conditions, parameters } = rowsOf(schema, query);
  return { sql: `SELECT count(*) FROM ${from}${whereSql(conditions)}`, parameters };
}

const whereSql = (conditions: readonly string[]): string => (conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`);

function rowsOf(
  schema: CollectionSchema,
  query: Rows,
): { from: string; conditions: string[]; parameters: (string | number)[]; column: (field: string) => string } {
  const { at, index } = indexFor(schema, query);
  const aside = textsOf(schema, index) !== undefined;
  const column = (field: string): string =>
    aside && (field === 'id' || index.fields.includes(field)) ? `s.${quoted(field)}` : `t.${quoted(field)}`;
  const conditions: string[] = [];
  const parameters: (string | number)[] = [];
  for (const [field, value] of Object.entries(query.where)) {
    conditions.push(value === null ? `${column(field)} IS NULL` : `${column(field)} = ?`);
    if (value !== null) parameters.push(value);
  }
  // Also what lets SQLite see that a sparse index holds every row that is asked for.
  for (const field of sortedBy(query)) conditions.push(`${column(field)} IS NOT NULL`);
  if (query.range !== undefined) {
    const { field, above, from, below, upTo } = query.range;
    const bounds = { '>': above, '>=': from, '<': below, '<=': upTo };
    for (const [operator, bound] of Object.entries(bounds)) {
      if (bound === undefined || bound === null) continue;
      conditions.push(`${column(field)} ${operator} ?`);
      parameters.push(bound);
    }
  }
  const table = `${quoted(schema.name)} t`;
  const name = indexName(schema, at);
  return { from: aside ? `${name} s CROSS JOIN ${table} ON t.row = s.row` : `${table} INDEXED BY ${name}`, conditions, parameters, column };
}
