/** The record: what the report, the printed page and the state at a time say of a list that was dialed. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { bodyOf, micros, newOutdial } from '../support/api';
import type { Client, WireLease, WireOutdial, WireTarget } from '../support/api';
import { aDialedList, AT_ONCE, type Chain, verify } from '../support/dialed-list';
import { prepareService } from '../support/service';
import type { Service } from '../support/service';

let service: Service;
let api: Client;
beforeEach(async () => {
  service = await prepareService();
  await service.start();
  api = await service.customer();
});
afterEach(async () => {
  await service.dispose();
});

test('the report is what the dialers kept themselves, attempt by attempt', async () => {
  const { outdial, kept } = await aDialedList(api);
  const { result, chain } = bodyOf(
    await api.get<{ result: readonly (WireLease & { chain_ok: boolean })[]; chain: Chain }>(`${outdial.path}/audit`),
  );
  const reported = new Map(
    result.map((row) => [row.attempt_id, { target: row.target_id, number: row.destination.target, outcome: String(row.outcome) }]),
  );
  expect(kept.size).toBeGreaterThan(30);
  expect(reported).toEqual(kept);
  expect(result.every(({ chain_ok }) => chain_ok)).toBe(true);
  expect(chain).toMatchObject({ ok: true, flaws: [] });
  expect(await verify(api, outdial)).toMatchObject({ consistent: true, targets: 30, differences: [] });
});

test('the printed page has every attempt, its totals and plots, and nothing of a name can run in it', async () => {
  const { outdial, kept } = await aDialedList(api);
  const page = await api.get(`${outdial.path}/audit/report`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toMatch(/^text\/html/);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page.text).not.toContain('<script');
  expect(page.text).toContain('&#60;script&#62;alert(1)&#60;/script&#62; &#38; co');
  expect(page.text).not.toMatch(/(src|href)=/);
  expect(page.text.split('<tbody>')[1]?.match(/<tr>/g)).toHaveLength(kept.size);
  expect(page.text.match(/<svg/g)).toHaveLength(2);
  expect(page.text).toContain('The record holds.');
  for (const { number } of kept.values()) expect(page.text).toContain(number);
  expect(page.text.trimEnd().endsWith('</html>')).toBe(true);
});

test('the state at any time is that of the events up to it', async () => {
  const outdial = await newOutdial(api, { name: 'n0' }, AT_ONCE);
  const target = await outdial.add({ name: 'n0' });
  const targetPath = `${outdial.path}/targets/${target.id}`;
  const outdials: WireOutdial[] = [await outdial.get()];
  const targets: WireTarget[] = [target];
  for (let n = 1; n <= 6; n += 1) {
    outdials.push(bodyOf(await api.put<WireOutdial>(outdial.path, { name: `n${n}` })));
    targets.push(bodyOf(await api.put<WireTarget>(targetPath, { name: `n${n}` })));
    await outdial.report(await outdial.lease(), 'busy');
    const { result } = bodyOf(await api.get<{ result: readonly WireTarget[] }>(`${outdial.path}/targets`));
    if (result[0]) targets.push(result[0]);
    if (result[0]?.status === 'done') break;
  }
  const [first, last] = [micros(target.tm_create), micros(targets.at(-1)?.tm_update ?? '')];
  const asText = (time: number): string =>
    `${new Date(Math.floor(time / 1000)).toISOString().slice(0, 19).replace('T', ' ')}.${String(time % 1_000_000).padStart(6, '0')}`;
  const pastOf = async (): Promise<readonly WireTarget[]> => {
    const { result } = bodyOf(await api.get<{ result: readonly { tm: string }[] }>(`${targetPath}/events`));
    return Promise.all(result.map(async ({ tm }) => bodyOf(await api.get<WireTarget>(targetPath, { query: { at: tm } }))));
  };
  const before = await pastOf();
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: first, max: last }), async (time) => {
      const state = bodyOf(await api.get<WireTarget>(targetPath, { query: { at: asText(time) } }));
      // The newest known state that is not younger than that time.
      expect(before.filter(({ tm_update }) => micros(tm_update) <= time).at(-1)).toEqual(state);
    }),
    { numRuns: 40 },
  );
  for (const known of targets) expect(before).toContainEqual(known);
  for (const known of outdials)
    expect(
      bodyOf(await api.get(outdial.path, { query: { at: known.tm_update.startsWith('9999') ? known.tm_create : known.tm_update } })),
    ).toEqual(known);
  // A rebuild changes no answer.
  await promisify(execFile)(
    process.execPath,
    [path.join(__dirname, '../../dist/apps/worker/src/admin.js'), 'projections', 'rebuild', '--promote'],
    {
      env: { PATH: process.env.PATH, ...service.stores.variables, DATA_DIR: service.dataDir },
    },
  );
  expect(await pastOf()).toEqual(before);
});
