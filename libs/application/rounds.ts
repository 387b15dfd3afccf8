import type { Scheduler } from './engine';

/** Looks at something again and again: each time a pause after it has last looked, and never twice at once. */
export class Rounds {
  private round: Promise<void> = Promise.resolve();
  private stopped = false;
  private cancel: () => void = () => undefined;

  /** `look` never rejects. */
  constructor(
    private readonly scheduler: Scheduler,
    private readonly pauseMillis: number,
    private readonly look: () => Promise<void>,
  ) {}

  /** There will be no further round. */
  get ended(): boolean {
    return this.stopped;
  }

  /** Resolves after the first look. */
  start(): Promise<void> {
    this.begin();
    return this.round;
  }

  /** When the round under way is over, if one is; the next one waits for it. */
  between(work: () => Promise<void>): Promise<void> {
    this.round = this.round.then(work);
    return this.round;
  }

  /** Resolves when the round under way is over. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancel();
    await this.round;
  }

  private begin(): void {
    this.round = this.look();
    void this.round.finally(() => {
      if (!this.stopped) this.cancel = this.scheduler.after(this.pauseMillis, () => this.begin());
    });
  }
}
