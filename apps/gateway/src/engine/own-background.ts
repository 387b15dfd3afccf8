import { LeaseExpiry } from '#application';
import type { Clock, Log, ReadinessPart, Services, WebhookDeliveries } from '#application';
import type { Position } from '#event-store';
import type { Figures } from '#platform';
import { projectionsPart } from './background';
import type { Background } from './background';
import { Lag } from './lag';
import { Projector } from './projector';
import type { ProjectorPlace } from './projector';

/** The work beside requests, done by the gateway's own process: it is the only one on its stores. */
export class OwnBackground implements Background {
  readonly projections: Projector;
  readonly sharing = null;
  private readonly lag: Lag;
  private expiry: LeaseExpiry | null = null;
  private webhooks: WebhookDeliveries | null = null;

  /** `onProgress`: the read models have got somewhere; `anew`, and they are another generation. */
  constructor(
    place: ProjectorPlace,
    clock: Clock,
    private readonly log: Log,
    onProgress: (position: Position, anew: boolean) => void,
  ) {
    // The position at the moment of the oldest append that the read models lack, to tell how late they are.
    this.lag = new Lag(() => clock.now());
    this.projections = new Projector(place, log, (progress, previous) => {
      this.lag.caughtUpTo(progress.position);
      onProgress(progress.position, progress.generation !== previous.generation);
    });
  }

  get orders(): Projector {
    return this.projections;
  }

  async start(services: Services, webhooks: WebhookDeliveries): Promise<void> {
    // From the first append on: what was leased before it listened would never expire.
    this.expiry = new LeaseExpiry(services);
    this.webhooks = webhooks;
    await this.catchUp(await services.ports.events.head());
    await this.expiry.start();
    await webhooks.start();
  }

  appended(position: Position): void {
    this.lag.appended(position);
  }

  wake(): void {
    this.projections.wake();
  }

  async readiness(): Promise<Readonly<Record<string, ReadinessPart>>> {
    const { stopped, quarantined } = this.projections;
    return { projections: projectionsPart({ stopped, quarantined, behindMicros: this.lag.micros() }) };
  }

  figures(): Figures {
    return { projectionLagSeconds: this.lag.micros() / 1_000_000, ...this.webhooks?.figures() };
  }

  async stop(): Promise<void> {
    await this.webhooks?.stop();
    await this.expiry?.stop();
    await this.projections.stop();
  }

  /** Read models may be behind after a crash, or missing after an upgrade: a second usually, a minute a few million events. */
  private async catchUp(head: Position): Promise<void> {
    const { projections, log } = this;
    for (let waited = 0; !(await projections.reached(head, 1000)); waited += 1) {
      if (projections.stopped !== null) throw new Error(`the read models cannot be built: ${projections.stopped}`);
      if (waited % 5 === 1) log.info({ at: projections.position, head }, 'the read models are catching up with the event log');
    }
  }
}
