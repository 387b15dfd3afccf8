import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';

/** Bytes that are kept in memory for a reader, and read from disk at a time. */
const BUFFER = 64 * 1024;

/**
 * A stream whose writer never waits for its reader: what the reader does not take goes to a file, which is nameless from its first moment and so goes away with the
 * process. Once the reader is gone, what is added is dropped.
 */
export class Spool extends Readable {
  private file: FileHandle | null = null;
  private written = 0;
  private taken = 0;
  /** The reader wants more than it was given. */
  private wanted = false;
  private feeding = false;
  private ended = false;

  constructor(private readonly directory: string) {
    super({ highWaterMark: BUFFER });
  }

  /** Resolves when it is on its way or on disk. One call at a time. */
  async add(bytes: Buffer): Promise<void> {
    if (this.isGone() || bytes.length === 0) return;
    if (this.isEmpty() && this.wanted) {
      this.wanted = this.push(bytes);
      return;
    }
    this.file ??= await this.openFile();
    // Everything was read: the file's space is used again.
    if (this.isEmpty()) this.written = this.taken = 0;
    await this.file.write(bytes, 0, bytes.length, this.written);
    this.written += bytes.length;
    // Its reader may have gone meanwhile.
    if (this.isGone()) await this.close();
    else this.feed();
  }

  /** Nothing more will be added. */
  end(): void {
    this.ended = true;
    this.feed();
  }

  override _read(): void {
    this.wanted = true;
    this.feed();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.close().then(() => {
      done(error);
    }, done);
  }

  private isGone(): boolean {
    return this.destroyed;
  }

  private isEmpty(): boolean {
    return !this.feeding && this.taken === this.written;
  }

  private async openFile(): Promise<FileHandle> {
    const name = path.join(this.directory, randomUUID());
    const file = await open(name, 'wx+', 0o600);
    await rm(name);
    return file;
  }

  private async close(): Promise<void> {
    const { file } = this;
    this.file = null;
    await file?.close();
  }

  private feed(): void {
    if (this.feeding || this.destroyed) return;
    if (this.taken === this.written) {
      if (this.ended) this.push(null);
      return;
    }
    if (!this.wanted || !this.file) return;
    this.feeding = true;
    const bytes = Buffer.allocUnsafe(Math.min(BUFFER, this.written - this.taken));
    this.file.read(bytes, 0, bytes.length, this.taken).then(
      ({ bytesRead }) => {
        this.feeding = false;
        this.taken += bytesRead;
        if (this.destroyed) return;
        this.wanted = this.push(bytes.subarray(0, bytesRead));
        this.feed();
      },
      (error: unknown) => {
        this.feeding = false;
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }
}
