/**
 * The engine without HTTP, as a process of its own: its stores and their threads, and the commands as the gateway's controllers send them. It has its data
 * in an empty folder.
 */

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { CommandBus, CqrsModule, QueryBus } from '@nestjs/cqrs';
import { serveTask } from './child.mjs';
import { dialList } from './dialing.mjs';
import { cpuSeconds, peakMemory } from './usage.mjs';
import { temporaryFolder } from './temporary.mjs';
import { attemptNumber, targetOf, TRIES } from './work.mjs';

const built = (file) => createRequire(import.meta.url)(path.join(import.meta.dirname, '../dist', file));
const { startEngine } = built('apps/gateway/src/engine/engine.js');
const { keepHeapsSmall } = built('apps/gateway/src/heap-growth.js');
const { readTarget } = built('apps/gateway/src/dto/target.dto.js');
const { ClaimTargets, CreateOutdial, CreateOutplan, GetProgress, ImportTargets, RecordOutcomes } = built('libs/application/index.js');
const { DEFAULT_POLICY, NO_ID } = built('libs/dialing/index.js');
const { createLogger, readConfiguration } = built('libs/platform/index.js');

/** The read models of a million targets take their time. */
const READ_MODELS_MS = 600_000;
/** Rows a chunk, as the gateway cuts a body. */
const CHUNK = 64;

class Engine {}

/** Commands and queries of one customer, each a request of its own. */
async function openEngine(dataDir) {
  const engine = await startEngine(readConfiguration({ DATA_DIR: dataDir }), createLogger('warn'));
  const module = { module: Engine, imports: [CqrsModule.forRoot()], providers: engine.providers };
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  await app.init();
  const [commands, queries] = [app.get(CommandBus), app.get(QueryBus)];
  const customerId = randomUUID();
  const context = () => {
    const id = randomUUID();
    return { customerId, admin: false, actor: customerId, requestId: id, commandId: id, fresh: true };
  };
  return {
    execute: (Command, ...details) => commands.execute(new Command(context(), ...details)),
    ask: (Query, ...details) => queries.execute(new Query(context(), ...details)),
    async close() {
      await app.close();
      await engine.stop();
    },
  };
}

async function makeOutdial(engine) {
  const policy = { ...DEFAULT_POLICY, tryInterval: 0, maxTryCounts: [TRIES, TRIES, TRIES, TRIES, TRIES] };
  const outplan = await engine.execute(CreateOutplan, { name: 'bench', detail: '', policy });
  const details = { name: 'bench', detail: '', data: '', campaignId: NO_ID, outplanId: outplan.value.id };
  const { value } = await engine.execute(CreateOutdial, details);
  return value.id;
}

async function* chunksOf(targets) {
  for (let first = 0; first < targets; first += CHUNK) {
    yield Array.from({ length: Math.min(CHUNK, targets - first) }, (_, offset) => readTarget(targetOf(first + offset), ''));
  }
}

async function importList(engine, outdialId, targets) {
  const start = performance.now();
  const before = process.cpuUsage();
  const into = await engine.execute(ImportTargets, outdialId, { readd: false, updateDuplicates: false, dryRun: false });
  let created = 0;
  await into.run(chunksOf(targets), async ({ fates }) => {
    for (const { result } of fates) if (result === 'created') created++;
  });
  const seconds = (performance.now() - start) / 1000;
  const progress = await progressWhen(engine, outdialId, ({ callable }) => callable === targets);
  return { seconds, cpu: cpuSeconds(before), created, total: progress.targets.total };
}

async function dial(engine, outdialId, how) {
  const before = process.cpuUsage();
  const dialed = await dialList(
    {
      async claim(limit, dialer) {
        const { leases } = await engine.execute(ClaimTargets, outdialId, limit, dialer, null, null);
        return leases.map(({ target, attempt: { attemptId, destinationIndex, tryCount } }) => ({
          attemptId,
          targetId: target.id,
          i: Number(target.externalId),
          k: attemptNumber(destinationIndex, tryCount),
        }));
      },
      async report(outcomes) {
        const reports = outcomes.map((outcome) => ({ ...outcome, disposition: null, detail: null, tmEnd: null }));
        return (await engine.execute(RecordOutcomes, outdialId, reports)).fates;
      },
    },
    how,
  );
  const { attempts, done } = await progressWhen(engine, outdialId, ({ targets }) => targets.done === how.targets);
  const counted = { total: attempts.total, byOutcome: attempts.byOutcome, answered: done.answered, exhausted: done.exhausted };
  return { ...dialed, cpu: cpuSeconds(before), counted };
}

async function progressWhen(engine, outdialId, holds) {
  const deadline = Date.now() + READ_MODELS_MS;
  for (;;) {
    const progress = await engine.ask(GetProgress, outdialId);
    if (holds(progress)) return progress;
    if (Date.now() > deadline) throw new Error(`the read models do not get there: ${JSON.stringify(progress.targets)}`);
    await sleep(50);
  }
}

keepHeapsSmall();
serveTask(async ({ targets, dials, dialers, batch }) => {
  const engine = await openEngine(temporaryFolder('bench'));
  const outdialId = await makeOutdial(engine);
  const imported = await importList(engine, outdialId, targets);
  const dialed = dials ? await dial(engine, outdialId, { targets, dialers, batch }) : null;
  await engine.close();
  return { imported, dialed, rss: peakMemory(process.pid) };
});
