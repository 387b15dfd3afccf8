import type { Micros } from '#dialing';
import type { Position, StateStore } from '#event-store';
import type { TargetMessage } from './target-message';

/**
 * Webhooks: whom to tell of changes of targets, by signed POSTs. What a webhook is and how far it has come are state, not events (docs/adr/0011-webhooks-are-state.md):
 * its secret must be readable to sign with and must go when the webhook goes.
 */

export const WEBHOOK_EVENTS = ['target.idle', 'target.progressing', 'target.done', 'target.deleted'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

export const webhookEventOf = ({ status, deleted }: TargetMessage): WebhookEvent => (deleted ? 'target.deleted' : `target.${status}`);

export interface Webhook {
  readonly id: string;
  readonly customerId: string;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  /** What deliveries are signed with. */
  readonly secret: string;
  readonly tmCreate: Micros;
  /** It is told of everything after this position. */
  readonly from: Position;
}

/** `failing`: the endpoint is tried again and again. `parked`: it was for a day; it waits to be resumed. */
export type WebhookState = 'active' | 'failing' | 'parked';

/** A delivery that its endpoint refused for good: it alone was given up. */
export interface ParkedDelivery {
  readonly position: Position;
  readonly event: WebhookEvent;
  readonly outdialId: string;
  readonly targetId: string;
  readonly reason: string;
  readonly tm: Micros;
}

export interface WebhookProgress {
  readonly state: WebhookState;
  /** Everything up to it has been delivered, or parked. */
  readonly position: Position;
  readonly lastError: string | null;
  readonly tmLastDelivery: Micros | null;
  readonly parkedTotal: number;
  /** The newest, oldest first. */
  readonly parked: readonly ParkedDelivery[];
}

/** Progress as it is stored; who changes it must have seen this version. */
export interface StoredProgress {
  readonly progress: WebhookProgress;
  readonly version: number;
}

export interface WebhookStanding {
  readonly webhook: Webhook;
  readonly progress: WebhookProgress;
}

const PREFIX = 'webhook/';
const keyOf = (customerId: string, id: string): string => `${PREFIX}${customerId}/${id}`;
const progressKey = (id: string): string => `webhook-progress/${id}`;
const RESUMED = 'webhook-resumed/';

/** Where webhooks are kept. */
export class WebhookRecords {
  constructor(private readonly state: StateStore) {}

  /** Every webhook of a customer (of everybody when null), oldest first. */
  async list(customerId: string | null): Promise<readonly Webhook[]> {
    const records = await this.state.list(customerId === null ? PREFIX : `${PREFIX}${customerId}/`);
    return records.map(({ value }) => JSON.parse(value) as Webhook).sort((a, b) => a.tmCreate - b.tmCreate);
  }

  async get(customerId: string, id: string): Promise<Webhook | null> {
    const record = await this.state.get(keyOf(customerId, id));
    return record && (JSON.parse(record.value) as Webhook);
  }

  /** False when there is one of that id already. */
  create(webhook: Webhook): Promise<boolean> {
    return this.state.put(keyOf(webhook.customerId, webhook.id), JSON.stringify(webhook), 0);
  }

  async remove({ customerId, id }: Webhook): Promise<void> {
    await this.state.delete(keyOf(customerId, id));
    await this.state.delete(progressKey(id));
    await this.state.delete(`${RESUMED}${id}`);
  }

  async progress({ id, from }: Webhook): Promise<StoredProgress> {
    const record = await this.state.get(progressKey(id));
    if (record) return { progress: JSON.parse(record.value) as WebhookProgress, version: record.version };
    const progress: WebhookProgress = {
      state: 'active',
      position: from,
      lastError: null,
      tmLastDelivery: null,
      parkedTotal: 0,
      parked: [],
    };
    return { progress, version: 0 };
  }

  /** False when somebody else has saved since `version`. */
  saveProgress(id: string, progress: WebhookProgress, version: number): Promise<boolean> {
    return this.state.put(progressKey(id), JSON.stringify(progress), version);
  }

  /** Asks whoever delivers this webhook to take it up again at once. */
  async askToResume(id: string): Promise<void> {
    const asked = await this.state.get(`${RESUMED}${id}`);
    // Lost against another who asked the same: it is asked for.
    await this.state.put(`${RESUMED}${id}`, '{}', asked?.version ?? 0);
  }

  /** How often each webhook was asked to be taken up again. */
  async resumes(): Promise<ReadonlyMap<string, number>> {
    const asked = await this.state.list(RESUMED);
    return new Map(asked.map(({ key, version }) => [key.slice(RESUMED.length), version]));
  }
}
