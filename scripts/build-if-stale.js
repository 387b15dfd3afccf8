'use strict';

/**
 * Builds `dist` when it is missing or older than what it is made of, so that `npm start`, `npm test` and their kin can be typed straight after a
 * checkout or an edit. Plain JavaScript: it must run before anything is compiled.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const dist = path.join(root, 'dist');
/** Its modification time is the time at which the last build that succeeded was started. */
const stamp = path.join(dist, '.built');
const lock = path.join(dist, '.building');
const settings = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'nest-cli.json'];
const sources = ['apps', 'libs', 'scripts', ...settings];

/** Folders count too: deleting or renaming a file changes nothing else. */
function newestChange(entry) {
  const stat = fs.statSync(entry, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return fs.readdirSync(entry).reduce((newest, name) => Math.max(newest, newestChange(path.join(entry, name))), stat.mtimeMs);
}

function haveChanged(entries) {
  const built = fs.statSync(stamp, { throwIfNoEntry: false });
  return !built || entries.some((entry) => newestChange(path.join(root, entry)) > built.mtimeMs);
}

const isStale = () => haveChanged(sources);

/** An incremental build looks at sources only: it would keep what other settings, or sources that are gone, have left. */
function clear() {
  for (const name of fs.readdirSync(dist)) {
    if (path.join(dist, name) !== lock) fs.rmSync(path.join(dist, name), { recursive: true, force: true });
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function tryLock() {
  fs.mkdirSync(dist, { recursive: true });
  try {
    fs.writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const owner = Number(fs.readFileSync(lock, 'utf8'));
  // A build that was killed leaves its lock behind; an empty file is one that is being written.
  if (owner > 0 && !isRunning(owner)) fs.rmSync(lock, { force: true });
  return false;
}

function build() {
  const started = new Date();
  process.stderr.write('building…\n');
  if (haveChanged(settings)) clear();
  const nest = require.resolve('@nestjs/cli/bin/nest.js', { paths: [root] });
  const result = spawnSync(process.execPath, [nest, 'build'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error('the build failed, see above');
  fs.writeFileSync(stamp, '');
  fs.utimesSync(stamp, started, started);
}

/** Waits for a build that another process has under way. Throws when the build fails. */
function buildIfStale() {
  while (isStale()) {
    if (!tryLock()) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      continue;
    }
    try {
      if (isStale()) build();
      return;
    } finally {
      fs.rmSync(lock, { force: true });
    }
  }
}

/** Builds if need be, then hands this process over to a built file, as if it had been started with `node <entry>`. */
function runBuilt(entry) {
  try {
    buildIfStale();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
  process.argv[1] = path.join(dist, entry);
  require('node:module').runMain();
}

module.exports = { buildIfStale, runBuilt };
