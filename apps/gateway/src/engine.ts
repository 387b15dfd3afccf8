import { mkdirSync, rmSync } from 'node:fs';
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
  LeaseExpiry,
  LiveFeed,
  OUTDIAL_HANDLERS,
  OUTPLAN_HANDLERS,
  Services,
  TARGET_HANDLERS,
  WEBHOOK_HANDLERS,
  WebhookDeliveries,
} from '#application';
import type { Log, Ports, ReadinessPart, RequestContext } from '#application';
import { decideCustomer, decideDeployment, secretFingerprint, streamOf } from '#dialing';
import type { Micros } from '#dialing';
import type { Position } from '#event-store';
import { hashPassword, SystemClock, systemRandomness, systemScheduler } from '#platform';
import type { Configuration, Figures } from '#platform';
import { openSqliteReadStore, READ_MODELS } from '#read-models';
import { auditThreads } from './audit/audits';
import type { Audits } from './audit/audits';
import { Projector } from './projector';
import { openStores } from './stores';
import { webhookSender } from './webhook-sender';
import { sseWording } from './wire';

/** Read models further behind than this make /readyz say so (the API contract, Running). */
const LATE_MICROS = 10_000_000;
const PURGE_MILLIS = 10 * 60 * 1000;

/** Injects the running engine. */
export const ENGINE = Symbol('engine');

/** The running engine: stores, projector, hoppers and expiry, and the handlers that Nest dispatches to. */
export interface Engine {
  readonly ports: Ports;
  readonly providers: readonly Provider[];
  readonly idempotency: Idempotency;
  readonly projector: Projector;
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
  // The position at the moment of the oldest append that the read models lack, to tell how late they are.
  const lag = new Lag(() => clock.now());
  let projector: Projector | null = null;
  const stores = await openStores(config, {
    onAppended: () => projector?.wake(),
    onFatal: (error) => {
      // Nothing can be promised any more: a supervisor starts a new process, which finds everything that was acknowledged.
      log.error({ error }, 'the event store has failed; the service ends');
      process.exit(1);
    },
  });
  const { events, state, directory } = stores;
  const reads = openSqliteReadStore({ directory, projections: READ_MODELS });
  let services: Services | null = null;
  projector = new Projector({ source: stores.source, directory }, log, (progress, previous) => {
    if (progress.generation !== previous.generation) reads.refresh();
    lag.caughtUpTo(progress.position);
    services?.hoppers.caughtUpTo(progress.position);
  });
  const ports: Ports = {
    events,
    state,
    reads,
    projections: projector,
    clock,
    scheduler: systemScheduler,
    randomness: systemRandomness,
    idSecret: config.idSecret,
    clockSkew: 0,
    log,
  };
  services = new Services(ports);
  services.streams.onCommitted((committed) => {
    const last = committed.at(-1);
    if (last) lag.appended(last.position);
  });
  const expiry = new LeaseExpiry(services);
  const idempotency = new Idempotency(state, clock, systemScheduler);
  await openDeployment(services);
  await catchUp(projector, await events.head(), log);
  const send = webhookSender({ logId: events.logId, clock, allowPrivate: config.webhooksMayBePrivate });
  const webhooks = new WebhookDeliveries({ ...ports, send });
  await expiry.start();
  await webhooks.start();
  const cancelPurge = every(PURGE_MILLIS, () => {
    idempotency.purge().catch((error: unknown) => {
      log.warn({ error }, 'expired idempotency records could not be removed');
    });
  });
  const running = { services, projector };
  const audits = auditThreads({ source: stores.source, directory });
  const feed = new LiveFeed(events, systemScheduler, sseWording(events.logId), log);
  return {
    ports,
    idempotency,
    projector,
    audits,
    feed,
    spoolDirectory: emptied(path.join(config.dataDir, 'spool')),
    webhooksMayBePrivate: config.webhooksMayBePrivate,
    providers: [
      { provide: Services, useValue: services },
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
    readiness: () => readiness(running, lag),
    bootstrapAdmin: (username, password) => bootstrapAdmin(running.services, username, password),
    figures: () => ({ projectionLagSeconds: lag.micros() / 1_000_000, streamListeners: feed.listeners, ...webhooks.figures() }),
    async stop() {
      cancelPurge();
      feed.stop();
      await webhooks.stop();
      send.close();
      await audits.stop();
      await expiry.stop();
      await running.projector.stop();
      await reads.close();
      await stores.close();
    },
  };
}

/** A process that was killed may have left something behind. */
function emptied(directory: string): string {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** How long ago the oldest append was that the read models have not folded. */
class Lag {
  private pending: { readonly position: Position; readonly since: Micros }[] = [];

  constructor(private readonly now: () => Micros) {}

  appended(position: Position): void {
    const now = this.now();
    const newest = this.pending.at(-1);
    // One note a tenth of a second is enough to say how late it is.
    if (!newest || now - newest.since > 100_000) this.pending.push({ position, since: now });
  }

  caughtUpTo(position: Position): void {
    const behind = this.pending.findIndex((one) => one.position > position);
    this.pending = behind < 0 ? [] : this.pending.slice(behind);
  }

  micros(): Micros {
    const oldest = this.pending[0];
    return oldest ? this.now() - oldest.since : 0;
  }
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

const systemContext = (services: Services, customerId: string): RequestContext => {
  const id = services.ports.randomness.uuid();
  return { customerId, admin: true, actor: 'system', requestId: id, commandId: id };
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

/** Read models may be behind after a crash, or missing after an upgrade: a second usually, a minute a few million events. */
async function catchUp(projector: Projector, head: Position, log: Log): Promise<void> {
  for (let waited = 0; !(await projector.reached(head, 1000)); waited += 1) {
    if (projector.stopped !== null) throw new Error(`the read models cannot be built: ${projector.stopped}`);
    if (waited % 5 === 1) log.info({ at: projector.position, head }, 'the read models are catching up with the event log');
  }
}

async function readiness(
  { services, projector }: { services: Services; projector: Projector },
  lag: Lag,
): Promise<Record<string, ReadinessPart>> {
  const reach = async (probe: () => Promise<unknown>): Promise<ReadinessPart> => {
    try {
      await probe();
      return { ok: true, detail: 'reachable' };
    } catch (error) {
      return { ok: false, detail: error instanceof Error ? error.message : String(error) };
    }
  };
  const behind = lag.micros();
  const { quarantined } = projector;
  const seconds = (behind / 1_000_000).toFixed(1);
  const projections: ReadinessPart =
    projector.stopped !== null
      ? { ok: false, detail: `stopped: ${projector.stopped}` }
      : {
          ok: behind < LATE_MICROS && quarantined === 0,
          detail: quarantined > 0 ? `${quarantined} documents are quarantined` : `${seconds} s behind`,
        };
  return {
    event_store: await reach(() => services.ports.events.head()),
    read_store: await reach(() => services.ports.reads.position()),
    projections,
  };
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
