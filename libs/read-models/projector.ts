// eslint-disable-next-line no-restricted-imports -- only the default of an option; a simulation passes its own.
import { setTimeout as sleep } from 'node:timers/promises';
import { START, StreamDamaged, type Position } from '#event-store';
import { Folding, type Decode } from './folding';
import { ensureGeneration, nextName, retireOthers } from './generations';
import { versionsOf, type AnyProjection } from './projection';
import type { Generations, GenerationStatus, GenerationWriter, QuarantinedDocument } from './read-store';
import {
  backoff,
  runProjections,
  unlessDamaged,
  type Commit,
  type ProjectionLog,
  type ProjectionLogger,
  type RunEnd,
  type RunnerLimits,
} from './runner';
import { factOf, newerRelease, type Helper } from './stream-folds';

/** How far the live generation is. Plain data: it crosses threads. */
export interface ProjectorProgress {
  /** The live generation's checkpoint; START while there is none. */
  readonly position: Position;
  /** null while the first one is being built. Another name than before: readers have to look again. */
  readonly generation: string | null;
  /** It had folded everything when it last looked. */
  readonly caughtUp: boolean;
  /** Its documents that lack an event. */
  readonly quarantined?: number;
  /** It stands still for good, and why; absent while it works. */
  readonly stopped?: string;
}

export interface ProjectorOptions {
  readonly log: ProjectionLog;
  readonly generations: Generations;
  readonly projections: readonly AnyProjection[];
  readonly decode: Decode;
  readonly onProgress: (progress: ProjectorProgress) => void;
  readonly logger?: ProjectionLogger;
  readonly wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Threads that a build from nothing may use beside this one. */
  readonly helpers?: readonly Helper[];
  readonly limits?: Partial<RunnerLimits>;
}

export interface Projector {
  /** Builds all read models anew beside the live ones and keeps them up to date. Answers the new generation's name at once. */
  rebuild(): Promise<string>;
  /** Makes a generation that is being built the live one as soon as it has caught up, and retires the old one. Resolves when that is done. */
  promote(name: string): Promise<void>;
  /** Folds the streams of quarantined documents anew. Answers what is still quarantined; what folds many streams (progress) needs a rebuild. */
  retry(): Promise<readonly QuarantinedDocument[]>;
  status(): Promise<readonly GenerationStatus[]>;
  stop(): Promise<void>;
}

/**
 * Keeps the read models up to date with the log: takes up the live generation, or builds one and promotes it. All in the calling thread, meant to be one of
 * its own; two generations take turns commit by commit.
 */
export function startProjector(options: ProjectorOptions): Projector {
  const projector = new GenerationsProjector(options);
  return {
    rebuild: () => projector.rebuild(),
    promote: (name) => projector.promote(name),
    retry: () => projector.retry(),
    status: () => projector.status(),
    stop: () => projector.stop(),
  };
}

/** A generation that is being kept up to date. */
interface Building {
  readonly name: string;
  readonly writer: GenerationWriter;
  readonly abort: AbortController;
  /** Resolves when nothing of it is under way any more. */
  over: Promise<void>;
  position: Position;
  caughtUp: boolean;
  prepared: boolean;
  quarantined: number;
  stopped: string | null;
  /** Asked to be made the live one; told when it is, or when it never will be. */
  promotion: { readonly done: () => void; readonly failed: (error: Error) => void } | null;
}

const SILENT: ProjectionLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Waking early because of the signal is no error here. */
const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  sleep(milliseconds, undefined, { signal }).catch(() => undefined);

class GenerationsProjector {
  private live: Building | null = null;
  private next: Building | null = null;
  private promoting = false;
  private readonly stopping = new AbortController();
  private readonly logger: ProjectionLogger;
  private readonly wait: NonNullable<ProjectorOptions['wait']>;
  /** Orders are carried out one after the other, the first start before all. */
  private orders: Promise<unknown>;

  constructor(private readonly options: ProjectorOptions) {
    this.logger = options.logger ?? SILENT;
    this.wait = options.wait ?? pause;
    this.orders = this.start();
  }

  rebuild(): Promise<string> {
    return this.order(async () => {
      // Asked again, or by two at once: one rebuild is enough.
      if (this.next !== null) return this.next.name;
      const name = nextName(await this.options.generations.list());
      this.next = await this.build(name);
      return name;
    });
  }

  async promote(name: string): Promise<void> {
    const promoted = await this.order(async () => {
      const { live, next } = this;
      if (live?.name === name) return { done: Promise.resolve() };
      if (next?.name !== name) throw new Error(`The generation ${name} is not being built.`);
      if (next.promotion !== null) throw new Error(`The generation ${name} is to be promoted already, as soon as it has caught up.`);
      const done = new Promise<void>((resolve, reject) => {
        next.promotion = { done: resolve, failed: reject };
      });
      void this.promoteWhenReady(next);
      return { done };
    });
    await promoted.done;
  }

  retry(): Promise<readonly QuarantinedDocument[]> {
    return this.order(async () => {
      const { live } = this;
      if (live === null) return [];
      await this.end(live);
      const writer = await this.open(live.name);
      let left: readonly QuarantinedDocument[] = [];
      try {
        await refoldQuarantined(writer, this.options);
        left = await writer.quarantined();
      } finally {
        await writer.close();
        this.live = await this.build(live.name);
      }
      return left;
    });
  }

  status(): Promise<readonly GenerationStatus[]> {
    return this.options.generations.list();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.order(async () => {
      for (const building of [this.next, this.live]) if (building !== null) await this.end(building);
    });
  }

  private async start(): Promise<void> {
    const { generations, projections } = this.options;
    for (let failures = 1; !this.stopping.signal.aborted; failures += 1) {
      try {
        const plan = await ensureGeneration(generations, versionsOf(projections));
        if (plan.live !== null) this.live ??= await this.build(plan.live);
        if (plan.build !== null) this.next ??= await this.build(plan.build, { done: () => undefined, failed: () => undefined });
        return;
      } catch (error) {
        this.logger.error({ err: error, failures }, 'could not open the read models: trying again');
        await this.wait(backoff(failures), this.stopping.signal);
      }
    }
  }

  private order<T>(work: () => Promise<T>): Promise<T> {
    const done = this.orders.then(work);
    this.orders = done.catch(() => undefined);
    return done;
  }

  private open(name: string): Promise<GenerationWriter> {
    return this.options.generations.open(name, versionsOf(this.options.projections));
  }

  private async build(name: string, promotion: Building['promotion'] = null): Promise<Building> {
    const { log, decode, projections, helpers, limits } = this.options;
    const writer = await this.open(name);
    const building: Building = {
      name,
      writer,
      abort: new AbortController(),
      over: Promise.resolve(),
      position: await writer.position(),
      caughtUp: false,
      prepared: false,
      quarantined: (await writer.quarantined()).length,
      stopped: null,
      promotion,
    };
    building.over = runProjections({
      log,
      decode,
      projections,
      writer,
      signal: building.abort.signal,
      wait: this.wait,
      logger: this.logger,
      onCommitted: (commit) => this.committed(building, commit),
      ...(helpers === undefined ? {} : { helpers }),
      ...(limits === undefined ? {} : { limits }),
    }).then(
      (end) => this.ended(building, explain(end)),
      (error: unknown) => this.ended(building, error instanceof Error ? error.message : String(error)),
    );
    return building;
  }

  private async committed(building: Building, commit: Commit): Promise<void> {
    building.position = commit.position;
    building.caughtUp = commit.caughtUp;
    building.quarantined += commit.quarantined.length;
    if (building === this.live) this.report(building);
    else if (commit.caughtUp) await this.promoteWhenReady(building);
  }

  /** Between two commits of that generation, or while it has nothing to do. Never rejects. */
  private async promoteWhenReady(building: Building): Promise<void> {
    if (this.promoting) return;
    this.promoting = true;
    for (let failures = 1; building.caughtUp && !this.stopping.signal.aborted; failures += 1) {
      try {
        await this.promoteNow(building);
        break;
      } catch (error) {
        this.logger.error({ err: error, failures, generation: building.name }, 'could not promote the read models: trying again');
        await this.wait(backoff(failures), this.stopping.signal);
      }
    }
    this.promoting = false;
  }

  private async promoteNow(building: Building): Promise<void> {
    const { generations } = this.options;
    if (!building.prepared) {
      await building.writer.prepare();
      building.prepared = true;
    }
    // Readers never go back in time: the next commit brings it there.
    if (building.promotion === null || building.position < (this.live?.position ?? START)) return;
    if (this.live !== building) {
      await generations.promote(building.name);
      const old = this.live;
      this.live = building;
      this.next = null;
      this.report(building);
      building.promotion.done();
      if (old !== null) {
        this.logger.info({ generation: building.name, position: building.position }, 'these read models are live now, in place of others');
        await this.end(old);
      }
    }
    await retireOthers(generations, []);
  }

  private async end(building: Building): Promise<void> {
    building.abort.abort();
    await building.over;
  }

  private async ended(building: Building, reason: string | null): Promise<void> {
    await building.writer.close();
    building.promotion?.failed(
      new Error(`The generation ${building.name} is no longer being built${reason === null ? '' : `: ${reason}`}`),
    );
    if (reason === null) return;
    building.stopped = reason;
    this.logger.error({ generation: building.name }, reason);
    // Without a live generation the one being built is what readers wait for.
    if (building === this.live || this.live === null) this.report(building);
    if (building === this.next) this.next = null;
  }

  private report(building: Building): void {
    const { name, position, caughtUp, quarantined, stopped } = building;
    const live = building === this.live;
    this.options.onProgress({
      position: live ? position : START,
      generation: live ? name : null,
      caughtUp: live && caughtUp,
      quarantined,
      ...(stopped === null ? {} : { stopped }),
    });
  }
}

function explain(end: RunEnd): string | null {
  switch (end.reason) {
    case 'stopped':
      return null;
    case 'ownership-lost':
      return 'Another process keeps these read models up to date now.';
    case 'unknown-event-type':
      return newerRelease(end.type, end.position);
  }
}

async function refoldQuarantined(writer: GenerationWriter, { log, decode, projections }: ProjectorOptions): Promise<void> {
  const marks = await writer.quarantined();
  const position = await writer.position();
  for (const projection of projections) {
    const own = marks.filter(({ collection }) => collection === projection.schema.name);
    if (projection.headOf === undefined || own.length === 0) continue;
    const folding = new Folding(projection, own.length);
    for (const { id, stream } of own) {
      const events = await unlessDamaged(log.readStream(stream));
      // It stays marked, and holds up no other.
      if (events instanceof StreamDamaged) continue;
      folding.refold(
        id,
        events.map((event) => factOf(event, decode)),
      );
    }
    const documents = new Map([[projection.schema.name, folding.documents()]]);
    await writer.commit({ documents, checkpoint: { from: position, to: position } });
  }
}
