import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Provider } from '@nestjs/common';
import {
  ACCESS_HANDLERS,
  CUSTOMER,
  customerIdOf,
  DEPLOYMENT,
  DIALING_HANDLERS,
  EXPORT_HANDLERS,
  Idempotency,
  IMPORT_HANDLERS,
  LiveFeed,
  OUTDIAL_HANDLERS,
  OUTPLAN_HANDLERS,
  Services,
  TARGET_HANDLERS,
  WEBHOOK_HANDLERS,
  WebhookDeliveries,
} from '#application';
import type { Log, Ports, ProjectionOrders, ReadinessPart, RequestContext } from '#application';
import { decideCustomer, decideDeployment, secretFingerprint, streamOf } from '#dialing';
import { lockDirectory } from '#event-store';
import type { Position } from '#event-store';
import { hashPassword, SystemClock, systemRandomness, systemScheduler } from '#platform';
import type { Configuration, Figures } from '#platform';
import { openReadStore, READ_MODELS } from '#read-models';
import { auditThreads } from '../audit/audits';
import type { Audits } from '../audit/audits';
import type { Background } from './background';
import { OwnBackground } from './own-background';
import { openStores } from './stores';
import { webhookSender } from './webhook-sender';
import { sseWording } from '../wire';
import { WorkersBackground } from './workers-background';

const PURGE_MILLIS = 10 * 60 * 1000;

/** Injects the running engine. */
export const ENGINE = Symbol('engine');

/** The running engine: stores, projector, hoppers and expiry, and the handlers that Nest dispatches to. */
export interface Engine {
  readonly ports: Ports;
  readonly providers: readonly Provider[];
  readonly idempotency: Idempotency;
  /** What the admin command line asks about the read models. */
  readonly projections: ProjectionOrders;
  /** Live changes of targets. */
  readonly feed: LiveFeed;
  /** WEBHOOK_ALLOW_PRIVATE. */
  readonly webhooksMayBePrivate: boolean;
  /** Reports by replay. */
  readonly audits: Audits;
  /** For what is too much to hold in memory for a moment. Nothing in it outlives the process. */
  readonly spoolDirectory: string;
  readiness(): Promise<Readonly<Record<string, ReadinessPart>>>;
  /** Makes the first user when there is none; with a password that was given, sets it when it is not that user's. */
  bootstrapAdmin(username: string, password: string | undefined): Promise<{ readonly generatedPassword?: string }>;
  /** Figures for /metrics. */
  figures(): Figures;
  stop(): Promise<void>;
}

/** Opens the stores that the configuration names and brings the read models up to date before anything is served. */
export async function startEngine(config: Configuration, log: Log): Promise<Engine> {
  const clock = new SystemClock();
  let own: OwnBackground | null = null;
  const stores = await openStores(config, {
    onAppended: () => own?.wake(),
    onFatal: (error) => {
      // Nothing can be promised any more: a supervisor starts a new process, which finds everything that was acknowledged.
      log.error({ error }, 'the event store has failed; the service ends');
      process.exit(1);
    },
  });
  const { events, state, source, models, shared } = stores;
  // The stores are shared, DATA_DIR is not: what is spooled there is this gateway's alone.
  const lock = shared ? lockDirectory(config.dataDir) : null;
  const reads = await openReadStore(models, READ_MODELS);
  const basic = {
    events,
    state,
    reads,
    clock,
    scheduler: systemScheduler,
    randomness: systemRandomness,
    idSecret: config.idSecret,
    clockSkew: config.clockSkew,
    log,
  };
  let services: Services | null = null;
  const onProgress = (position: Position): void => services?.hoppers.caughtUpTo(position);
  const beside: Background = shared
    ? new WorkersBackground(basic, reads, processName('gateway'), onProgress, () => services?.hoppers.reshare())
    : (own = new OwnBackground({ source, models, shared }, clock, log, (position, anew) => {
        if (anew) void reads.refresh();
        onProgress(position);
      }));
  const ports: Ports = { ...basic, projections: beside.projections };
  const running = (services = new Services(ports, beside.sharing));
  running.streams.onCommitted((committed) => {
    const last = committed.at(-1);
    if (last) beside.appended(last.position);
  });
  const idempotency = new Idempotency(state, clock, systemScheduler);
  const send = webhookSender({ logId: events.logId, clock, allowPrivate: config.webhooksMayBePrivate });
  const webhooks = new WebhookDeliveries({ ...ports, send });
  await openDeployment(running);
  await beside.start(running, webhooks);
  const cancelPurge = every(PURGE_MILLIS, () => {
    idempotency.purge().catch((error: unknown) => {
      log.warn({ error }, 'expired idempotency records could not be removed');
    });
  });
  const audits = auditThreads({ source, models });
  const feed = new LiveFeed(events, systemScheduler, sseWording(events.logId), log);
  return {
    ports,
    idempotency,
    projections: beside.orders,
    audits,
    feed,
    spoolDirectory: emptied(path.join(config.dataDir, 'spool')),
    webhooksMayBePrivate: config.webhooksMayBePrivate,
    providers: [
      { provide: Services, useValue: running },
      { provide: WebhookDeliveries, useValue: webhooks },
      ...OUTDIAL_HANDLERS,
      ...OUTPLAN_HANDLERS,
      ...TARGET_HANDLERS,
      ...IMPORT_HANDLERS,
      ...EXPORT_HANDLERS,
      ...DIALING_HANDLERS,
      ...ACCESS_HANDLERS,
      ...WEBHOOK_HANDLERS,
    ],
    readiness: async () => ({ ...(await storesReadiness(ports)), ...(await beside.readiness()) }),
    bootstrapAdmin: (username, password) => bootstrapAdmin(running, username, password),
    figures: () => ({ ...running.streams.counts, ...beside.figures(), streamListeners: feed.listeners }),
    async stop() {
      cancelPurge();
      running.doubtful.stop();
      feed.stop();
      await beside.stop();
      send.close();
      await audits.stop();
      await reads.close();
      await stores.close();
      lock?.release();
    },
  };
}

/** A process that was killed may have left something behind. */
function emptied(directory: string): string {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  return directory;
}

function every(milliseconds: number, run: () => void): () => void {
  let cancel = (): void => undefined;
  const again = (): void => {
    cancel = systemScheduler.after(milliseconds, () => {
      run();
      again();
    });
  };
  again();
  return () => {
    cancel();
  };
}

/** For those who look after several processes: where it runs, and never the name of another. */
export const processName = (kind: string): string => `${kind}-${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;

const systemContext = (services: Services, customerId: string): RequestContext => {
  const id = services.ports.randomness.uuid();
  return { customerId, admin: true, actor: 'system', requestId: id, commandId: id, fresh: true };
};

/** The log belongs to one ID_SECRET: with another, every target would be added a second time under another id. */
async function openDeployment(services: Services): Promise<void> {
  const fingerprint = secretFingerprint(services.ports.idSecret);
  await services.streams.runOne(
    {
      stream: streamOf.deployment(),
      kind: DEPLOYMENT,
      decide: ({ state }) => ({
        events: decideDeployment({ type: 'OpenDeployment', now: services.ports.clock.now(), secretFingerprint: fingerprint }, state),
        result: () => null,
      }),
    },
    { context: systemContext(services, '') },
  );
}

/** Whether the stores can be reached now. */
export async function storesReadiness({ events, reads }: Pick<Ports, 'events' | 'reads'>): Promise<Record<string, ReadinessPart>> {
  const reach = async (probe: () => Promise<unknown>): Promise<ReadinessPart> => {
    try {
      await probe();
      return { ok: true, detail: 'reachable' };
    } catch (error) {
      return { ok: false, detail: error instanceof Error ? error.message : String(error) };
    }
  };
  const [event_store, read_store] = await Promise.all([reach(() => events.head()), reach(() => reads.position())]);
  return { event_store, read_store };
}

async function bootstrapAdmin(
  services: Services,
  username: string,
  given: string | undefined,
): Promise<{ readonly generatedPassword?: string }> {
  const customerId = customerIdOf(services, username);
  const stream = streamOf.customer(customerId);
  const { state } = await services.streams.load(CUSTOMER, stream);
  if (state) return {};
  const password = given ?? services.ports.randomness.token().slice(0, 20);
  const passwordHash = await hashPassword(password);
  const now = services.ports.clock.now();
  await services.streams.runOne(
    {
      stream,
      kind: CUSTOMER,
      decide: (known) => ({
        events: known.state
          ? []
          : decideCustomer(
              {
                type: 'CreateCustomer',
                now,
                customerId,
                name: username,
                detail: 'The first user: administers the service.',
                username,
                passwordHash,
                admin: true,
              },
              null,
            ),
        result: () => null,
      }),
    },
    { context: systemContext(services, customerId) },
  );
  return given === undefined ? { generatedPassword: password } : {};
}
