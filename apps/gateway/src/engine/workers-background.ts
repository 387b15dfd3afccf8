import { ordersElsewhere, OWNED, Presence } from '#application';
import type { OwnerRecord, Ports, ProjectionOrders, ProjectionProgress, ReadinessPart, Sharing } from '#application';
import { START } from '#event-store';
import type { Position } from '#event-store';
import type { Figures } from '#platform';
import { READ_MODELS, versionsOf } from '#read-models';
import type { OpenedReads } from '#read-models';
import { Arrivals } from './arrivals';
import { projectionsPart } from './background';
import type { Background } from './background';
import { Lag } from './lag';

/** How often the read models' position is asked for: while somebody waits for it, and else. */
const EAGER_MILLIS = 15;
const CALM_MILLIS = 250;

/** What a worker says of the read models that it builds. */
export interface ProjectionsReport {
  /** Of the models: what is built is not removed by workers of another release. */
  readonly versions: Readonly<Record<string, number>>;
  readonly behindMicros: number;
  readonly quarantined: number;
  readonly stopped: string | null;
}

type FollowerPorts = Omit<Ports, 'projections'>;

/** The work beside requests, done by workers: a gateway among others follows it from outside. */
export class WorkersBackground implements Background {
  readonly projections: ProjectionProgress;
  readonly orders: ProjectionOrders;
  readonly sharing: Sharing;
  private readonly presence: Presence;
  private readonly follower: ReadModelFollower;
  private readonly lag: Lag;
  /** Where the log ended when this gateway began: until then it would answer from half a list. */
  private begun: Position = START;

  constructor(
    private readonly ports: FollowerPorts,
    reads: OpenedReads,
    me: string,
    onProgress: (position: Position) => void,
    onShare: () => void,
  ) {
    this.lag = new Lag(() => ports.clock.now());
    this.orders = ordersElsewhere(ports);
    this.presence = new Presence(
      { ...ports, now: () => Math.floor(ports.clock.now() / 1000) },
      { id: me, versions: versionsOf(READ_MODELS) },
      onShare,
    );
    this.follower = new ReadModelFollower(
      reads,
      () => this.lag.any,
      ports.log,
      (position) => {
        this.lag.caughtUpTo(position);
        onProgress(position);
      },
    );
    this.projections = this.follower;
    this.sharing = {
      own: () => this.presence.share.own,
      monotonic: () => performance.now(),
    };
  }

  async start(): Promise<void> {
    this.begun = await this.ports.events.head();
    await this.presence.start();
    this.follower.start();
  }

  appended(position: Position): void {
    this.lag.appended(position);
  }

  async readiness(): Promise<Readonly<Record<string, ReadinessPart>>> {
    const { owners, gateways } = this.presence;
    return {
      projections: this.projectionsPart(owners.get(OWNED.projections(versionsOf(READ_MODELS)))),
      workers: workersPart(owners),
      gateways: { ok: true, detail: `${gateways.length} at work` },
    };
  }

  figures(): Figures {
    const { owners, gateways } = this.presence;
    const missing = OWNED.all(versionsOf(READ_MODELS)).filter((name) => !owners.has(name)).length;
    return { projectionLagSeconds: this.lag.micros() / 1_000_000, gateways: gateways.length, workWithoutOwner: missing };
  }

  async stop(): Promise<void> {
    await this.presence.stop();
    await this.follower.stop();
  }

  private projectionsPart(owner: OwnerRecord | undefined): ReadinessPart {
    const { position } = this.follower;
    const report = (owner?.report ?? null) as ProjectionsReport | null;
    if (position < this.begun)
      return { ok: false, detail: `catching up: at ${position === START ? 'the beginning' : position} of ${this.begun}` };
    return projectionsPart({
      stopped: report?.stopped ?? null,
      quarantined: report?.quarantined ?? 0,
      behindMicros: Math.max(this.lag.micros(), report?.behindMicros ?? 0),
    });
  }
}

function workersPart(owners: ReadonlyMap<string, OwnerRecord>): ReadinessPart {
  const names = OWNED.all(versionsOf(READ_MODELS));
  const missing = names.filter((name) => !owners.has(name));
  const told = names.flatMap((name) => {
    const record = owners.get(name);
    return record ? [`${name}: ${record.owner ?? ''} (term ${record.epoch})`] : [];
  });
  if (missing.length > 0)
    return { ok: false, detail: `no worker does ${missing.join(', ')}${told.length > 0 ? `; ${told.join('; ')}` : ''}` };
  return { ok: true, detail: told.join('; ') };
}

/** Follows how far read models are that another process builds, by asking: often while somebody waits, now and then otherwise. */
class ReadModelFollower implements ProjectionProgress {
  position: Position = START;
  private readonly arrivals = new Arrivals();
  private timer: NodeJS.Timeout | null = null;
  private asking: Promise<void> | null = null;
  private stopped = false;
  private refreshedAt = -Infinity;

  constructor(
    private readonly reads: OpenedReads,
    private readonly expects: () => boolean,
    private readonly log: Ports['log'],
    private readonly onProgress: (position: Position) => void,
  ) {}

  start(): void {
    this.later(0);
  }

  reached(position: Position, milliseconds: number): Promise<boolean> {
    if (this.position >= position) return Promise.resolve(true);
    if (this.asking === null) this.later(0);
    return this.arrivals.wait(position, milliseconds);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.arrivals.end();
    await this.asking;
  }

  private later(milliseconds: number): void {
    if (this.stopped) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.asking = this.ask()
        .catch((error: unknown) => {
          this.log.warn({ error }, 'the read models cannot be reached');
          this.refreshedAt = -Infinity;
        })
        .finally(() => {
          this.asking = null;
          this.later(this.arrivals.any || this.expects() ? EAGER_MILLIS : CALM_MILLIS);
        });
    }, milliseconds);
  }

  private async ask(): Promise<void> {
    if (performance.now() - this.refreshedAt > 1000) {
      await this.reads.refresh();
      this.refreshedAt = performance.now();
    }
    const position = await this.reads.position();
    // Another generation may be a little behind the one before: what was shown once counts as shown.
    if (position <= this.position) return;
    this.position = position;
    this.arrivals.reached(position);
    this.onProgress(position);
  }
}
