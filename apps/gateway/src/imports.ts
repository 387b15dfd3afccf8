import { Inject, Injectable } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { OutdialError } from '#dialing';
import type { Position } from '#event-store';
import { ImportTargets } from '#application';
import type { Imported, ImportOptions, RequestContext, RowFate, TargetImport } from '#application';
import { Streamed } from './answer';
import { ENGINE } from './engine/engine';
import type { Engine } from './engine/engine';
import { ImportHeaps } from './heap-growth';
import { errorAnswer, toToldError } from './http-errors';
import { bodyOf, readRows } from './import-rows';
import type { Body, ImportFormat, ImportRow } from './import-rows';
import { letPass } from './let-pass';
import { invalidParameter } from './request-context';
import { Spool } from './spool';
import { consistencyToken } from './wire';

export const NDJSON_TYPE = 'application/x-ndjson';
export const CSV_TYPE = 'text/csv';
const FORMATS: Readonly<Record<string, ImportFormat>> = { [NDJSON_TYPE]: 'ndjson', [CSV_TYPE]: 'csv' };

/** The only route that takes a stream. */
const ROUTE = '/v1.0/outdials/:id/targets';

/** Which kind of import a request is by its Content-Type; null when it is none. */
export function importFormat({ headers, method, routeOptions }: FastifyRequest): ImportFormat | null {
  if (method !== 'POST' || routeOptions.url !== ROUTE) return null;
  return FORMATS[(headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''] ?? null;
}

const unsupported = (message: string): OutdialError => new OutdialError('UNSUPPORTED_MEDIA_TYPE', 'UNSUPPORTED_MEDIA_TYPE', message);

/** Bodies of imports are not read before their controller asks: they may be of any size. */
export function takeImportBodies(fastify: FastifyInstance): void {
  fastify.addContentTypeParser(Object.keys(FORMATS), (request, payload, done) => {
    const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers;
    const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8';
    if (importFormat(request) === null) done(unsupported('Send the body as Content-Type: application/json.'));
    else if (!/^utf-?8$/i.test(charset)) done(unsupported('Send the file in UTF-8.'));
    else if (encoding.toLowerCase() !== 'identity') done(unsupported('Send the file as it is, without Content-Encoding.'));
    else done(null, payload);
  });
}

const RESULTS = ['all', 'refused', 'none'] as const;
type Results = (typeof RESULTS)[number];

export interface ImportQuery {
  readonly options: ImportOptions;
  readonly ignoreUnknown: boolean;
  readonly results: Results;
}

export function readResults(text = 'all'): Results {
  const results = RESULTS.find((known) => known === text);
  if (results === undefined) throw invalidParameter('results', `must be one of ${RESULTS.join(', ')}`, text);
  return results;
}

/** Imports over HTTP: a body of rows in, a line of answer for each, and how it ended in the last one (the API contract, Targets). */
@Injectable()
export class Imports implements OnApplicationShutdown {
  private readonly running = new Set<Promise<void>>();

  constructor(
    @Inject(ENGINE) private readonly engine: Pick<Engine, 'ports' | 'spoolDirectory'>,
    private readonly commands: CommandBus,
  ) {}

  /** Refuses what can be refused before the first row; from then on the answer has begun, and the import goes on whether it is read or not. */
  async begin(
    context: RequestContext,
    outdialId: string,
    request: FastifyRequest,
    format: ImportFormat,
    query: ImportQuery,
  ): Promise<Streamed> {
    const targets = await this.commands.execute(new ImportTargets(context, outdialId, query.options));
    const body = bodyOf(request.raw);
    const rows = await readRows(format, body, query);
    const spool = new Spool(this.engine.spoolDirectory);
    const running = this.run(targets, rows, new Report(spool, query), request, body).catch((error: unknown) => {
      // The answer itself could not be kept.
      request.log.error({ err: error, request_id: request.id }, 'an import ended without its last line');
      spool.destroy();
    });
    this.running.add(running);
    void running.finally(() => this.running.delete(running));
    return new Streamed(spool, NDJSON_TYPE);
  }

  /** Requests have ended or were cut by now; what they brought is to be stored before the stores close. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.running);
  }

  private async run(
    targets: TargetImport,
    rows: AsyncIterable<readonly ImportRow[]>,
    report: Report,
    request: FastifyRequest,
    body: Body,
  ): Promise<void> {
    const heaps = new ImportHeaps();
    try {
      await targets.run(rows, (imported) => {
        heaps.took(imported.rows.length);
        return report.tell(imported);
      });
      if (body.isCut()) report.drop();
      else await report.end(this.engine.ports.events.logId);
    } catch (error) {
      const { body: line } = errorAnswer(toToldError(error, request, request.log), request.id);
      // What is left of the body is let pass, so that a client that sends everything before it reads gets to read this.
      letPass(request);
      await report.fail(line);
    } finally {
      heaps.end();
    }
  }
}

/** The lines of the answer, and their count. */
class Report {
  private rows = 0;
  private readonly counts = { created: 0, duplicate: 0, updated: 0, invalid: 0 };
  private position: Position | null = null;

  constructor(
    private readonly spool: Spool,
    private readonly query: ImportQuery,
  ) {}

  async tell({ rows, fates, position }: Imported<ImportRow>): Promise<void> {
    let lines = '';
    for (const [index, fate] of fates.entries()) {
      this.rows += 1;
      this.counts[fate.result] += 1;
      if (this.isAskedFor(fate)) lines += resultLine(this.rows, fate, rows[index]?.externalId ?? null);
    }
    if (position !== null && (this.position === null || position > this.position)) this.position = position;
    await this.spool.add(Buffer.from(lines));
  }

  async end(logId: string): Promise<void> {
    const { created, duplicate: duplicates, updated, invalid } = this.counts;
    const summary = {
      total: this.rows,
      created,
      duplicates,
      ...(this.query.options.updateDuplicates ? { updated } : {}),
      invalid,
      ...(this.position === null ? {} : { consistency_token: consistencyToken(logId, this.position) }),
    };
    await this.fail(JSON.stringify({ summary }));
  }

  /** With this as its last line. */
  async fail(line: string): Promise<void> {
    await this.spool.add(Buffer.from(`${line}\n`));
    this.spool.end();
  }

  /** Nobody is there to read it. */
  drop(): void {
    this.spool.destroy();
  }

  private isAskedFor({ result }: RowFate): boolean {
    switch (this.query.results) {
      case 'all':
        return true;
      case 'refused':
        return result === 'duplicate' || result === 'invalid';
      case 'none':
        return false;
    }
  }
}

/** A line of the answer, as JSON: `row` counts from 1. Written as text at once: results and ids need no escape, and an object a row costs twice as much. */
export function resultLine(row: number, { result, targetId, deleted, details }: RowFate, externalId: string | null): string {
  let line = `{"row":${row},"result":"${result}"`;
  if (targetId !== undefined) line += `,"id":"${targetId}"`;
  if (externalId !== null) line += `,"external_id":${JSON.stringify(externalId)}`;
  if (deleted) line += ',"deleted":true';
  if (details) line += `,"details":${JSON.stringify(details)}`;
  return `${line}}\n`;
}
