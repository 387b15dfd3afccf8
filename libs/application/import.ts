import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { streamOf } from '#dialing';
import type { DialPolicy, NewTarget, Outdial, Target } from '#dialing';
import { derivedId } from './derived-id';
import { FingerprintSet } from './fingerprint-set';
import { ImportPace } from './import-pace';
import type { RequestContext } from './request';
import { Services } from './services';
import { TARGET } from './streams';
import { addJob, addRows, refusedRow, refuseWhenArchived, rowFate } from './target-rows';
import type { AddedRows, AddOptions, RowFate, TargetRow } from './target-rows';

export interface ImportOptions extends AddOptions {
  /** Changes nothing and tells what would have been. */
  readonly dryRun: boolean;
}

/** Some rows of an import and what became of them; `fates[n]` is that of `rows[n]`. */
export interface Imported<R extends TargetRow> extends AddedRows {
  readonly rows: readonly R[];
}

/** An import that may begin: the outdial takes targets. */
export interface TargetImport {
  /**
   * Takes rows as they come, in chunks of some hundred, and tells what became of them, chunk by chunk and in their order; a chunk is asked for when one before it
   * has been told. When `chunks` ends, or throws, what it gave before is imported. Throws when the store is away, or when the outdial takes no more
   * targets: what was not told then may be imported or not, and is sent again.
   */
  run<R extends TargetRow>(chunks: AsyncIterable<readonly R[]>, told: (imported: Imported<R>) => Promise<void>): Promise<void>;
}

/** Rows as a stream, of any number: memory does not grow with them (the API contract, Targets). 404, or 409 DELETED or ARCHIVED before any is read. */
export class ImportTargets extends Command<TargetImport> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
    readonly options: ImportOptions,
  ) {
    super();
  }
}

/** Chunks that are appended at once, so that the store has the next ones while it waits for the disk. */
const UNDER_WAY = 6;

@CommandHandler(ImportTargets)
export class ImportTargetsHandler implements ICommandHandler<ImportTargets> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId, options }: ImportTargets): Promise<TargetImport> {
    refuseWhenArchived(await this.services.changeableOutdial(context, outdialId));
    if (options.dryRun) {
      const take = this.rehearsal(context, outdialId, options);
      // It needs each chunk's fates before it can tell the next one's.
      return { run: (chunks, told) => run(chunks, take, told, 1) };
    }
    const pace = new ImportPace(this.services.ports.projections);
    const take = this.import(context, outdialId, options, pace);
    return { run: (chunks, told) => run(pace.of(chunks), take, told, UNDER_WAY) };
  }

  private import(context: RequestContext, outdialId: string, options: ImportOptions, pace: ImportPace): Take {
    let chunk = 0;
    return async (rows) => {
      // Event ids derive from the command's: a target that comes again in a later chunk must not look like the same append, repeated.
      const commandId = derivedId(context.commandId, `import/${(chunk += 1)}`);
      const added = await addRows(this.services, { ...context, commandId }, outdialId, rows, options, { lane: 'import', remember: false });
      pace.appended(added.position, rows.length);
      return added;
    };
  }

  private rehearsal(context: RequestContext, outdialId: string, options: ImportOptions): Take {
    const added = new FingerprintSet();
    return async (rows) => {
      const outdial = await this.services.changeableOutdial(context, outdialId);
      refuseWhenArchived(outdial);
      const policy = await this.services.policyOf(outdial);
      const rehearsed = await Promise.all(
        rows.map(async (row, index) => ('details' in row ? null : this.rehearse(context, outdial, policy, row.target, index, options))),
      );
      const fates = rows.map((row, index): RowFate => {
        if ('details' in row) return { index, result: 'invalid', details: row.details };
        const targetId = this.services.targetId(outdialId, row.target);
        if (added.has(targetId)) return { index, result: options.updateDuplicates ? 'updated' : 'duplicate', targetId };
        const fate = rehearsed[index] ?? { index, result: 'invalid', details: [] };
        if (fate.result === 'created') added.add(targetId);
        return fate;
      });
      return { fates, position: null };
    };
  }

  /** What the row would come to if it were alone. */
  private async rehearse(
    context: RequestContext,
    outdial: Outdial,
    policy: DialPolicy,
    target: NewTarget,
    index: number,
    options: ImportOptions,
  ): Promise<RowFate> {
    const job = addJob(this.services, context, outdial, policy, target, options);
    const known = await this.services.streams.load(TARGET, streamOf.target(outdial.id, job.targetId), { remember: false });
    try {
      const { events, result } = job.decide(known);
      const state = events.reduce<Target | null>((before, event) => TARGET.evolve(before, event), known.state);
      return rowFate(index, result({ ...known, state }), job.targetId);
    } catch (error) {
      return refusedRow(index, error);
    }
  }
}

type Take = (rows: readonly TargetRow[]) => Promise<AddedRows>;

async function run<R extends TargetRow>(
  chunks: AsyncIterable<readonly R[]>,
  take: Take,
  told: (imported: Imported<R>) => Promise<void>,
  atOnce: number,
): Promise<void> {
  const underWay: Promise<void>[] = [];
  let before = Promise.resolve();
  try {
    for await (const rows of chunks) {
      const taken = take(rows);
      before = before.then(async () => told({ ...(await taken), rows }));
      // Whoever waits for them is told; until then nobody may be waiting.
      for (const promise of [taken, before]) promise.catch(() => undefined);
      underWay.push(before);
      if (underWay.length >= atOnce) await underWay.shift();
    }
    await before;
  } finally {
    await Promise.allSettled(underWay);
  }
}

export const IMPORT_HANDLERS = [ImportTargetsHandler];
