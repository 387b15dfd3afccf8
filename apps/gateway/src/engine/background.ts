import type { ProjectionOrders, ProjectionProgress, ReadinessPart, Services, Sharing, WebhookDeliveries } from '#application';
import type { Figures } from '#platform';
import type { Position } from '#event-store';

/** What goes on beside requests — folding, expiry, webhooks — as a gateway sees it: its own (own-background.ts), or that of workers (workers-background.ts). */
export interface Background {
  readonly projections: ProjectionProgress;
  readonly orders: ProjectionOrders;
  /** Of outdials, with other gateways; null: this one is alone. */
  readonly sharing: Sharing | null;
  /** Resolves when requests may be served. */
  start(services: Services, webhooks: WebhookDeliveries): Promise<void>;
  /** This process has appended up to here. */
  appended(position: Position): void;
  readiness(): Promise<Readonly<Record<string, ReadinessPart>>>;
  figures(): Figures;
  stop(): Promise<void>;
}

/** Read models further behind than this make /readyz say so (the API contract, Running). */
const LATE_MICROS = 10_000_000;

/** The part of /readyz that says how the read models are. */
export function projectionsPart(state: {
  readonly stopped: string | null;
  readonly quarantined: number;
  readonly behindMicros: number;
}): ReadinessPart {
  const { stopped, quarantined, behindMicros } = state;
  if (stopped !== null) return { ok: false, detail: `stopped: ${stopped}` };
  const detail = quarantined > 0 ? `${quarantined} documents are quarantined` : `${(behindMicros / 1_000_000).toFixed(1)} s behind`;
  return { ok: behindMicros < LATE_MICROS && quarantined === 0, detail };
}
