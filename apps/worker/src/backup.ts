import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { logSource } from '#application';
import { backUpSqliteStore } from '#event-store';
import { ConfigurationError } from '#platform';
import type { Configuration } from '#platform';
import { verifyRecord } from './audit';
import type { AuditVerdict } from './audit';

/**
 * `admin backup`: a folder that a service can be started on, made while one runs. Read models are left out: they are built again. Under its name the folder stands there
 * whole and verified, or not at all. Rejects with ConfigurationError for what was asked for wrongly; docs/back-up.md says what a back-up promises.
 */
export async function backUp(config: Configuration, folder: string): Promise<AuditVerdict> {
  const source = logSource(config);
  if (source.kind !== 'sqlite') {
    throw new ConfigurationError('EVENTSTORE_URL: the log is in EventStoreDB, which has a back-up of its own; see docs/back-up.md.');
  }
  if (existsSync(folder)) throw new ConfigurationError(`${folder} is there already: name a folder that is not.`);
  if (!existsSync(path.join(source.directory, 'events.db')))
    throw new ConfigurationError(`DATA_DIR: there is no event log in ${source.directory}.`);
  const draft = `${path.resolve(folder)}.partial`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  const secrets = path.join(config.dataDir, 'secrets.json');
  if (existsSync(secrets)) copyFileSync(secrets, path.join(draft, 'secrets.json'));
  backUpSqliteStore(source.directory, path.join(draft, 'store'));
  const flaws: string[] = [];
  const verdict = await verifyRecord({ dataDir: draft, eventStoreUrl: undefined }, {}, ({ stream, revision, reason }) => {
    flaws.push(`${stream} event ${revision}: ${reason}`);
  });
  // Kept under its other name: it is as good as what it was made of.
  if (flaws[0] !== undefined) throw new Error(`The record does not hold, in ${draft} as in DATA_DIR: ${flaws[0]}`);
  renameSync(draft, path.resolve(folder));
  return verdict;
}
