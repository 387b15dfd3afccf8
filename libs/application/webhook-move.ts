import type { Position, StateStore } from '#event-store';
import { WebhookRecords } from './webhook-records';
import type { ParkedDelivery } from './webhook-records';

/** How places in the log that webhooks come from are told in the one they go to. */
export interface MovedPlaces {
  /** The place that everything up to `place` stands before, and nothing later. */
  readonly upTo: (place: Position) => Position;
  /** Of the events at these places, those that were found. */
  readonly ofEvents: (places: readonly Position[]) => Promise<ReadonlyMap<Position, Position>>;
}

/** How far the webhooks have come: places in the log that mean something to them, and so have to mean the same in a copy. */
export async function webhookPlaces(state: StateStore): Promise<readonly Position[]> {
  const records = new WebhookRecords(state);
  const webhooks = await records.list(null);
  return Promise.all(webhooks.map(async (webhook) => (await records.progress(webhook)).progress.position));
}

/**
 * Copies all webhooks, with their secrets and how far each has come, to where the state of another log is kept; done again, it changes what it wrote before. Answers how
 * many there are. A parked delivery whose event is not in the other log is left behind: nothing could be told of it.
 */
export async function moveWebhooks(from: StateStore, to: StateStore, places: MovedPlaces): Promise<number> {
  const [before, after] = [new WebhookRecords(from), new WebhookRecords(to)];
  const webhooks = await before.list(null);
  const moving = await Promise.all(webhooks.map(async (webhook) => ({ webhook, progress: (await before.progress(webhook)).progress })));
  const events = await places.ofEvents(moving.flatMap(({ progress }) => progress.parked.map(({ position }) => position)));
  for (const { webhook, progress } of moving) {
    const parked = progress.parked.flatMap((delivery): readonly ParkedDelivery[] => {
      const position = events.get(delivery.position);
      return position === undefined ? [] : [{ ...delivery, position }];
    });
    const moved = { ...webhook, from: places.upTo(webhook.from) };
    await after.create(moved);
    const { version } = await after.progress(moved);
    const saved = await after.saveProgress(webhook.id, { ...progress, position: places.upTo(progress.position), parked }, version);
    if (!saved)
      throw new Error(`The webhook ${webhook.id} is delivered from its new place already: nothing may run there while it is moved.`);
  }
  return webhooks.length;
}
