import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What the engine counts: `projectionLagSeconds` becomes the gauge `outdial_projection_lag_seconds`. */
export type Figures = Readonly<Record<string, number>>;

export interface Metrics {
  /** The type of what `render` answers. */
  readonly contentType: string;
  /** One request, by its route's template ('' for none), e.g. `/v1.0/outdials/:id`. */
  observeRequest(method: string, route: string, status: number, seconds: number): void;
  /** The Prometheus text, with `figures` as gauges. */
  render(figures: Figures): Promise<string>;
  /** Forgets everything and stops observing the process. */
  close(): void;
}

/** From a claim of a handful of targets to the longest import. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

/** The only place that knows which metrics library is used. A registry of its own: several services can run in one process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'outdial_http_request_duration_seconds',
    help: 'Time to answer an HTTP request, by route, method and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers: [registry],
  });
  const gauges = new Map<string, Gauge>();
  const gaugeOf = (name: string): Gauge => {
    const known = gauges.get(name);
    if (known) return known;
    const words = name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    const made = new Gauge({ name: `outdial_${words.replaceAll(' ', '_')}`, help: `The engine's ${words}.`, registers: [registry] });
    gauges.set(name, made);
    return made;
  };
  return {
    contentType: registry.contentType,
    observeRequest(method, route, status, seconds) {
      requests.observe({ method, route, status: String(status) }, seconds);
    },
    render(figures) {
      for (const [name, value] of Object.entries(figures)) gaugeOf(name).set(value);
      return registry.metrics();
    },
    close() {
      registry.clear();
    },
  };
}
