import type { StateStore } from '#event-store';
import type { Log, Scheduler } from './engine';
import { Rounds } from './rounds';

/**
 * Work that one process does at a time, of many that could: folding the read models, expiring leases, delivering webhooks. Who does it is a record in the state
 * store, written anew with each beat by a compare-and-set of its version. Another takes over when the record has stood still for as long as the watcher itself
 * has looked at it: no two clocks are ever compared (docs/adr/0015-several-gateways.md).
 *
 * Ownership alone is no lock: an owner that was paused may act for a moment after it has been replaced. What it does is therefore safe by itself (documents guarded
 * by their positions, expiries decided at the append, cursors saved by compare-and-set); ownership makes that rare.
 */
export interface OwnedWork {
  /** What is owned: a state record of its own. */
  readonly name: string;
  /** Begins the work. When it rejects, the ownership is given back and taken again later, by whoever comes first. */
  start(epoch: number): Promise<void>;
  /** Ends it: the ownership is lost or given back. Nothing of it may be under way when this resolves. */
  stop(): Promise<void>;
  /** How it goes, for those who watch; JSON. */
  report?(): unknown;
}

/** The record of one ownership. */
export interface OwnerRecord {
  /** null: given back, free to be taken at once. */
  readonly owner: string | null;
  /** Raised each time that somebody takes it. */
  readonly epoch: number;
  /** Raised by the owner, once in `BEAT_MILLIS`. */
  readonly beat: number;
  readonly report: unknown;
}

export const BEAT_MILLIS = 1000;
/** Looks at a record that stands still before it is taken: five seconds. */
export const STILL_LOOKS = 5;
/** An owner that could not beat for so long stops by itself, well before anybody else begins. */
const STEP_DOWN_MILLIS = 3000;
/** After it was given back because it cannot be done here, others come first. */
const RESIGNED_LOOKS = 15;

export const OWNER_PREFIX = 'owner/';

/** The work that workers share out, by name. Read models of other versions are other work: during an upgrade both are built. */
export const OWNED = {
  expiry: 'expiry',
  webhooks: 'webhooks',
  projections: (versions: Readonly<Record<string, number>>): string =>
    `projections-${Object.entries(versions)
      .map(([model, version]) => `${model}.${version}`)
      .sort()
      .join('-')}`,
  all: (versions: Readonly<Record<string, number>>): readonly string[] => [OWNED.projections(versions), OWNED.expiry, OWNED.webhooks],
} as const;

export interface OwnershipPorts {
  readonly state: StateStore;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

/** Competes for one piece of work for as long as the process runs. */
export class Ownership {
  private readonly key: string;
  private readonly rounds: Rounds;
  private running = false;
  private epoch = 0;
  /** Of the record, when it was last seen or written. */
  private version = 0;
  private record: OwnerRecord = { owner: null, epoch: 0, beat: 0, report: null };
  private still = 0;
  private holdOff = 0;
  private cancelStepDown: () => void = () => undefined;
  private ending: Promise<void> = Promise.resolve();

  constructor(
    private readonly ports: OwnershipPorts,
    private readonly me: string,
    private readonly work: OwnedWork,
  ) {
    this.key = `${OWNER_PREFIX}${work.name}`;
    this.rounds = new Rounds(ports.scheduler, BEAT_MILLIS, () => this.look());
  }

  get name(): string {
    return this.work.name;
  }

  /** Whether this process does the work now. */
  get mine(): boolean {
    return this.running;
  }

  /** Who does it, as far as this process knows. */
  get owner(): string | null {
    return this.record.owner;
  }

  get term(): number {
    return this.record.epoch;
  }

  start(): void {
    void this.rounds.start();
  }

  /** Gives it back, so that another can begin at once. */
  async stop(): Promise<void> {
    await this.rounds.stop();
    if (this.running) await this.giveBack('this process ends');
  }

  /** The work cannot be done here: another process may try. */
  async resign(reason: string): Promise<void> {
    this.holdOff = RESIGNED_LOOKS;
    await this.rounds.between(async () => {
      if (this.running) await this.giveBack(reason);
    });
  }

  /** Never rejects. */
  private async look(): Promise<void> {
    try {
      if (this.running) await this.beat();
      else await this.watch();
    } catch (error) {
      this.ports.log.warn({ error, work: this.work.name }, 'the record of who does this work cannot be reached');
    }
  }

  private async beat(): Promise<void> {
    const next: OwnerRecord = { ...this.record, beat: this.record.beat + 1, report: this.work.report?.() ?? null };
    if (await this.put(next)) {
      this.stepDownLater();
      return;
    }
    // A beat whose answer was lost stands there as ours; anything else is another owner's.
    const found = await this.read();
    if (found?.owner === this.me && found.epoch === this.epoch) this.stepDownLater();
    else await this.end(`it was taken over by ${found?.owner ?? 'another process'}`);
  }

  private async watch(): Promise<void> {
    if (this.holdOff > 0) this.holdOff -= 1;
    const before = this.version;
    const found = await this.read();
    this.still = found === null || this.version !== before ? 0 : this.still + 1;
    // Its own name there: it stepped down, and nobody came.
    const free = found === null || found.owner === null || found.owner === this.me;
    if (this.rounds.ended || (free ? this.holdOff > 0 : this.still < STILL_LOOKS + this.holdOff)) return;
    const next: OwnerRecord = { owner: this.me, epoch: (found?.epoch ?? 0) + 1, beat: 0, report: null };
    if (await this.put(next)) await this.begin(next.epoch, found);
  }

  private async begin(epoch: number, before: OwnerRecord | null): Promise<void> {
    await this.ending;
    this.epoch = epoch;
    this.running = true;
    this.still = 0;
    this.ports.log.info({ work: this.work.name, epoch, before: before?.owner ?? null }, 'this process does this work now');
    this.stepDownLater();
    try {
      await this.work.start(epoch);
    } catch (error) {
      this.ports.log.error({ error, work: this.work.name }, 'this work could not be begun');
      this.holdOff = STILL_LOOKS;
      await this.giveBack('it could not be begun');
    }
  }

  private async giveBack(reason: string): Promise<void> {
    await this.end(reason);
    await this.put({ ...this.record, owner: null, report: null }).catch(() => false);
  }

  private async end(reason: string): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.cancelStepDown();
    this.ports.log.info({ work: this.work.name, epoch: this.epoch, reason }, 'this process does this work no longer');
    this.ending = this.work.stop().catch((error: unknown) => {
      this.ports.log.error({ error, work: this.work.name }, 'this work did not end in an orderly way');
    });
    await this.ending;
  }

  private stepDownLater(): void {
    this.cancelStepDown();
    this.cancelStepDown = this.ports.scheduler.after(STEP_DOWN_MILLIS, () => {
      void this.end('its record could not be written for too long');
    });
  }

  private async read(): Promise<OwnerRecord | null> {
    const found = await this.ports.state.get(this.key);
    this.version = found?.version ?? 0;
    this.record = found ? (JSON.parse(found.value) as OwnerRecord) : { owner: null, epoch: 0, beat: 0, report: null };
    return found ? this.record : null;
  }

  private async put(next: OwnerRecord): Promise<boolean> {
    if (!(await this.ports.state.put(this.key, JSON.stringify(next), this.version))) return false;
    this.version += 1;
    this.record = next;
    return true;
  }
}
