/** The dialers, over HTTP, as a process of their own; each at one of the gateways. */

import { serveTask } from './child.mjs';
import { dialList } from './dialing.mjs';
import { clientAt } from './service.mjs';
import { attemptNumber } from './work.mjs';

serveTask(async ({ urls, token, outdialId, ...how }) => {
  const clients = urls.map((url) => clientAt(url, token, how.dialers));
  const clientOf = (dialer) => clients[Number(dialer.split('-')[1]) % clients.length];
  const outdial = `/v1.0/outdials/${outdialId}`;
  const engine = {
    async claim(limit, dialer) {
      const { result } = await clientOf(dialer).post(`${outdial}/leases`, { limit, dialer });
      return result.map(({ attempt_id, target_id, external_id, destination_index, try_count }) => ({
        attemptId: attempt_id,
        targetId: target_id,
        i: Number(external_id),
        k: attemptNumber(destination_index, try_count),
      }));
    },
    async report(reports, dialer) {
      const outcomes = reports.map(({ attemptId, targetId, outcome }) => ({ attempt_id: attemptId, target_id: targetId, outcome }));
      const { result } = await clientOf(dialer).post(`${outdial}/outcomes`, { outcomes });
      return result;
    },
  };
  const dialed = await dialList(engine, how);
  clients.forEach((client) => client.close());
  return dialed;
});
