import { SingleBar } from 'cli-progress';
import type { Progress } from '#client';

export interface Show {
  update(progress: Progress): void;
  end(): void;
}

const LINE_EVERY_MS = 1000;
const n = (value: number): string => value.toLocaleString('en');

/** A bar that follows the list's state on a terminal; a line a second where there is none. */
export function showProgress(first: Progress): Show {
  const started = performance.now();
  const describe = ({ targets, done, attempts }: Progress): string => {
    const seconds = (performance.now() - started) / 1000;
    return [
      `idle ${n(targets.idle)}`,
      `progressing ${n(targets.progressing)}`,
      `answered ${n(done.answered)}`,
      `exhausted ${n(done.exhausted)}`,
      // A pace of less than a second would only be the first batch.
      ...(seconds < 1 ? [] : [`${n(Math.round(attempts.total / seconds))} attempts/s`]),
    ].join(' · ');
  };
  return process.stdout.isTTY ? bar(first, describe) : lines(describe);
}

function bar(first: Progress, describe: (progress: Progress) => string): Show {
  const format = 'done {bar} {percentage}%  {state}';
  const single = new SingleBar({ format, barCompleteChar: '█', barIncompleteChar: '░', barsize: 20, hideCursor: true });
  single.start(first.targets.total, first.targets.done, { state: describe(first) });
  return {
    update: (progress) => single.update(progress.targets.done, { state: describe(progress) }),
    end: () => single.stop(),
  };
}

function lines(describe: (progress: Progress) => string): Show {
  let next = 0;
  return {
    update: (progress) => {
      const finished = progress.targets.done === progress.targets.total;
      if (performance.now() < next && !finished) return;
      next = performance.now() + LINE_EVERY_MS;
      process.stdout.write(`${n(progress.targets.done)} of ${n(progress.targets.total)} done: ${describe(progress)}\n`);
    },
    end: () => undefined,
  };
}
