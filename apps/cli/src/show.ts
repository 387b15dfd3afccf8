import { clearScreenDown, moveCursor } from 'node:readline';
import { SingleBar } from 'cli-progress';
import type { Outdial, Progress } from '#client';
import type { ImportCounts } from './import-file';

/** Everything about how it goes is for stderr: stdout has the result alone. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`);

const n = (value: number): string => value.toLocaleString('en');
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

export interface Show {
  update(counts: ImportCounts): void;
  /** A line between. */
  note(text: string): void;
  end(): void;
}

const LINE_EVERY_MILLIS = 2000;

/** A bar on a terminal; a line every two seconds where there is none. */
export function showImport(fileBytes: number): Show {
  const started = performance.now();
  const describe = ({ rows, created, duplicates, invalid }: ImportCounts): string => {
    const rate = rows / Math.max(1, (performance.now() - started) / 1000);
    return `${n(rows)} rows · ${n(Math.round(rate))}/s · ${n(created)} created · ${n(duplicates)} duplicates · ${n(invalid)} invalid`;
  };
  return process.stderr.isTTY ? bar(fileBytes, describe) : lines(fileBytes, describe);
}

function bar(fileBytes: number, describe: (counts: ImportCounts) => string): Show {
  const format = '{bar} {percentage}%  {state}';
  const single = new SingleBar({
    format,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 20,
    hideCursor: true,
    stream: process.stderr,
  });
  single.start(Math.max(1, fileBytes), 0, { state: '' });
  return {
    update: (counts) => {
      single.update(counts.bytes, { state: describe(counts) });
    },
    note: (text) => {
      process.stderr.write('\n');
      note(text);
    },
    end: () => {
      single.stop();
    },
  };
}

function lines(fileBytes: number, describe: (counts: ImportCounts) => string): Show {
  let next = performance.now() + LINE_EVERY_MILLIS;
  return {
    update: (counts) => {
      if (performance.now() < next) return;
      next = performance.now() + LINE_EVERY_MILLIS;
      note(`${percent(counts.bytes / Math.max(1, fileBytes))} sent: ${describe(counts)}`);
    },
    note,
    end: () => undefined,
  };
}

/** How an import ended, as a table for people. */
export function importTable(counts: ImportCounts): string {
  const rows: readonly (readonly [string, number])[] = [
    ['created', counts.created],
    ['duplicates', counts.duplicates],
    ...(counts.updated > 0 ? [['updated', counts.updated] as const] : []),
    ['invalid', counts.invalid],
    ['rows', counts.rows],
  ];
  return rows.map(([label, value]) => `${label.padEnd(12)}${n(value).padStart(12)}`).join('\n');
}

const NEVER = '9999';

export function progressTable({ name, state }: Outdial, { targets, done, attempts, ...progress }: Progress): string {
  const outcomes = Object.entries(attempts.by_outcome).filter(([, count]) => count > 0);
  const next = progress.next_callable_at.startsWith(NEVER) ? '' : `, next at ${progress.next_callable_at.slice(0, 19)}`;
  const rows: readonly (readonly [string, string])[] = [
    ['outdial', `${name} (${state})`],
    ['targets', `${n(targets.total)}: ${n(targets.idle)} idle · ${n(targets.progressing)} progressing · ${n(targets.done)} done`],
    ['done', `${n(done.answered)} answered · ${n(done.exhausted)} exhausted · ${n(done.canceled)} canceled`],
    ['attempts', [n(attempts.total), ...outcomes.map(([outcome, count]) => `${outcome} ${n(count)}`)].join(' · ')],
    ['callable', `${n(progress.callable)} now · ${n(progress.waiting)} waiting${next}`],
    ['rates', `penetration ${percent(progress.penetration)} · connect rate ${percent(progress.connect_rate)}`],
  ];
  return rows.map(([label, value]) => `${label.padEnd(10)}${value}`).join('\n');
}

/** Writes a text over the one before on a terminal, below it elsewhere. */
export function rewriter(): (text: string) => void {
  let height = 0;
  return (text) => {
    if (process.stdout.isTTY && height > 0) {
      moveCursor(process.stdout, 0, -height);
      clearScreenDown(process.stdout);
    }
    process.stdout.write(`${text}\n`);
    height = text.split('\n').length;
  };
}
