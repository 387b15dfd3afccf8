import { makeList, withService } from './service.mjs';
import { percentile } from './statistics.mjs';

const CLAIMS = 400;
const WARM_UP = 50;

/** How long a claim of 100 takes, by the size of the list. What was claimed is released again, so that each claim meets the whole list. */
export async function claimLatency({ sizes }) {
  const figures = [];
  for (const targets of sizes) {
    const milliseconds = await withService((client) => measure(client, targets));
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ]) {
      figures.push({ figure: 'claim-latency', via: 'http', value: percentile(milliseconds, share), unit: `ms ${name}`, targets });
    }
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
