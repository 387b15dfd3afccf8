import { JwtService } from '@nestjs/jwt';
import { Command } from 'commander';
import { decodeEvent } from '#dialing';
import { logSource, ordersElsewhere, readModelDirectory } from '#application';
import type { ProjectionOrders } from '#application';
import { lockDirectory, openLogReader, openMongoStateStore } from '#event-store';
import { ADMIN_AUDIENCE, announcedService, ConfigurationError, readConfiguration, SystemClock, systemRandomness } from '#platform';
import type { Configuration } from '#platform';
import { openGenerations, READ_MODELS, startProjector } from '#read-models';
import type { GenerationStatus } from '#read-models';
import { verifyRecord, writeHeads } from './audit';
import { backUp } from './backup';
import { copyDeployment, copyReport } from './copy';
import type { CopyOrder } from './copy';

/** The orders of `npm run admin -- projections …`, given to the running service, or to the stores themselves when there is none. */
type ProjectionsAdmin = ProjectionOrders & { close(): Promise<void> };

/** A running service holds its stores alone: it is asked over HTTP, with a token that only who can read its secrets can make. */
function overHttp(url: string, config: Configuration): ProjectionsAdmin {
  const jwt = new JwtService({ secret: config.jwtSecret, signOptions: { algorithm: 'HS256', expiresIn: 60, audience: ADMIN_AUDIENCE } });
  const ask = async <T>(method: string, route: string): Promise<T> => {
    const response = await fetch(`${url}/admin/projections${route}`, { method, headers: { authorization: `Bearer ${jwt.sign({})}` } });
    const body = (await response.json()) as T & { readonly error?: { readonly message?: string } };
    if (!response.ok) throw new Error(body.error?.message ?? `the service answered ${response.status}`);
    return body;
  };
  return {
    status: () => ask('GET', ''),
    rebuild: async () => (await ask<{ readonly name: string }>('POST', '/rebuild')).name,
    promote: async (name) => void (await ask('POST', `/${encodeURIComponent(name)}/promote`)),
    retry: () => ask('POST', '/retry'),
    close: () => Promise.resolve(),
  };
}

/** No service runs: this process takes the stores' lock and does the work itself. */
async function onTheStores(config: Configuration): Promise<ProjectionsAdmin> {
  const source = logSource(config);
  const log = await openLogReader(source);
  const directory = readModelDirectory(source, config.dataDir, log.logId);
  const lock = lockDirectory(directory);
  const { mongoUrl } = config;
  const generations = await openGenerations(
    mongoUrl === undefined ? { kind: 'sqlite', directory } : { kind: 'mongodb', url: mongoUrl, logId: log.logId },
    READ_MODELS,
  );
  const projector = startProjector({ log, generations, projections: READ_MODELS, decode: decodeEvent, onProgress: () => undefined });
  return {
    status: () => projector.status(),
    rebuild: () => projector.rebuild(),
    promote: (name) => projector.promote(name),
    retry: () => projector.retry(),
    async close() {
      await projector.stop();
      await generations.close();
      await log.close();
      lock.release();
    },
  };
}

/** Several processes share the stores: the worker that builds the read models is told through them, wherever it runs. */
async function throughTheStores(config: Configuration, mongoUrl: string): Promise<ProjectionsAdmin> {
  const log = await openLogReader(logSource(config));
  const { logId } = log;
  await log.close();
  const state = await openMongoStateStore({ url: mongoUrl, logId });
  const orders = ordersElsewhere({ state, clock: new SystemClock(), scheduler: KEPT_ALIVE, randomness: systemRandomness });
  return { ...orders, close: () => state.close() };
}

/** The service's own timers let a process end; this one waits for its answer. */
const KEPT_ALIVE = {
  after(milliseconds: number, run: () => void): () => void {
    const timer = setTimeout(run, milliseconds);
    return () => {
      clearTimeout(timer);
    };
  },
};

async function openAdmin(config: Configuration): Promise<ProjectionsAdmin> {
  if (config.eventStoreUrl !== undefined && config.mongoUrl !== undefined) return throughTheStores(config, config.mongoUrl);
  const service = announcedService(config.dataDir);
  return service && (await isAlive(service.url)) ? overHttp(service.url, config) : onTheStores(config);
}

async function isAlive(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

async function withAdmin(work: (admin: ProjectionsAdmin) => Promise<void>): Promise<void> {
  const admin = await openAdmin(readConfiguration(process.env));
  try {
    await work(admin);
  } finally {
    await admin.close();
  }
}

const line = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function describe({ name, live, position, versions, quarantined }: GenerationStatus): string {
  const models = Object.entries(versions).map(([model, version]) => `${model} v${version}`);
  return `${live ? '*' : ' '} ${name}  at ${position || 'the beginning'}  quarantined ${quarantined}  ${models.join(', ')}`;
}

const program = new Command('admin').description('Looks after a deployment. Uses DATA_DIR and the other variables of the service.');
const projections = program
  .command('projections')
  .description('The read models: folds of the event log that can be built anew at any time.');
projections
  .command('status')
  .description('generations of read models; * is the live one')
  .action(() => withAdmin(async (admin) => (await admin.status()).map(describe).forEach(line)));
projections
  .command('rebuild')
  .description('build all read models anew, beside the live ones')
  .option('--promote', 'and make them the live ones when they have caught up')
  .action(({ promote }: { readonly promote?: boolean }) =>
    withAdmin(async (admin) => {
      const name = await admin.rebuild();
      line(`building ${name}`);
      if (!promote) return;
      await admin.promote(name);
      line(`${name} is live`);
    }),
  );
projections
  .command('promote <generation>')
  .description('make a generation the live one when it has caught up; the old one is removed')
  .action((name: string) =>
    withAdmin(async (admin) => {
      await admin.promote(name);
      line(`${name} is live`);
    }),
  );
projections
  .command('retry')
  .description('fold quarantined documents again')
  .action(() =>
    withAdmin(async (admin) => {
      const left = await admin.retry();
      for (const one of left) line(JSON.stringify(one));
      line(left.length === 0 ? 'nothing is quarantined' : `${left.length} documents are still quarantined`);
    }),
  );

const audit = program.command('audit').description('The record: every event continues the one before it by its hash. See docs/audit.md.');
audit
  .command('verify')
  .description('check the chain of every stream, and name the first event of each that does not fit')
  .option('--outdial <id>', 'only this outdial’s streams')
  .option('--at <file>', 'compare with heads that were written out before: finds what was cut off')
  .action(async ({ outdial, at }: { readonly outdial?: string; readonly at?: string }) => {
    let flawed = 0;
    const asked = { ...(outdial === undefined ? {} : { outdial: outdial.toLowerCase() }), ...(at === undefined ? {} : { headsFile: at }) };
    const { streams, events, compared } = await verifyRecord(readConfiguration(process.env), asked, (flaw) => {
      flawed += 1;
      line(`${flaw.stream} event ${flaw.revision}${flaw.eventId === null ? '' : ` (${flaw.eventId})`}: ${flaw.reason}`);
    });
    const against = at === undefined ? '' : `, ${compared} heads compared`;
    line(`${events} events in ${streams} streams${against}: ${flawed === 0 ? 'the record holds' : `${flawed} streams do not hold`}`);
    if (flawed > 0) process.exitCode = 3;
  });
audit
  .command('heads')
  .description('write out where each stream ends; keep the output where this machine’s administrators cannot change it')
  .action(async () => {
    await writeHeads(readConfiguration(process.env), line);
  });

program
  .command('copy')
  .description('copy the embedded log of DATA_DIR, and its webhooks, into an EventStoreDB; see docs/moving.md')
  .requiredOption('--to <url>', 'connection string of an EventStoreDB without an Outdial log')
  .option('--state-to <url>', 'connection string of the MongoDB that will be MONGODB_URL: webhooks go there instead of staying in DATA_DIR')
  .action(async (order: CopyOrder) => {
    const config = readConfiguration(process.env);
    copyReport(await copyDeployment(config, order), order, config).forEach(line);
  });
program
  .command('backup <folder>')
  .description('copy the embedded stores into a new folder, while the service runs or not; see docs/back-up.md')
  .action(async (folder: string) => {
    const { streams, events } = await backUp(readConfiguration(process.env), folder);
    line(
      `${folder}: ${events} events in ${streams} streams, the record holds. To restore it, start the service with DATA_DIR on a copy of it.`,
    );
  });

program.parseAsync().catch((error: unknown) => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const hint = code === 'DirectoryLocked' ? ' A service that does not answer holds the stores.' : '';
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}${hint}\n`);
  process.exitCode = error instanceof ConfigurationError ? 2 : 1;
});
