import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Spool } from './spool';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'outdial-spool-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const pieces = (count: number): readonly Buffer[] => Array.from({ length: count }, (_, n) => randomBytes(1 + ((n * 7919) % 60_000)));

test('gives everything in its order, though nobody reads while it is added', async () => {
  const spool = new Spool(directory);
  const given = pieces(200);
  for (const piece of given) await spool.add(piece);
  spool.end();
  expect(spool.readableLength).toBeLessThan(300_000);
  expect((await buffer(spool)).equals(Buffer.concat(given))).toBe(true);
});

test('gives everything in its order to a reader that is now faster, now slower', async () => {
  const spool = new Spool(directory);
  const given = pieces(300);
  const read: Buffer[] = [];
  const reading = (async () => {
    for await (const piece of spool) {
      read.push(piece as Buffer);
      if (read.length % 20 === 0) await sleep(10);
    }
  })();
  for (const [n, piece] of given.entries()) {
    await spool.add(piece);
    if (n % 50 === 0) await sleep(20);
  }
  spool.end();
  await reading;
  expect(Buffer.concat(read).equals(Buffer.concat(given))).toBe(true);
});

test('of nothing ends at once', async () => {
  const spool = new Spool(directory);
  spool.end();
  expect(await buffer(spool)).toHaveLength(0);
});

test('leaves no file behind, and drops what comes after its reader has gone', async () => {
  const spool = new Spool(directory);
  for (const piece of pieces(20)) await spool.add(piece);
  expect(await readdir(directory)).toEqual([]);
  spool.destroy();
  await expect(spool.add(Buffer.from('more'))).resolves.toBeUndefined();
  spool.end();
  expect(spool.destroyed).toBe(true);
});
