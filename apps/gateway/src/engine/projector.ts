import { Worker } from 'node:worker_threads';
import type { Log, ProjectionOrders, ProjectionProgress } from '#application';
import type { LogSource, Position } from '#event-store';
import type { GenerationStatus, ProjectorProgress, QuarantinedDocument, ReadSource } from '#read-models';
import { Arrivals } from './arrivals';

/** What the thread opens for itself. */
export interface ProjectorPlace {
  readonly source: LogSource;
  readonly models: ReadSource;
  /** Gateways elsewhere read the models, too: what they use is not removed. */
  readonly shared: boolean;
}

/** What the gateway asks of the projector's thread; `id` where an answer is expected. */
export type ToProjector =
  | { readonly kind: 'wake' }
  /** Somebody waits for events that it was woken for. */
  | { readonly kind: 'hurry' }
  | { readonly kind: 'status' }
  | { readonly kind: 'rebuild' }
  | { readonly kind: 'retry' }
  | { readonly kind: 'promote'; readonly name: string }
  | { readonly kind: 'stop' };

export type FromProjector =
  | ({ readonly kind: 'progress' } & ProjectorProgress)
  | { readonly kind: 'log'; readonly level: keyof Log; readonly fields: object; readonly message: string }
  | { readonly kind: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: string };

/** As for the log's threads: nothing but text outlives the folding of a stream. */
const MEMORY = { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 12 };

/** This process's end of the projector's thread: how far the read models are, and the orders of the admin command line. */
export class Projector implements ProjectionProgress, ProjectionOrders {
  private readonly worker: Worker;
  private readonly answers = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();
  /** Told once it stands still for good. */
  onStopped: (reason: string) => void = () => undefined;
  private readonly arrivals = new Arrivals();
  private lastId = 0;
  private latest: ProjectorProgress = { position: '', generation: null, caughtUp: false };
  /** Set when the thread has ended by itself: the read models stand still. */
  private failure: string | null = null;

  constructor(
    where: ProjectorPlace,
    private readonly log: Log,
    private readonly onProgress: (progress: ProjectorProgress, previous: ProjectorProgress) => void,
  ) {
    this.worker = new Worker(require.resolve('./projector-thread'), { workerData: where, resourceLimits: MEMORY });
    this.worker.on('message', (message: FromProjector) => {
      this.received(message);
    });
    this.worker.on('error', (error) => {
      this.failure = error.message;
      this.onStopped(error.message);
      this.log.error({ error }, 'the projector has stopped: the read models stand still until the service is started again');
    });
    this.worker.on('exit', () => {
      for (const { reject } of this.answers.values()) reject(new Error('the projector has stopped'));
      this.answers.clear();
    });
  }

  get position(): Position {
    return this.latest.position;
  }

  /** null while it works; else why it does not. */
  get stopped(): string | null {
    return this.failure ?? this.latest.stopped ?? null;
  }

  /** Documents that lack an event. */
  get quarantined(): number {
    return this.latest.quarantined ?? 0;
  }

  /** The live generation has folded everything that was there when it last looked. */
  get caughtUp(): boolean {
    return this.latest.generation !== null && this.latest.caughtUp;
  }

  reached(position: Position, milliseconds: number): Promise<boolean> {
    if (this.latest.position >= position) return Promise.resolve(true);
    this.tell({ kind: 'hurry' });
    return this.arrivals.wait(position, milliseconds);
  }

  /** There are new events. */
  wake(): void {
    this.tell({ kind: 'wake' });
  }

  async status(): Promise<readonly GenerationStatus[]> {
    return (await this.ask({ kind: 'status' })) as readonly GenerationStatus[];
  }

  /** Builds all read models anew beside the live ones. Answers the new generation's name. */
  async rebuild(): Promise<string> {
    return (await this.ask({ kind: 'rebuild' })) as string;
  }

  /** Folds quarantined documents again. Answers what is still quarantined. */
  async retry(): Promise<readonly QuarantinedDocument[]> {
    return (await this.ask({ kind: 'retry' })) as readonly QuarantinedDocument[];
  }

  /** Resolves when that generation has caught up and is live. */
  async promote(name: string): Promise<void> {
    await this.ask({ kind: 'promote', name });
  }

  async stop(): Promise<void> {
    if (this.failure === null) await this.ask({ kind: 'stop' }).catch(() => undefined);
    this.arrivals.end();
    await this.worker.terminate();
  }

  private tell(message: ToProjector & { readonly id?: number }): void {
    this.worker.postMessage(message);
  }

  private ask(message: ToProjector): Promise<unknown> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      this.answers.set(id, { resolve, reject });
      this.tell({ ...message, id });
    });
  }

  private received(message: FromProjector): void {
    if (message.kind === 'answer') {
      const answer = this.answers.get(message.id);
      this.answers.delete(message.id);
      if (message.error === undefined) answer?.resolve(message.value);
      else answer?.reject(new Error(message.error));
      return;
    }
    if (message.kind === 'log') {
      this.log[message.level](message.fields, message.message);
      return;
    }
    const { kind: _, ...progress } = message;
    const previous = this.latest;
    this.latest = progress;
    this.arrivals.reached(progress.position);
    this.onProgress(progress, previous);
    if (progress.stopped !== undefined) this.onStopped(progress.stopped);
  }
}
