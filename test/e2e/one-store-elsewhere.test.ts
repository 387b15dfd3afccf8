/** Each of the two variables by itself: one gateway, one store elsewhere, and the rest in DATA_DIR. */
import { eventually } from '../support/api';
import type { Client, WireLease } from '../support/api';
import { aList, dial, holds } from '../support/hard-times';
import { prepareService, standIns } from '../support/service';
import type { Service } from '../support/service';

const PLACES = [
  ['EventStoreDB for the events alone', { events: true, models: false }, ['event_store', 'projections', 'read_store']],
  ['MongoDB for the read models alone', { events: false, models: true }, ['event_store', 'projections', 'read_store']],
] as const;

describe.each(PLACES)('%s', (_, which, parts) => {
  let service: Service;
  let api: Client;
  beforeAll(async () => {
    service = await prepareService({}, await standIns(which));
    await service.start();
    api = await service.customer();
  });
  afterAll(() => service.dispose());

  test('a list is dialed to its end, without a worker, and the read models agree with the log', async () => {
    const outdial = await aList(api, 120);
    const attempts = new Map<string, WireLease>();
    await Promise.all(['a', 'b', 'c'].map((name) => dial([api], outdial, name, attempts)));
    expect(attempts.size).toBeGreaterThanOrEqual(120);
    await holds(outdial, attempts);
    const ready = (await service.root.get<{ readonly parts: object }>('/readyz')).body;
    expect(Object.keys(ready.parts).sort()).toEqual(parts);
  });

  test('a lease that nobody reports expires, and what is there survives a kill', async () => {
    const outdial = await aList(api, 5);
    const lease = await outdial.lease({ lease_seconds: 1 });
    await eventually(async () => expect((await outdial.attempts(lease.target_id))[0]?.outcome).toBe('unknown'), 4000);
    await eventually(async () => expect((await outdial.progress()).targets.progressing).toBe(0));
    const before = await outdial.progress();
    await service.kill();
    await service.start();
    await eventually(async () => expect(await outdial.progress()).toMatchObject({ targets: before.targets, attempts: before.attempts }));
    expect((await outdial.claim({ limit: 10 })).result).toHaveLength(5);
  });
});
