import { availableParallelism, setPriority } from 'node:os';
import { parentPort, type Transferable } from 'node:worker_threads';

/** Of one piece of work, whoever waits for it among them: each goes through the links of the whole log, so that more bring less and less. */
const MOST_THREADS = 4;

/** How many threads share work over a log in files. */
export const sideThreads = (): number => Math.min(MOST_THREADS, availableParallelism());

/**
 * What such a thread may hold. It needs a tenth of it but for a damaged log, of which it keeps the names of all streams; without a limit the collector lets the garbage of
 * long work pile up.
 */
export const SIDE_THREAD_MEMORY = { maxYoungGenerationSizeMb: 12, maxOldGenerationSizeMb: 1024 };

/** Claims go first. Only Linux has a priority for each thread; elsewhere this would be the whole process's. */
const NICENESS = 10;

/**
 * The side of a worker thread that makes pieces for another: the next one while the last is taken in, and no more than `ahead` that nobody has asked for, so that
 * memory does not grow with the log. Each message from the other side asks for one more.
 */
export class SideThread<Piece> {
  private readonly port: NonNullable<typeof parentPort>;
  private resume: () => void = () => undefined;

  constructor(private ahead: number) {
    if (!parentPort) throw new Error('This is a worker thread: it is started by another.');
    this.port = parentPort;
    if (process.platform === 'linux') setPriority(NICENESS);
    this.port.on('message', () => {
      this.ahead += 1;
      this.resume();
    });
  }

  /** Resolves when the piece is on its way. */
  async send(piece: Piece, transfer: readonly Transferable[] = []): Promise<void> {
    while (this.ahead === 0) await new Promise<void>((resolve) => (this.resume = resolve));
    this.ahead -= 1;
    this.port.postMessage(piece, transfer);
  }

  /** That was all: the thread ends. */
  end(last?: Piece): void {
    if (last !== undefined) this.port.postMessage(last);
    this.port.close();
  }
}
