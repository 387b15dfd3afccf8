import type { Position } from '#event-store';

interface Waiting {
  readonly position: Position;
  readonly resolve: (reached: boolean) => void;
  readonly timer: NodeJS.Timeout;
}

/** Those who wait for the read models to get somewhere. */
export class Arrivals {
  private waiting: readonly Waiting[] = [];

  get any(): boolean {
    return this.waiting.length > 0;
  }

  /** Resolves true when the read models have reached a position, false after some milliseconds. */
  wait(position: Position, milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting = this.waiting.filter((one) => one.timer !== timer);
        resolve(false);
      }, milliseconds);
      timer.unref();
      this.waiting = [...this.waiting, { position, resolve, timer }];
    });
  }

  reached(position: Position): void {
    this.settle((one) => one.position <= position, true);
  }

  /** Nothing will arrive any more. */
  end(): void {
    this.settle(() => true, false);
  }

  private settle(which: (one: Waiting) => boolean, reached: boolean): void {
    const settled = this.waiting.filter(which);
    if (settled.length === 0) return;
    this.waiting = this.waiting.filter((one) => !settled.includes(one));
    for (const { timer, resolve } of settled) {
      clearTimeout(timer);
      resolve(reached);
    }
  }
}
