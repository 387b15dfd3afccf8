/**
 * What the machine gives: the events of a dial cycle, in the same batches and with the same durability, written to SQLite by the shortest way there is
 * (one table, no index beside the key, no rules, no reader), and read back with JSON.parse. No engine on SQLite can be faster.
 */

import { createHash } from 'node:crypto';
import path from 'node:path';
import Database from 'better-sqlite3';
import { cpuSeconds } from './usage.mjs';
import { removeFolder, temporaryFolder } from './temporary.mjs';
import { attemptsOf, targetOf, TRIES } from './work.mjs';

const BATCH = 100;
const OUTDIAL = 'ba120b72-1c0b-5430-a11e-66c789444988';
const CUSTOMER = '744e0cf8-349f-8d8f-9ab6-374812a51670';

/** @returns {{ insert: number, scan: number, insertCpu: number }} events a second; of the processor's time, too */
export function measureFloor(targets) {
  const directory = temporaryFolder('floor');
  try {
    const db = new Database(path.join(directory, 'floor.db'));
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('wal_autocheckpoint = 4000');
    db.exec(
      'CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT, revision INTEGER, id TEXT, type TEXT, data TEXT, metadata TEXT)',
    );
    const floor = { ...insert(db, targets), scan: scan(db) };
    db.close();
    return floor;
  } finally {
    removeFolder(directory);
  }
}

function insert(db, targets) {
  const statement = db.prepare('INSERT INTO events (stream, revision, id, type, data, metadata) VALUES (?, ?, ?, ?, ?, ?)');
  const write = db.transaction((rows) => rows.forEach((row) => statement.run(row)));
  let events = 0;
  let milliseconds = 0;
  let cpu = 0;
  for (const rows of batches(targets)) {
    const start = performance.now();
    const before = process.cpuUsage();
    write(rows);
    milliseconds += performance.now() - start;
    cpu += cpuSeconds(before);
    events += rows.length;
  }
  return { insert: (1000 * events) / milliseconds, insertCpu: events / cpu };
}

function scan(db) {
  const start = performance.now();
  let events = 0;
  let done = 0;
  for (const { data, metadata } of db.prepare('SELECT * FROM events ORDER BY position').iterate()) {
    if (JSON.parse(data).change.after.status === 'done' && JSON.parse(metadata).v === 1) done++;
    events++;
  }
  const seconds = (performance.now() - start) / 1000;
  // Also keeps the parsing from being optimised away.
  if (done === 0) throw new Error('the floor has no ended target');
  return events / seconds;
}

/** A batch of starts, then the batch of their ends, and so on until all targets are done: as dialers append them. */
function* batches(targets) {
  let queue = Array.from({ length: targets }, (_, i) => ({ i, outcomes: [...attemptsOf(i)], k: 0 }));
  while (queue.length > 0) {
    for (let first = 0; first < queue.length; first += BATCH) {
      const claimed = queue.slice(first, first + BATCH);
      yield claimed.map(started);
      yield claimed.map(ended);
      claimed.forEach((target) => target.k++);
    }
    queue = queue.filter(({ outcomes, k }) => k < outcomes.length);
  }
}

function uuid(...parts) {
  const hex = createHash('md5').update(parts.join(' ')).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

const tm = (i, k) => 1_795_478_397_000_000 + 1000 * i + k;
const tries = (k) => [Math.min(k, TRIES), Math.max(k - TRIES, 0), 0, 0, 0];
const row = (i, revision, type, data, time) => [
  `outdialtarget-${OUTDIAL}.${uuid('target', i)}`,
  revision,
  uuid(type, i, revision),
  type,
  JSON.stringify({ outdial_id: OUTDIAL, target_id: uuid('target', i), ...data }),
  JSON.stringify({
    tm: time,
    v: 1,
    lane: 0,
    customer_id: CUSTOMER,
    actor: CUSTOMER,
    $correlationId: uuid('a', time),
    $causationId: uuid('b', time),
  }),
];

function started({ i, k }) {
  const index = k < TRIES ? 0 : 1;
  const time = tm(i, 2 * k);
  const attempt = {
    attempt_id: uuid('attempt', i, k),
    destination_index: index,
    destination: targetOf(i)[`destination_${index}`],
    try_count: (k % TRIES) + 1,
    try_count_max: TRIES,
    dialer: 'dialer-1',
    tm_start: time,
    tm_expire: time + 90_000_000,
  };
  const policy = { source: null, dial_timeout: 60_000, try_interval: 0, max_try_counts: [TRIES, TRIES, TRIES, TRIES, TRIES], retry: {} };
  const change = {
    before: { status: 'idle', try_counts: tries(k), tm_next_try: time - 1000 },
    after: { status: 'progressing', try_counts: tries(k + 1) },
  };
  return row(i, 2 * k + 1, 'DialAttemptStarted', { attempt, policy, change }, time);
}

function ended({ i, outcomes, k }) {
  const time = tm(i, 2 * k + 1);
  const outcome = outcomes[k];
  const end = { status: 'done', done_reason: outcome === 'answered' ? 'answered' : 'exhausted', try_counts: tries(k + 1) };
  const change = {
    before: { status: 'progressing', try_counts: tries(k + 1) },
    after: k + 1 === outcomes.length ? end : { status: 'idle', try_counts: tries(k + 1), tm_next_try: time },
  };
  const data = { attempt_id: uuid('attempt', i, k), destination_index: k < TRIES ? 0 : 1, outcome, tm_end: time, change };
  return row(i, 2 * k + 2, 'OutcomeRecorded', data, time);
}
