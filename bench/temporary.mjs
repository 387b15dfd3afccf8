import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const folders = new Set();

process.once('exit', () => folders.forEach(removeFolder));

/** An empty folder where the data goes. It is gone when this process is, however that ends; who is done with it earlier removes it. */
export function temporaryFolder(name) {
  const folder = mkdtempSync(path.join(process.env.BENCH_DIR ?? tmpdir(), `outdial-${name}-`));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder) {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
