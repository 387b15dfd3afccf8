import type { Position } from '#event-store';
import type { ProjectionProgress } from './engine';

/**
 * Rows that an import may be ahead of the read models. What they do not show yet nobody sees in a list, and whoever comes with the import's Consistency-Token waits for all of it: an
 * import that runs away from them gains nothing. More than a second's worth, so that neither waits for the other's next step.
 */
const MOST_AHEAD = 32_000;
/** Read models that do not move for so long are away or stopped: an import must not wait for their repair. */
const PATIENCE_MILLIS = 5000;

/** Keeps an import near the read models. */
export class ImportPace {
  /** What was appended and is not shown, oldest first. */
  private readonly unshown: { readonly position: Position; readonly rows: number }[] = [];
  private ahead = 0;
  private patient = true;

  constructor(
    private readonly projections: ProjectionProgress,
    private readonly mostAhead = MOST_AHEAD,
    private readonly patienceMillis = PATIENCE_MILLIS,
  ) {}

  /** Gives what `chunks` gives, later when too much of what was appended is not shown yet. */
  async *of<T>(chunks: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const chunk of chunks) {
      await this.turn();
      yield chunk;
    }
  }

  /** `rows` were appended up to `position`; null when nothing was. */
  appended(position: Position | null, rows: number): void {
    if (position === null) return;
    this.unshown.push({ position, rows });
    this.ahead += rows;
  }

  private async turn(): Promise<void> {
    for (;;) {
      this.forgetShown();
      const oldest = this.unshown[0];
      if (oldest === undefined || this.ahead <= this.mostAhead || !this.patient) return;
      this.patient = await this.projections.reached(oldest.position, this.patienceMillis);
    }
  }

  private forgetShown(): void {
    const { position } = this.projections;
    const shown = this.unshown.findIndex((one) => one.position > position);
    for (const { rows } of this.unshown.splice(0, shown < 0 ? this.unshown.length : shown)) this.ahead -= rows;
    // They moved after all.
    if (shown !== 0) this.patient = true;
  }
}
