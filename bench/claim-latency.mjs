import { makeList, withService } from './service.mjs';
import { percentile } from './statistics.mjs';

const CLAIMS = 400;
const WARM_UP = 50;

/** How long a claim of 100 takes, by the size of the list. What was claimed is released again, so that each claim meets the whole list. */
export async function claimLatency({ sizes }) {
  const figures = [];
  const smallest = Math.min(...sizes);
  const p99 = new Map();
  for (const targets of [...sizes].sort((a, b) => a - b)) {
    const milliseconds = await withService((client) => measure(client, targets));
    p99.set(targets, percentile(milliseconds, 0.99));
    const ratio = targets === smallest ? undefined : { [`${smallest} targets`]: p99.get(targets) / p99.get(smallest) };
    figures.push({ figure: 'claim-latency', via: 'http', value: percentile(milliseconds, 0.5), unit: 'ms p50', targets });
    figures.push({ figure: 'claim-latency', via: 'http', value: p99.get(targets), unit: 'ms p99', ratio, targets });
  }
  return figures;
}

async function measure(client, targets) {
  const outdialId = await makeList(client, targets);
  const milliseconds = [];
  for (let claim = 0; claim < WARM_UP + CLAIMS; claim++) {
    const start = performance.now();
    const { result } = await client.post(`/v1.0/outdials/${outdialId}/leases`, { limit: 100 });
    if (claim >= WARM_UP) milliseconds.push(performance.now() - start);
    if (result.length !== 100) throw new Error(`a claim of 100 got ${result.length}`);
    const attempts = result.map(({ attempt_id, target_id }) => ({ attempt_id, target_id }));
    await client.post(`/v1.0/outdials/${outdialId}/leases/release`, { attempts });
  }
  return milliseconds;
}
