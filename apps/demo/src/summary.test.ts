import type { Progress } from '#client';
import { summarise } from './summary';
import type { Imported, Run } from './summary';

const target = (done_reason: Run['targets'][number]['done_reason'], try_count_0: number): Run['targets'][number] => ({
  done_reason,
  try_count_0,
  try_count_1: 0,
  try_count_2: 0,
  try_count_3: 0,
  try_count_4: 0,
});
const imported: Imported = {
  summary: { total: 4, created: 2, duplicates: 1, invalid: 1 },
  refused: [
    { row: 3, result: 'duplicate', id: 'the first' },
    { row: 4, result: 'invalid', details: [{ field: 'destination_0.target', reason: 'must not be empty' }] },
  ],
};
const progress: Progress = {
  targets: { total: 2, idle: 0, progressing: 0, done: 2 },
  done: { answered: 1, exhausted: 1, canceled: 0 },
  attempts: { total: 4, by_outcome: { answered: 1, busy: 3, unknown: 0 }, by_destination: [4, 0, 0, 0, 0] },
  callable: 0,
  waiting: 0,
  next_callable_at: '9999-01-01 00:00:00.000000',
  penetration: 1,
  connect_rate: 0.25,
  tm: '2026-01-01 00:00:00.000000',
};
const counted = new Map([
  ['answered', 1],
  ['busy', 3],
]);
const run: Run = { rows: 4, imported, progress, counted, targets: [target('answered', 1), target('exhausted', 3)] };

test('a run in which nothing was lost adds up', () => {
  const { text, addsUp } = summarise(run);
  expect(addsUp).toBe(true);
  expect(text).toContain('1 × must not be empty');
  expect(text).not.toContain('✗');
});

test.each<[string, Partial<Run>]>([
  ['a row that is neither created nor refused', { rows: 5 }],
  ['a refusal without its reason', { imported: { ...imported, refused: [] } }],
  ['a created target that is not on the list', { progress: { ...progress, targets: { ...progress.targets, total: 1 } } }],
  ['a target that ended in no way', { progress: { ...progress, done: { ...progress.done, exhausted: 0 } } }],
  ['an attempt that no dialer made', { counted: new Map([['answered', 1]]) }],
  ['an attempt that the service forgot', { counted: new Map([...counted, ['failed', 1]]) }],
  ['an outcome that became another', { counted: new Map([['answered', 2], ['busy', 2]]) }], // prettier-ignore
  ['a target whose document says otherwise', { targets: [target('answered', 1), target('canceled', 3)] }],
  ['a try that a document lacks', { targets: [target('answered', 1), target('exhausted', 2)] }],
])('%s is seen', (_, change) => {
  const { text, addsUp } = summarise({ ...run, ...change });
  expect(addsUp).toBe(false);
  expect(text).toContain('✗ does not add up');
});
