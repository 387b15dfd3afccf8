import { Idempotency, LeaseExpiry, OWNED, Ownership, Services, takeOrders, WebhookDeliveries } from '#application';
import type { Log, OwnedWork, Ports, ProjectionProgress, ReadinessPart } from '#application';
import { START } from '#event-store';
import { ConfigurationError, SystemClock, systemRandomness, systemScheduler } from '#platform';
import type { Configuration, Figures } from '#platform';
import { openReadStore, READ_MODELS, versionsOf } from '#read-models';
import { projectionsPart } from '../../gateway/src/engine/background';
import { processName, storesReadiness } from '../../gateway/src/engine/engine';
import { Projector } from '../../gateway/src/engine/projector';
import { openStores } from '../../gateway/src/engine/stores';
import type { Stores } from '../../gateway/src/engine/stores';
import { webhookSender } from '../../gateway/src/engine/webhook-sender';
import type { ProjectionsReport } from '../../gateway/src/engine/workers-background';

/** One worker among several: competes for each kind of work that one process does at a time. */
export interface Worker {
  readonly name: string;
  readonly logId: string;
  readiness(): Promise<Readonly<Record<string, ReadinessPart>>>;
  figures(): Figures;
  /** Gives back what it owns, so that another goes on at once. */
  stop(): Promise<void>;
}

const LOOK_MILLIS = 1000;

/** Opens the stores that the configuration names, which must be shared ones, and begins to compete. */
export async function startWorker(config: Configuration, log: Log): Promise<Worker> {
  // Before anything is opened: without both, a gateway holds the stores and does this work itself.
  for (const [name, url] of [
    ['EVENTSTORE_URL', config.eventStoreUrl],
    ['MONGODB_URL', config.mongoUrl],
  ] as const) {
    if (url === undefined)
      throw new ConfigurationError(`${name}: a worker needs it; without stores elsewhere the gateway does its work itself.`);
  }
  const stores = await openStores(config, {
    onAppended: () => undefined,
    onFatal: (error) => {
      log.error({ error }, 'a store has failed; the worker ends');
      process.exit(1);
    },
  });
  const { events, state, models } = stores;
  const name = processName('worker');
  const reads = await openReadStore(models, READ_MODELS);
  const ports: Ports = {
    events,
    state,
    reads,
    projections: NOBODY_WAITS,
    clock: new SystemClock(),
    scheduler: systemScheduler,
    randomness: systemRandomness,
    idSecret: config.idSecret,
    clockSkew: config.clockSkew,
    log,
  };
  const projections = new OwnedProjections(stores, log);
  const webhooks = ownedWebhooks(ports, config);
  const works = [projections, ownedExpiry(ports), webhooks.work];
  const owned = works.map((work) => new Ownership({ state, scheduler: systemScheduler, log }, name, work));
  projections.resign = (reason) => void owned[0]?.resign(reason);
  for (const one of owned) one.start();
  const idempotency = new Idempotency(state, ports.clock, systemScheduler);
  const look = setInterval(() => {
    // Whatever fails here is looked at again a second later.
    void Promise.all([reads.refresh(), projections.takeOrders(ports)]).catch(() => undefined);
  }, LOOK_MILLIS);
  const purge = setInterval(() => void idempotency.purge().catch(() => undefined), 10 * 60 * LOOK_MILLIS);

  return {
    name,
    logId: events.logId,
    readiness: async () => ({
      ...(await storesReadiness(ports)),
      ...(projections.running ? { projections: projections.readiness() } : {}),
      worker: { ok: true, detail: workOf(owned) },
    }),
    figures: () => ({
      projectionLagSeconds: projections.report().behindMicros / 1_000_000,
      ...webhooks.deliveries.figures(),
      ...Object.fromEntries(owned.map((one, at) => [`owns${KINDS[at] ?? ''}`, one.mine ? 1 : 0])),
    }),
    async stop() {
      clearInterval(look);
      clearInterval(purge);
      await Promise.all(owned.map((one) => one.stop()));
      webhooks.close();
      await reads.close();
      await stores.close();
    },
  };
}

const KINDS = ['Projections', 'Expiry', 'Webhooks'];

const workOf = (owned: readonly Ownership[]): string => {
  const mine = owned.filter((one) => one.mine).map((one) => `${one.name} (term ${one.term})`);
  return mine.length === 0 ? 'waits to take over' : `does ${mine.join(', ')}`;
};

/** A worker asks nothing that would have to wait for its own writes. */
const NOBODY_WAITS: ProjectionProgress = { position: START, reached: () => Promise.resolve(true) };

function ownedExpiry(ports: Ports): OwnedWork {
  let expiry: LeaseExpiry | null = null;
  return {
    name: OWNED.expiry,
    async start() {
      // Services of its own: what an earlier term remembered of streams is not to be trusted.
      expiry = new LeaseExpiry(new Services(ports), true);
      await expiry.start();
    },
    async stop() {
      await expiry?.stop();
      expiry = null;
    },
  };
}

function ownedWebhooks(
  ports: Ports,
  { webhooksMayBePrivate }: Configuration,
): { readonly work: OwnedWork; readonly deliveries: WebhookDeliveries; close(): void } {
  const send = webhookSender({ logId: ports.events.logId, clock: ports.clock, allowPrivate: webhooksMayBePrivate });
  const deliveries = new WebhookDeliveries({ ...ports, send });
  return {
    work: { name: OWNED.webhooks, start: () => deliveries.start({ watches: true }), stop: () => deliveries.stop() },
    deliveries,
    close: () => send.close(),
  };
}

/** The read models, folded on a thread while this worker owns them. */
class OwnedProjections implements OwnedWork {
  readonly name = OWNED.projections(versionsOf(READ_MODELS));
  resign: (reason: string) => void = () => undefined;
  private projector: Projector | null = null;
  private lateSince: number | null = null;

  constructor(
    private readonly stores: Stores,
    private readonly log: Log,
  ) {}

  get running(): boolean {
    return this.projector !== null;
  }

  async start(): Promise<void> {
    const { source, models, shared } = this.stores;
    this.lateSince = performance.now();
    const projector = new Projector({ source, models, shared }, this.log, ({ caughtUp }) => {
      if (caughtUp) this.lateSince = null;
      else this.lateSince ??= performance.now();
    });
    projector.onStopped = (reason) => this.resign(reason);
    this.projector = projector;
  }

  async stop(): Promise<void> {
    const { projector } = this;
    this.projector = null;
    await projector?.stop();
  }

  report(): ProjectionsReport {
    return {
      versions: versionsOf(READ_MODELS),
      behindMicros: this.lateSince === null ? 0 : Math.round((performance.now() - this.lateSince) * 1000),
      quarantined: this.projector?.quarantined ?? 0,
      stopped: this.projector?.stopped ?? null,
    };
  }

  readiness(): ReadinessPart {
    const { behindMicros, quarantined, stopped } = this.report();
    return projectionsPart({ behindMicros, quarantined, stopped });
  }

  async takeOrders({ state }: Ports): Promise<void> {
    if (this.projector !== null) await takeOrders(state, this.projector);
  }
}
