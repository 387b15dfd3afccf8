import { decodeContext, decodeEvent } from '#dialing';
import type { EventStore, Position, RecordedEvent, StateStore } from '#event-store';
import type { Clock, Log, Randomness, Scheduler } from './engine';
import { targetMessage } from './target-message';
import type { TargetMessage } from './target-message';
import { webhookEventOf, WebhookRecords } from './webhook-records';
import type { ParkedDelivery, Webhook, WebhookEvent, WebhookProgress } from './webhook-records';

/** One POST, as its endpoint shall get it. */
export interface Delivery {
  readonly webhook: Webhook;
  readonly position: Position;
  readonly event: WebhookEvent;
  readonly message: TargetMessage;
}

/** What came of a POST. `refused`: sending it again would change nothing. */
export type DeliveryResult =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** Sends one POST; never rejects. */
export type SendDelivery = (delivery: Delivery, signal: AbortSignal) => Promise<DeliveryResult>;

export interface DeliveryPorts {
  readonly events: EventStore;
  readonly state: StateStore;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly randomness: Randomness;
  readonly log: Log;
  readonly send: SendDelivery;
}

/** Events read at once: what may be delivered a second time after a crash. */
const BATCH = 100;
/** Targets whose messages are under way at once. */
const AT_ONCE = 16;
const FIRST_PAUSE_MILLIS = 1000;
const LONGEST_PAUSE_MILLIS = 60 * 60 * 1000;
/** An endpoint that has failed for so long is given up until somebody resumes it. */
const PATIENCE_MICROS = 24 * 60 * 60 * 1_000_000;
const PARKED_KEPT = 100;
const WATCH_MILLIS = 1000;

/**
 * Delivers changes of targets to webhooks: at least once, a target's in order, each webhook at its own pace with a cursor of its own that survives the process. One
 * subscription tells all of them that there is something new; each reads the log from its own cursor.
 *
 * One process delivers. What is asked of this very process takes effect at once; what other processes make, delete and resume, within a second, when it `watches`.
 */
export class WebhookDeliveries {
  readonly records: WebhookRecords;
  private readonly runs = new Map<string, Run>();
  private resumed: ReadonlyMap<string, number> = new Map();
  private stopping = new AbortController();
  private delivering = false;
  private watches = false;
  private following: Promise<void> | null = null;
  private watching: Promise<void> = Promise.resolve();
  private cancelWatch: () => void = () => undefined;
  private delivered = 0;

  constructor(readonly ports: DeliveryPorts) {
    this.records = new WebhookRecords(ports.state);
  }

  /** Takes up every webhook where it stopped. `watches`: the records are other processes' to change, too. */
  async start({ watches = false } = {}): Promise<void> {
    this.stopping = new AbortController();
    this.delivering = true;
    this.watches = watches;
    this.resumed = await this.records.resumes();
    for (const webhook of await this.records.list(null)) this.begin(webhook);
    if (watches) this.watch();
  }

  /** Resolves when nothing is under way any more. Can be started again. */
  async stop(): Promise<void> {
    this.delivering = false;
    this.stopping.abort();
    this.cancelWatch();
    await this.watching;
    await Promise.all([...this.runs.values()].map((run) => run.stop()));
    this.runs.clear();
    await this.following;
    this.following = null;
  }

  /** Nothing where another process delivers: it looks for itself. */
  begin(webhook: Webhook): void {
    if (!this.delivering || this.runs.has(webhook.id)) return;
    const exists = async (): Promise<boolean> => !this.watches || (await this.records.get(webhook.customerId, webhook.id)) !== null;
    this.runs.set(webhook.id, new Run(webhook, this.ports, this.records, exists, () => (this.delivered += 1)));
    this.following ??= this.follow();
  }

  /** Resolves when nothing of it is under way here any more. */
  async end(webhookId: string): Promise<void> {
    const run = this.runs.get(webhookId);
    this.runs.delete(webhookId);
    await run?.stop();
  }

  async resume(webhook: Webhook): Promise<void> {
    await this.records.askToResume(webhook.id);
    if (this.delivering) await this.look();
  }

  async progressOf(webhook: Webhook): Promise<WebhookProgress> {
    return this.runs.get(webhook.id)?.progress ?? (await this.records.progress(webhook)).progress;
  }

  /** For /metrics. */
  figures(): { readonly webhookDeliveries: number; readonly webhooksFailing: number; readonly webhooksParked: number } {
    const states = [...this.runs.values()].map((run) => run.progress?.state);
    const count = (state: string): number => states.filter((one) => one === state).length;
    return { webhookDeliveries: this.delivered, webhooksFailing: count('failing'), webhooksParked: count('parked') };
  }

  private watch(): void {
    this.cancelWatch = this.ports.scheduler.after(WATCH_MILLIS, () => {
      this.watching = this.look()
        .catch((error: unknown) => {
          this.ports.log.warn({ error }, 'the records of webhooks cannot be read; trying again');
        })
        .finally(() => {
          if (this.delivering) this.watch();
        });
    });
  }

  private async look(): Promise<void> {
    const [webhooks, resumed] = [await this.records.list(null), await this.records.resumes()];
    const known = new Map(webhooks.map((webhook) => [webhook.id, webhook]));
    // One that another process has displaced is taken up again from where that one is: this is the one that shall deliver.
    for (const [id, run] of this.runs) if (!known.has(id) || run.displaced) await this.end(id);
    for (const webhook of webhooks) {
      const again = (resumed.get(webhook.id) ?? 0) > (this.resumed.get(webhook.id) ?? 0);
      if (again) {
        await this.end(webhook.id);
        const { progress, version } = await this.records.progress(webhook);
        await this.records.saveProgress(webhook.id, { ...progress, state: 'active' }, version);
      }
      this.begin(webhook);
    }
    this.resumed = resumed;
  }

  private async follow(): Promise<void> {
    const { signal } = this.stopping;
    const over = (): boolean => signal.aborted;
    let from = await this.ports.events.head();
    for (const run of this.runs.values()) run.wake();
    while (!over()) {
      try {
        for await (const batch of this.ports.events.subscribe(from, signal)) {
          from = batch.position;
          for (const run of this.runs.values()) run.wake();
        }
      } catch (error) {
        this.ports.log.warn({ error }, 'webhooks lost the event log; trying again');
      }
      if (!over()) await new Promise<void>((resolve) => this.ports.scheduler.after(FIRST_PAUSE_MILLIS, resolve));
    }
  }
}

/** One webhook, being delivered. */
class Run {
  /** null until it was read. */
  progress: WebhookProgress | null = null;
  /** Another process has moved the cursor; this one has ended. */
  displaced = false;
  private version = 0;
  private readonly stopping = new AbortController();
  private readonly ended: Promise<void>;
  private saved: Promise<void> = Promise.resolve();
  private news = true;
  private awake: () => void = () => undefined;

  constructor(
    private readonly webhook: Webhook,
    private readonly ports: DeliveryPorts,
    private readonly records: WebhookRecords,
    /** Asked before anything is sent: another process may have deleted it, and nothing may follow that. */
    private readonly exists: () => Promise<boolean>,
    private readonly onDelivered: () => void,
  ) {
    this.ended = this.run().catch((error: unknown) => {
      ports.log.error({ error, webhook_id: webhook.id }, 'a webhook has stopped; it goes on when the service is started again');
    });
  }

  wake(): void {
    this.news = true;
    this.awake();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.awake();
    await this.ended;
  }

  private hasNews(): boolean {
    return this.news;
  }

  private isOver(): boolean {
    return this.stopping.signal.aborted;
  }

  private async run(): Promise<void> {
    const stored = await this.records.progress(this.webhook);
    [this.progress, this.version] = [stored.progress, stored.version];
    while (!this.isOver() && this.progress.state !== 'parked') {
      this.news = false;
      try {
        await this.deliverNews();
      } catch (error) {
        this.ports.log.warn({ error, webhook_id: this.webhook.id }, 'a webhook cannot read on; trying again');
        await this.pause(FIRST_PAUSE_MILLIS);
        continue;
      }
      if (!this.hasNews() && !this.isOver()) await new Promise<void>((resolve) => (this.awake = resolve));
    }
  }

  private async deliverNews(): Promise<void> {
    const progress = this.progress;
    if (progress === null) return;
    for await (const { events, position } of this.ports.events.readAll({ after: progress.position, batchSize: BATCH })) {
      const deliveries = events.flatMap((event) => this.deliveryOf(event) ?? []);
      if (deliveries.length > 0 && !(await this.exists())) return;
      if (!(await this.deliverAll(deliveries))) return;
      // A stretch of nothing is skipped again after a restart: not worth a write.
      await this.change({ position }, deliveries.length > 0);
    }
  }

  private deliveryOf(recorded: RecordedEvent): Delivery | null {
    if (!recorded.stream.startsWith('outdialtarget-')) return null;
    try {
      if (decodeContext(recorded).customerId !== this.webhook.customerId) return null;
      const message = targetMessage(decodeEvent(recorded));
      if (message === null) return null;
      const event = webhookEventOf(message);
      return this.webhook.events.includes(event) ? { webhook: this.webhook, position: recorded.position, event, message } : null;
    } catch (error) {
      // The projections quarantine it, loudly; what comes after it must not wait for its repair.
      this.ports.log.error({ error, stream: recorded.stream, revision: recorded.revision }, 'an event cannot be told to a webhook');
      return null;
    }
  }

  /** All of a batch, each target's one after the other. False when it was not finished: stopped, or parked. */
  private async deliverAll(deliveries: readonly Delivery[]): Promise<boolean> {
    const lanes = new Map<string, Delivery[]>();
    for (const delivery of deliveries) {
      const lane = lanes.get(delivery.message.targetId);
      if (lane) lane.push(delivery);
      else lanes.set(delivery.message.targetId, [delivery]);
    }
    const open = [...lanes.values()];
    const takeLanes = async (): Promise<boolean> => {
      for (let lane = open.shift(); lane !== undefined; lane = open.shift()) {
        for (const delivery of lane) if (!(await this.deliver(delivery))) return false;
      }
      return true;
    };
    const finished = await Promise.all(Array.from({ length: Math.min(AT_ONCE, open.length) }, takeLanes));
    return finished.every(Boolean);
  }

  /** One delivery, as often as it takes. False when the webhook was stopped, or parked, before it succeeded. */
  private async deliver(delivery: Delivery): Promise<boolean> {
    const since = this.ports.clock.now();
    let failures = 0;
    while (!this.isOver() && this.progress?.state !== 'parked') {
      const result = await this.ports.send(delivery, this.stopping.signal);
      if (this.isOver()) return false;
      const now = this.ports.clock.now();
      switch (result.kind) {
        case 'delivered':
          this.onDelivered();
          // What is saved with the batch need not be saved with each of its messages; that it works again must be seen at once.
          await this.change({ state: 'active', lastError: null, tmLastDelivery: now }, this.progress?.state === 'failing');
          return true;
        case 'refused':
          await this.park(delivery, result.reason);
          return true;
        case 'failed': {
          failures += 1;
          const parked = now - since >= PATIENCE_MICROS;
          await this.change({ state: parked ? 'parked' : 'failing', lastError: result.reason }, true);
          if (parked) {
            this.ports.log.warn({ webhook_id: this.webhook.id, reason: result.reason }, 'a webhook has failed for a day and is parked');
            return false;
          }
          await this.pause(pauseAfter(failures, this.ports.randomness));
        }
      }
    }
    return false;
  }

  private async park({ position, event, message }: Delivery, reason: string): Promise<void> {
    const { outdialId, targetId } = message;
    const parked: ParkedDelivery = { position, event, outdialId, targetId, reason, tm: this.ports.clock.now() };
    const before = this.progress?.parked ?? [];
    await this.change(
      { parked: [...before, parked].slice(-PARKED_KEPT), parkedTotal: (this.progress?.parkedTotal ?? 0) + 1, lastError: reason },
      true,
    );
  }

  private async change(changes: Partial<WebhookProgress>, save: boolean): Promise<void> {
    if (this.progress === null) return;
    this.progress = { ...this.progress, ...changes };
    if (!save) return;
    // One after the other, each with what is newest by then: lanes end in any order.
    this.saved = this.saved.then(() => this.save());
    const saved = this.saved;
    this.saved = saved.catch(() => undefined);
    await saved;
  }

  /** A cursor that somebody else has moved is another process's to deliver from: this one has been replaced. */
  private async save(): Promise<void> {
    if (this.progress === null || this.isOver()) return;
    if (await this.records.saveProgress(this.webhook.id, this.progress, this.version)) this.version += 1;
    else {
      this.ports.log.warn({ webhook_id: this.webhook.id }, 'another process delivers this webhook; it ends here');
      this.displaced = true;
      this.stopping.abort();
    }
  }

  /** Cut short when the webhook is stopped. */
  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.stopping;
      const over = (): void => {
        cancel();
        signal.removeEventListener('abort', over);
        resolve();
      };
      const cancel = this.ports.scheduler.after(milliseconds, over);
      signal.addEventListener('abort', over);
      if (signal.aborted) over();
    });
  }
}

/** Doubled each time, up to an hour, and a random part less: endpoints that came back are not met by everybody at once. */
function pauseAfter(failures: number, randomness: Randomness): number {
  const longest = Math.min(FIRST_PAUSE_MILLIS * 2 ** (failures - 1), LONGEST_PAUSE_MILLIS);
  const share = Number.parseInt(randomness.uuid().slice(0, 8), 16) / 0x1_0000_0000;
  return Math.ceil(longest * (1 - 0.25 * share));
}
