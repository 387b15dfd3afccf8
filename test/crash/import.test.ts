/** An import that a kill -9 of the service cut off. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { bodyOf, differences, eventually, newOutdial, phone, tel } from '../support/api';
import type { Client } from '../support/api';
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

const ROWS = 30_000;
const NDJSON = 'application/x-ndjson';
const rows = (from: number, to: number): string =>
  Array.from(
    { length: to - from },
    (_, n) => `${JSON.stringify({ external_id: `row-${from + n}`, destination: tel(phone(from + n)) })}\n`,
  ).join('');

interface Line {
  readonly row: number;
  readonly id: string;
  readonly result: string;
}
const linesOf = (answer: string): readonly Line[] =>
  answer
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

test('is completed by sending the file again: what was told is there, and nothing is doubled', async () => {
  const outdial = await newOutdial(api);
  const sending = request(api.locate(`${outdial.path}/targets`), {
    method: 'POST',
    headers: { authorization: `Bearer ${api.token}`, 'content-type': NDJSON },
  });
  sending.on('error', () => undefined);
  sending.write(rows(0, ROWS / 2));
  const [answer] = (await once(sending, 'response')) as [IncomingMessage];
  let said = '';
  answer.on('data', (chunk: Buffer) => (said += chunk.toString())).on('error', () => undefined);
  await eventually(async () => expect(said.length).toBeGreaterThan(100_000));
  await service.kill();
  await eventually(async () => expect(answer.destroyed).toBe(true));
  const told = linesOf(said);
  expect(said).not.toContain('summary');

  await service.start();
  const again = await api.send('POST', `${outdial.path}/targets`, rows(0, ROWS), { headers: { 'content-type': NDJSON } });
  bodyOf(again);
  const lines = again.text.trimEnd().split('\n');
  const { summary } = JSON.parse(lines.pop() ?? '') as { summary: Record<string, number | string> };
  const fates = lines.map((line) => JSON.parse(line) as Line);
  expect(summary).toMatchObject({ total: ROWS, invalid: 0 });
  expect(Number(summary.created) + Number(summary.duplicates)).toBe(ROWS);
  // Whatever was told before is there, under the id that was told.
  expect(told.length).toBeGreaterThan(0);
  const lost = told.filter(({ row, id }) => fates[row - 1]?.result !== 'duplicate' || fates[row - 1]?.id !== id);
  expect(lost).toEqual([]);
  const headers = { 'consistency-token': String(summary.consistency_token) };
  await eventually(async () => bodyOf(await api.get(`${outdial.path}/progress`, { headers })));
  expect((await outdial.progress()).targets).toEqual({ total: ROWS, idle: ROWS, progressing: 0, done: 0 });
  expect(await differences(outdial, 100)).toEqual([]);
});

test('leaves a service behind that ends in order while others are under way', async () => {
  const outdial = await newOutdial(api);
  const sending = request(api.locate(`${outdial.path}/targets`), {
    method: 'POST',
    headers: { authorization: `Bearer ${api.token}`, 'content-type': NDJSON },
  });
  sending.on('error', () => undefined);
  sending.write(rows(0, 2000));
  const [answer] = (await once(sending, 'response')) as [IncomingMessage];
  answer.on('error', () => undefined).resume();
  // The import waits for rows that never come: its connection is cut when the time to finish is over.
  expect(await service.stop()).toBe(0);
  await service.start();
  expect((await outdial.progress()).targets.total).toBe(2000);
});
