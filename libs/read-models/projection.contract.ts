import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  DEFAULT_POLICY,
  decideTarget,
  decodeEvent,
  encodeEvent,
  evolveTarget,
  REPORTED_OUTCOMES,
  streamOf,
  type Address,
  type DialingEvent,
  type EventContext,
  type NewTarget,
  type Target,
  type TargetCommand,
} from '#dialing';
import { START, type EventBatch, type Position, type RecordedEvent } from '#event-store';
import type { AnyProjection, Fact, Projection } from './projection';
import { versionsOf } from './projection';
import { READ_MODELS } from './read-models';
import type { Generations, GenerationWriter, ReadStore } from './read-store';
import { runProjections, type Commit, type ProjectionLog, type RunEnd, type RunnerOptions } from './runner';
import { openSqliteGenerations } from './sqlite-generations';
import { openSqliteReadStore } from './sqlite-read-store';

/** What every projection promises the runner, for the facts of one of its documents. */
export function projectionContract<Doc>(name: string, model: Projection<Doc>, facts: fc.Arbitrary<readonly Fact[]>): void {
  const folded = (run: readonly Fact[]): Doc | null => run.reduce<Doc | null>((document, fact) => model.evolve(document, fact), null);

  describe(`The projection ${name}`, () => {
    test('a document that is written and read is the same', () => {
      fc.assert(
        fc.property(facts, (run) => {
          const document = folded(run);
          if (document !== null) expect(model.decode(model.encode(document))).toEqual(document);
        }),
      );
    });

    test('folding many facts in one go equals folding them one by one, wherever they are cut', () => {
      const { evolveAll } = model;
      const inOneGo = (document: Doc | null, run: readonly Fact[]): Doc | null =>
        evolveAll === undefined || run.length === 0 ? run.reduce((so, fact) => model.evolve(so, fact), document) : evolveAll(document, run);
      fc.assert(
        fc.property(facts, fc.nat(), (run, at) => {
          const cut = run.length === 0 ? 0 : at % run.length;
          expect(inOneGo(inOneGo(null, run.slice(0, cut)), run.slice(cut))).toEqual(folded(run));
        }),
      );
    });

    test('its fields are those that its collection declares', () => {
      fc.assert(
        fc.property(facts, (run) => {
          const document = folded(run);
          if (document !== null) expect(Object.keys(model.fields(document)).sort()).toEqual(Object.keys(model.schema.fields).sort());
        }),
      );
    });
  });
}

export const T0 = 1_651_110_100_000_000;
export const MINUTE = 60_000_000;
export const tel = (n: number): Address => ({
  type: 'tel',
  target: `+1555123${String(n).padStart(4, '0')}`,
  target_name: '',
  name: '',
  detail: '',
});

export const aTarget = (target: Partial<NewTarget> = {}): NewTarget => ({
  name: 'John',
  detail: '',
  data: '',
  priority: 0,
  externalId: null,
  destinations: [tel(1), null, null, null, null],
  limits: { tryCountMax: null, tryCountMaxes: [null, null, null, null, null] },
  ...target,
});

const CONTEXT: EventContext = { customerId: 'c1', actor: 'c1', correlationId: 'r1', causationId: 'x1' };

export const positionOf = (n: number): Position => String(n).padStart(16, '0');

/** A log in memory. Commands on targets are decided on what it holds, and stored in their real shapes. */
export class TestLog implements ProjectionLog {
  readonly events: RecordedEvent[] = [];
  readonly targets = new Map<string, Target>();
  private readonly lengths = new Map<string, number>();
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly pageSize = 100) {}

  /** Decides a command on a target; refusals leave the log as it is. Answers the target. */
  target(targetId: string, command: TargetCommand): Target | null {
    const outdialId = command.type === 'AddTarget' ? command.outdialId : this.targets.get(targetId)?.outdialId;
    const state = this.targets.get(targetId) ?? null;
    if (outdialId === undefined) return null;
    for (const event of decided(command, state)) {
      this.append(streamOf.target(outdialId, targetId), event);
      this.targets.set(targetId, evolveTarget(this.targets.get(targetId) ?? null, event));
    }
    return this.targets.get(targetId) ?? null;
  }

  add(
    targetId: string,
    { now = T0, outdialId = 'o1', ...target }: Partial<NewTarget> & { now?: number; outdialId?: string } = {},
  ): Target | null {
    return this.target(targetId, { type: 'AddTarget', now, outdialId, targetId, customerId: 'c1', target: aTarget(target), readd: true });
  }

  append(stream: string, event: DialingEvent): RecordedEvent {
    return this.appendRaw(stream, encodeEvent(event, CONTEXT));
  }

  appendRaw(stream: string, stored: { readonly type: string; readonly data: string; readonly metadata: string }): RecordedEvent {
    const revision = this.lengths.get(stream) ?? 0;
    this.lengths.set(stream, revision + 1);
    const n = this.events.length + 1;
    const recorded = { ...stored, id: `event-${n}`, stream, revision, position: positionOf(n), hash: `hash-${n}` };
    this.events.push(recorded);
    for (const wake of this.waiting.splice(0)) wake();
    return recorded;
  }

  get end(): Position {
    return this.events.at(-1)?.position ?? START;
  }

  async readStream(stream: string): Promise<readonly RecordedEvent[]> {
    return this.events.filter((event) => event.stream === stream);
  }

  async *subscribe(after: Position, signal: AbortSignal): AsyncGenerator<EventBatch> {
    let position = after;
    for (let told = false; !signal.aborted;) {
      const woken = new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      const events = this.events.slice(Number(position), Number(position) + this.pageSize);
      position = events.at(-1)?.position ?? position;
      const caughtUp = Number(position) === this.events.length;
      if (events.length > 0 || !told) yield { events, position, caughtUp };
      told = true;
      if (caughtUp) await woken;
    }
  }
}

function decided(command: TargetCommand, state: Target | null): ReturnType<typeof decideTarget> {
  try {
    return decideTarget(command, state);
  } catch {
    return [];
  }
}

export const factOfRecorded = (recorded: RecordedEvent): Fact => {
  const { stream, revision, position, hash, id } = recorded;
  return { event: decodeEvent(recorded), stream, revision, position, hash, id };
};

/** Any life of a few targets: what dialers and operators may ask, in any order, while a clock goes on in small and large steps. */
export type Step = { readonly target: number; readonly passed: number; readonly command: TargetCommand };
/** Mostly the newest attempt of its target, sometimes the one before. */
const attemptId = fc.constantFrom('newest', 'newest', 'newest', 'earlier');
const policy = fc.constantFrom(
  DEFAULT_POLICY,
  { ...DEFAULT_POLICY, tryInterval: 0 },
  { ...DEFAULT_POLICY, tryInterval: 90_000, maxTryCounts: [1, 2, 0, 0, 0] as const },
);
const asked = { now: fc.constant(0) };
const command: fc.Arbitrary<TargetCommand> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      ...asked,
      type: fc.constant('AddTarget' as const),
      outdialId: fc.constant(''),
      targetId: fc.constant(''),
      customerId: fc.constant('c1'),
      readd: fc.constant(true),
      target: fc
        .record({
          destinations: fc.constantFrom([tel(1), null, null, null, null] as const, [tel(1), tel(2), null, tel(3), null] as const),
          priority: fc.integer({ min: -2, max: 2 }),
        })
        .map(aTarget),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      ...asked,
      type: fc.constant('RecordDialAttempt' as const),
      attemptId,
      dialer: fc.constantFrom('d1', 'd2'),
      leaseMillis: fc.constantFrom(1_000, 90_000),
      policy,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      ...asked,
      type: fc.constant('RecordOutcome' as const),
      attemptId,
      outcome: fc.constantFrom(...REPORTED_OUTCOMES),
      disposition: fc.constantFrom(null, 'sale'),
      note: fc.constant(null),
      tmEnd: fc.constant(null),
    }),
  },
  fc.record({ ...asked, type: fc.constant('ReleaseLease' as const), attemptId }),
  { weight: 3, arbitrary: fc.record({ ...asked, type: fc.constant('ExpireLease' as const), attemptId }) },
  fc.record({ ...asked, type: fc.constant('ExtendLease' as const), attemptId, leaseMillis: fc.constant(120_000) }),
  fc.record({ ...asked, type: fc.constant('RemoveTarget' as const) }),
  fc.record({ ...asked, type: fc.constant('CancelTarget' as const), reason: fc.constant('') }),
  fc.record({
    ...asked,
    type: fc.constant('ExhaustDestination' as const),
    destinationIndex: fc.constantFrom(0 as const, 1 as const),
    reason: fc.constant(''),
    policy,
  }),
  fc.record({
    ...asked,
    type: fc.constant('UpdateTarget' as const),
    changes: fc.record(
      { priority: fc.integer({ min: -2, max: 2 }), due: fc.integer({ min: T0, max: T0 + 10 * MINUTE }) },
      { requiredKeys: [] },
    ),
    policy,
  }),
);
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({ target: fc.nat({ max: 3 }), passed: fc.constantFrom(1, 500_000, 20_000_000, 70_000_000, 200_000_000), command }),
  { maxLength: 80, size: 'max' },
);

/** Lets the steps happen in an outdial. Answers when they ended. */
export function live(log: TestLog, happening: readonly Step[], outdialId = 'o1'): number {
  let now = T0;
  for (const step of happening) {
    now += step.passed;
    const targetId = `${outdialId}-t${step.target}`;
    const attempts = log.targets.get(targetId)?.attempts ?? [];
    const at = { ...step.command, now };
    if (at.type === 'AddTarget') log.target(targetId, { ...at, outdialId, targetId });
    else if (at.type === 'RecordDialAttempt') log.target(targetId, { ...at, attemptId: `${targetId}-a${attempts.length}` });
    else if ('attemptId' in at)
      log.target(targetId, { ...at, attemptId: attempts.at(at.attemptId === 'newest' ? -1 : -2)?.attemptId ?? 'none' });
    else log.target(targetId, at);
  }
  return now;
}

/** The facts of one of the targets that have lived so. */
export const factsOfTarget: fc.Arbitrary<readonly Fact[]> = steps.map((happening) => {
  const log = new TestLog();
  live(log, happening);
  return log.events.filter(({ stream }) => stream.endsWith('-t0')).map(factOfRecorded);
});

/** The facts of an outdial in which targets have lived so. */
export const factsOfOutdial: fc.Arbitrary<readonly Fact[]> = steps.map((happening) => {
  const log = new TestLog();
  live(log, happening);
  return log.events.map(factOfRecorded);
});

export interface Rig {
  readonly directory: string;
  readonly generations: Generations;
  readonly reads: ReadStore;
  /** Folds what is new, as the runner does, and answers how that ended. */
  catchUp(options?: Partial<RunnerOptions>): Promise<{ readonly end: RunEnd; readonly commits: readonly Commit[] }>;
  writer(): Promise<GenerationWriter>;
  close(): Promise<void>;
}

/** A log's read models in a folder of their own: one live generation, empty at first. */
export async function openRig(log: ProjectionLog, projections: readonly AnyProjection[] = READ_MODELS): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), 'read-models-'));
  const generations = openSqliteGenerations({ directory, projections });
  const open = (): Promise<GenerationWriter> => generations.open('g1', versionsOf(projections));
  const first = await open();
  await first.prepare();
  await first.close();
  await generations.promote('g1');
  const reads = openSqliteReadStore({ directory, projections });
  return {
    directory,
    generations,
    reads,
    writer: open,
    async catchUp(options = {}) {
      const stop = new AbortController();
      const commits: Commit[] = [];
      const writer = options.writer ?? (await open());
      const end = await runProjections({
        log,
        decode: decodeEvent,
        projections,
        signal: stop.signal,
        wait: async () => undefined,
        logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
        onCommitted: (commit) => {
          commits.push(commit);
          if (commit.caughtUp) stop.abort();
        },
        ...options,
        writer,
      });
      await writer.close();
      return { end, commits };
    },
    async close() {
      await reads.close();
      rmSync(directory, { recursive: true });
    },
  };
}
