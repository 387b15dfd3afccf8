import { randomUUID } from 'node:crypto';
import { EMPTY_STREAM, type EventStore, type Position, type RecordedEvent, type StreamHead } from './event-store';
import type { Patience } from './patience';

/**
 * The stream that a log on a server tells of itself with. Its first event names the log; those after it say how far a copy into it has come. It is in no category:
 * no projection sees it, and no read of the whole log brings it.
 */
export const LOG_STREAM = 'outdiallog';

/**
 * Stands in the copy between what was copied before it and what was copied after it: every event of the source up to and including `reached` stands before
 * this mark, every later one after it. So a mark is also what a place of the source is in the copy.
 */
export interface CopyMark {
  /** Id of the log that is copied. */
  readonly source: string;
  readonly reached: Position;
  /** What the copy went about next: up to and including this one. null: it was complete, and verified. */
  readonly next: Position | null;
  /** Where the mark itself stands, in the copy. */
  readonly position: Position;
}

const TYPE = 'LogCopied';

/** A log into which a copy has begun and not ended. What is missing of it would be taken for never having happened. */
export class CopyUnfinished extends Error {
  readonly code = 'CopyUnfinished';

  constructor() {
    super('A copy into this event log is not complete: run the same `npm run admin -- copy --to …` again, it goes on where it stopped.');
  }
}

/** Of the events of LOG_STREAM; oldest first, none for a log that is no copy. */
export function copyMarksOf(events: readonly RecordedEvent[]): readonly CopyMark[] {
  return events
    .filter(({ type }) => type === TYPE)
    .map(({ data, position }) => ({ ...(JSON.parse(data) as Omit<CopyMark, 'position'>), position }));
}

/** The logs that this one continues: its own id, and that of the log it was copied from. Heads that were written out from either are its own. */
export async function logsContinuedBy(log: Pick<EventStore, 'logId' | 'readStream'>): Promise<readonly string[]> {
  const marks = copyMarksOf(await log.readStream(LOG_STREAM));
  return [log.logId, ...new Set(marks.map(({ source }) => source))];
}

/** The marks of a log, and the only way to set another. */
export class CopyMarks {
  private constructor(
    private readonly log: Pick<EventStore, 'append'>,
    private readonly patience: Patience,
    private head: StreamHead,
    private marks: readonly CopyMark[],
  ) {}

  static async read(log: Pick<EventStore, 'append' | 'readStream'>, patience: Patience): Promise<CopyMarks> {
    const events = await patience.through(() => log.readStream(LOG_STREAM));
    return new CopyMarks(log, patience, events.at(-1) ?? EMPTY_STREAM, copyMarksOf(events));
  }

  get last(): CopyMark | undefined {
    return this.marks.at(-1);
  }

  /** The mark before which nothing stands that is later than `place` of the source: of these the last, so that as little as can be is seen again. */
  before(place: Position): CopyMark | undefined {
    return this.marks.findLast(({ reached }) => reached <= place);
  }

  /** False when somebody else sets marks, too. Rejects with StoreUnavailable. */
  async set(mark: Omit<CopyMark, 'position'>): Promise<boolean> {
    const event = { id: randomUUID(), type: TYPE, data: JSON.stringify(mark), metadata: '{}' };
    const set = await this.patience.append(
      this.log,
      { stream: LOG_STREAM, expected: this.head, events: [event], verbatim: true },
      'import',
    );
    if (!set.ok) return false;
    this.head = set.head;
    this.marks = [...this.marks, { ...mark, position: set.position }];
    return true;
  }
}
