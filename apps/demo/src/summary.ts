import type { ImportResult, ImportSummary, Progress, Target } from '#client';

export interface Imported {
  readonly summary: ImportSummary;
  /** The rows that were refused. */
  readonly refused: readonly ImportResult[];
}

export interface Run {
  /** Of the file. */
  readonly rows: number;
  readonly imported: Imported;
  /** The service's count at the end. */
  readonly progress: Progress;
  /** The dialers' own count of their attempts, by outcome. */
  readonly counted: ReadonlyMap<string, number>;
  /** All of them, as listed page by page. */
  readonly targets: readonly Pick<Target, 'done_reason' | `try_count_${0 | 1 | 2 | 3 | 4}`>[];
}

const LABEL = 34;
const NUMBER = 10;
const number = (value: number): string => value.toLocaleString('en').padStart(NUMBER);
const row = (label: string, ...values: readonly number[]): string => `  ${label.padEnd(LABEL)}${values.map(number).join('')}`;

/** The run as a table, and whether its sums are equal where they must be. */
export function summarise({ rows, imported, progress, counted, targets }: Run): { readonly text: string; readonly addsUp: boolean } {
  const { created, duplicates, invalid } = imported.summary;
  const { done, attempts } = progress;
  const outcomes = [...new Set([...Object.keys(attempts.by_outcome), ...counted.keys()])]
    .map((outcome) => ({ outcome, service: attempts.by_outcome[outcome] ?? 0, dialers: counted.get(outcome) ?? 0 }))
    .filter(({ service, dialers }) => service > 0 || dialers > 0);
  const dialed = [...counted.values()].reduce((sum, value) => sum + value, 0);
  const having = (reason: Target['done_reason']): number => targets.filter(({ done_reason }) => done_reason === reason).length;
  const tries = targets.reduce((sum, t) => sum + t.try_count_0 + t.try_count_1 + t.try_count_2 + t.try_count_3 + t.try_count_4, 0);

  const checks: boolean[] = [];
  const check = (holds: boolean): string => {
    checks.push(holds);
    return holds ? '  ✓' : '  ✗ does not add up';
  };
  const lines = [
    'The list',
    row('created', created),
    row('duplicates', duplicates),
    row('invalid', invalid),
    ...whyInvalid(imported).map((line) => `    ${line}`),
    row('= rows of the file', rows) +
      check(created + duplicates + invalid === rows && imported.refused.filter(({ result }) => result === 'invalid').length === invalid),
    '',
    'The targets',
    row('answered', done.answered),
    row('exhausted', done.exhausted),
    row('= created', progress.targets.total) +
      check(done.answered + done.exhausted === progress.targets.total && progress.targets.total === created),
    '',
    `${'The attempts'.padEnd(LABEL + 2)}${'service'.padStart(NUMBER)}${'dialers'.padStart(NUMBER)}`,
    ...outcomes.map(
      ({ outcome, service, dialers }) =>
        row(outcome === 'unknown' ? 'unknown (the dialer that crashed)' : outcome, service, dialers) + check(service === dialers),
    ),
    row('= all', attempts.total, dialed) + check(attempts.total === dialed),
    '',
    'The targets once more, each read from its page of the list',
    row('answered', having('answered')) + check(having('answered') === done.answered),
    row('exhausted', having('exhausted')) + check(having('exhausted') === done.exhausted),
    row('tries on all their destinations', tries) + check(tries === attempts.total),
  ];
  return { text: lines.join('\n'), addsUp: checks.every(Boolean) };
}

/** Each reason with its number of rows, the most frequent first. */
function whyInvalid({ refused }: Imported): readonly string[] {
  const reasons = new Map<string, number>();
  for (const { result, details = [] } of refused) {
    if (result !== 'invalid') continue;
    const reason = details[0]?.reason ?? 'no reason given';
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return [...reasons].sort(([, a], [, b]) => b - a).map(([reason, count]) => `${count} × ${reason}`);
}
