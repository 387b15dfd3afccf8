import { createMetrics } from './metrics';
import type { Metrics } from './metrics';

let metrics: Metrics;
beforeEach(() => {
  metrics = createMetrics();
});
afterEach(() => {
  metrics.close();
});

test('requests are counted by method, route and status', async () => {
  metrics.observeRequest('GET', '/v1.0/outdials/:id', 200, 0.004);
  metrics.observeRequest('GET', '/v1.0/outdials/:id', 200, 0.4);
  metrics.observeRequest('GET', '/v1.0/outdials/:id', 404, 0.001);
  const text = await metrics.render({});
  expect(text).toContain('outdial_http_request_duration_seconds_count{method="GET",route="/v1.0/outdials/:id",status="200"} 2');
  expect(text).toContain('outdial_http_request_duration_seconds_bucket{le="0.005",method="GET",route="/v1.0/outdials/:id",status="200"} 1');
  expect(text).toContain('outdial_http_request_duration_seconds_count{method="GET",route="/v1.0/outdials/:id",status="404"} 1');
});

test('figures of the engine are gauges that follow it', async () => {
  expect(await metrics.render({ projectionLagSeconds: 3 })).toContain('outdial_projection_lag_seconds 3\n');
  expect(await metrics.render({ projectionLagSeconds: 1 })).toContain('outdial_projection_lag_seconds 1\n');
});

test('the process says how it is', async () => {
  expect(await metrics.render({})).toMatch(/^process_resident_memory_bytes \d+/m);
});

test('two services in one process do not share their figures', async () => {
  const other = createMetrics();
  metrics.observeRequest('GET', '/', 200, 1);
  expect(await other.render({})).not.toContain('outdial_http_request_duration_seconds_count{');
  other.close();
});
