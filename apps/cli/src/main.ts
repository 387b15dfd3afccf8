/** The `outdial` command: what a person does with a list, from a shell. */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ApiError } from '#client';
import type { Client, Progress } from '#client';
import { startDialers } from '../../demo/src/dialers';
import { showProgress } from '../../demo/src/show';
import { open, UsageError, withConnection } from './connection';
import type { ConnectionOptions } from './connection';
import { importFile } from './import-file';
import { persist } from './persistence';
import { importTable, note, progressTable, rewriter, showImport } from './show';

const EXIT = { done: 0, failed: 1, usage: 2, someInvalid: 3, interrupted: 130 } as const;

class Interrupted extends Error {}

/** Ctrl-C ends what is under way in an orderly way; a second one ends the process. */
const interruption = new AbortController();

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

type Format = 'csv' | 'ndjson';
const formatOption = (description: string): Option => new Option('--format <format>', description).choices(['csv', 'ndjson']);

function formatOf(file: string): Format {
  if (/\.csv$/i.test(file)) return 'csv';
  if (/\.(ndjson|jsonl)$/i.test(file)) return 'ndjson';
  throw new UsageError(`${file}: is it CSV or JSON lines? Say --format csv or --format ndjson`);
}

interface ImportArguments extends ConnectionOptions {
  readonly outdial?: string;
  readonly create?: string;
  readonly format?: Format;
  readonly dryRun?: true;
  readonly update?: true;
  readonly readd?: true;
  readonly ignoreUnknown?: true;
  readonly retries: number;
}

async function runImport(file: string, options: ImportArguments): Promise<number> {
  const format = options.format ?? formatOf(file);
  const { size } = await stat(file).catch((error: unknown) => {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  });
  if ((options.outdial === undefined) === (options.create === undefined)) {
    throw new UsageError('say where it goes: --outdial <id>, or --create <name> for a new one');
  }
  const outdialId = options.outdial ?? (await createOutdial(options.create ?? '', options));
  const refusedFile = `${file}.refused.ndjson`;
  const show = showImport(size);
  let rows = 0;
  try {
    const counts = await importFile({
      file,
      refusedFile,
      outdialId,
      options: {
        format,
        ...(options.dryRun ? { dryRun: true } : {}),
        ...(options.update ? { updateDuplicates: true } : {}),
        ...(options.readd ? { readd: true } : {}),
        ...(options.ignoreUnknown ? { ignoreUnknown: true } : {}),
      },
      retries: options.retries,
      signal: interruption.signal,
      open: () => open(options),
      onCounts: (now) => {
        rows = now.rows;
        show.update(now);
      },
      onRetry: (error, wait) => {
        show.note(`${error.message}; the file is sent again in ${(wait / 1000).toFixed(0)} s`);
      },
    });
    show.end();
    say(importTable(counts));
    if (options.dryRun) note('a dry run: nothing was changed');
    if (counts.duplicates + counts.invalid > 0) note(`the rows that were refused, and why: ${refusedFile}`);
    return counts.invalid > 0 ? EXIT.someInvalid : EXIT.done;
  } catch (error) {
    show.end();
    note(
      `${rows.toLocaleString('en')} rows were answered. To complete it: outdial import ${file} --outdial ${outdialId} (nothing is doubled)`,
    );
    throw error;
  }
}

async function createOutdial(name: string, options: ImportArguments): Promise<string> {
  const idempotencyKey = randomUUID();
  const { id } = await persist(async () => (await open(options)).createOutdial({ name }, { idempotencyKey }), {
    retries: options.retries,
    signal: interruption.signal,
    reached: () => 0,
    onRetry: (error, wait) => {
      note(`${error.message}; tried again in ${(wait / 1000).toFixed(0)} s`);
    },
  });
  note(`outdial ${id}`);
  return id;
}

async function runExport(outdialId: string, options: ConnectionOptions & { readonly format: Format }): Promise<number> {
  const client = await open(options);
  for await (const chunk of client.exportTargets(outdialId, { format: options.format, signal: interruption.signal })) {
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
  }
  return EXIT.done;
}

interface ProgressArguments extends ConnectionOptions {
  readonly watch?: true;
  readonly json?: true;
}

async function runProgress(outdialId: string, options: ProgressArguments): Promise<number> {
  const client = await open(options);
  const write = rewriter();
  for (;;) {
    const [outdial, progress] = await Promise.all([client.outdial(outdialId), client.progress(outdialId)]);
    write(options.json ? JSON.stringify(progress) : progressTable(outdial, progress));
    if (!options.watch || isDone(progress)) return EXIT.done;
    await sleep(1000, undefined, { signal: interruption.signal });
  }
}

const isDone = ({ targets }: Progress): boolean => targets.total > 0 && targets.done === targets.total;

interface DialArguments extends ConnectionOptions {
  readonly outdial: string;
  readonly simulate?: true;
  readonly dialers: number;
  readonly wait?: true;
}

async function runDial(options: DialArguments): Promise<number> {
  if (!options.simulate) throw new UsageError('this command only pretends to dial: say --simulate');
  if (options.dialers < 1) throw new UsageError('--dialers: at least one is needed');
  const client = await open(options);
  const outdialId = options.outdial;
  let progress = await client.progress(outdialId);
  const dialers = startDialers({ client, outdialId, dialers: options.dialers, batch: 50, callMillis: 120, leaseSeconds: 30 });
  const show = showProgress(progress);
  try {
    while (!interruption.signal.aborted && (await goesOn(client, progress, options))) {
      await Promise.race([sleep(200), dialers.working]);
      progress = await client.progress(outdialId);
      show.update(progress);
    }
  } finally {
    show.end();
    await dialers.stop();
  }
  say(progressTable(await client.outdial(outdialId), await client.progress(outdialId)));
  interruption.signal.throwIfAborted();
  return EXIT.done;
}

/** Until the list is done; without --wait, until there is nothing to dial for now. */
async function goesOn(client: Client, progress: Progress, { outdial, wait }: DialArguments): Promise<boolean> {
  if (isDone(progress) || progress.targets.total === 0) return false;
  if (wait || progress.callable > 0 || progress.targets.progressing > 0) return true;
  // What was reported between two looks may be due at once.
  const again = await client.progress(outdial);
  return again.callable > 0 || again.targets.progressing > 0;
}

/** What to tell of an error, and the exit code. */
function explain(error: unknown): readonly [text: string, code: number] {
  if (interruption.signal.aborted) return ['interrupted', EXIT.interrupted];
  if (error instanceof UsageError) return [error.message, EXIT.usage];
  if (error instanceof ApiError) {
    const id = error.requestId === '' ? '' : ` (request ${error.requestId})`;
    return [`the service refused: ${error.reason}: ${error.message}${id}`, EXIT.failed];
  }
  return [error instanceof Error ? error.message : String(error), EXIT.failed];
}

const running =
  <A extends readonly unknown[]>(action: (...args: A) => Promise<number>) =>
  async (...args: A): Promise<void> => {
    try {
      process.exitCode = await action(...args);
    } catch (error) {
      const [text, code] = explain(error);
      note(text);
      process.exitCode = code;
    }
  };

function program(): Command {
  const root = new Command('outdial')
    .description('Imports, exports and watches lists of an Outdial service.')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.done : EXIT.usage))
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 imported but some rows were invalid, 130 interrupted.');
  withConnection(root.command('import'))
    .description('imports a file of targets (CSV or JSON lines) of any size; safe to run again')
    .argument('<file>')
    .option('--outdial <id>', 'the outdial that it goes to')
    .option('--create <name>', 'a new outdial of this name')
    .addOption(formatOption('what the file is; told by its name when left out'))
    .option('--dry-run', 'changes nothing, and tells what would have been')
    .option('--update', 'targets that are there already take over what the file says')
    .option('--readd', 'targets that were deleted are added again')
    .option('--ignore-unknown', 'columns that no target has are not an error')
    .option('--retries <count>', 'how often in a row a broken connection is tried again', wholeNumber, 10)
    .action(running((file: string, options: ImportArguments) => runImport(file, options)));
  withConnection(root.command('export'))
    .description('writes an outdial’s targets to stdout, as a file that can be imported again')
    .argument('<outdial>')
    .addOption(formatOption('of the file').default('csv'))
    .action(running((outdialId: string, options: ConnectionOptions & { readonly format: Format }) => runExport(outdialId, options)));
  withConnection(root.command('progress'))
    .description('tells how far an outdial is')
    .argument('<outdial>')
    .option('--watch', 'again every second, until it is done')
    .option('--json', 'as the API answers it')
    .action(running((outdialId: string, options: ProgressArguments) => runProgress(outdialId, options)));
  withConnection(root.command('dial'))
    .description('dials an outdial with simulated dialers: nobody is called')
    .requiredOption('--outdial <id>', 'the outdial')
    .option('--simulate', 'needed: there are no other dialers here')
    .option('--dialers <count>', 'how many', wholeNumber, 10)
    .option('--wait', 'waits for targets that are due later, until the list is done')
    .action(running((options: DialArguments) => runDial(options)));
  return root;
}

process.once('SIGINT', () => {
  interruption.abort(new Interrupted('interrupted'));
});
// Whoever reads the export has enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed);
});
void program().parseAsync();
