import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Audience of the tokens of the admin command line: no user's token passes for one. */
export const ADMIN_AUDIENCE = 'outdial-admin';

/** Where a running service says how it is reached. */
export const serviceFile = (dataDir: string): string => path.join(dataDir, 'gateway.json');

/** The running service of a data directory, as it announced itself; null when there is none. The process may have died since. */
export function announcedService(dataDir: string): { readonly pid: number; readonly url: string } | null {
  try {
    const { pid, url } = JSON.parse(readFileSync(serviceFile(dataDir), 'utf8')) as { readonly pid?: unknown; readonly url?: unknown };
    return typeof pid === 'number' && typeof url === 'string' ? { pid, url } : null;
  } catch {
    return null;
  }
}
