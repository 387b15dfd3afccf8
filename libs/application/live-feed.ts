import { decodeContext, decodeEvent } from '#dialing';
import type { TargetStatus } from '#dialing';
import { START } from '#event-store';
import type { EventBatch, EventStore, Position, RecordedEvent } from '#event-store';
import type { Log, Scheduler } from './engine';
import { targetMessage } from './target-message';
import type { TargetMessage } from './target-message';

/** What a listener wants to hear: one outdial, or all of a customer's; of all new statuses, or of one. */
export interface Topic {
  readonly of: { readonly outdialId: string } | { readonly customerId: string };
  readonly status: TargetStatus | null;
}

/** Where a listener's text goes. */
export interface Listener {
  /** UTF-8; the same bytes go to all that listen for the same, and are changed by none. */
  write(piece: Buffer): void;
  /** Resolves when what was written has left this process; rejects when the listener has gone or takes nothing any more. */
  drained(): Promise<void>;
  /** The feed has ended, or gave the listener up. */
  end(): void;
}

/** How messages become text: the wire's business, not the feed's. */
export interface Wording {
  message(message: TargetMessage, position: Position): string;
  /** A point to resume from, with nothing to tell. */
  point(position: Position): string;
}

interface Item {
  readonly position: Position;
  readonly outdialId: string;
  readonly customerId: string;
  readonly status: TargetStatus;
  readonly text: string;
}

export interface FeedOptions {
  /** Messages kept for who comes back. */
  readonly kept: number;
  /** Milliseconds between two writes to a listener: what came meanwhile is one piece, shared by all that want the same. */
  readonly tick: number;
  /** Milliseconds between two points to resume from, where nothing else is told. */
  readonly beat: number;
  /** Milliseconds that the log is followed on when the last listener has gone. */
  readonly linger: number;
  /** Listeners at once that are told of what is no longer kept. */
  readonly catchUps: number;
}

const OPTIONS: FeedOptions = { kept: 20_000, tick: 20, beat: 15_000, linger: 60_000, catchUps: 4 };

/** All places for listeners that must read the log are taken. */
export class FeedBusy extends Error {
  readonly code = 'FeedBusy';
}

/** Messages written at once to who catches up. */
const PIECE = 500;

/** Listeners of one topic. All of them have been told everything up to the feed's position but what is pending. */
interface Channel {
  readonly listeners: Set<Listener>;
  pending: string[];
}

/**
 * Live changes of targets, in the order of the log: one subscription a gateway, a ring of what was told last, and one shared piece of text a topic and tick, however many
 * listen (docs/adr/0010-live-feed.md). The log is followed while somebody listens.
 *
 * A listener begins after a position. What the ring still has is told at once; what it lacks is read from the log at the listener's own pace, until the ring has the
 * rest. So there is no gap, and no repeat, whatever comes while it catches up.
 */
export class LiveFeed {
  private readonly options: FeedOptions;
  private readonly channels = new Map<string, Channel>();
  private ring: Item[] = [];
  /** The ring has everything after it, up to `position`. */
  private ringFrom: Position = START;
  private position: Position = START;
  private following: AbortController | null = null;
  private ready: Promise<void> = Promise.resolve();
  private readonly onStop = new Set<() => void>();
  private present = 0;
  private catchingUp = 0;
  private stopped = false;
  private cancelTick: (() => void) | null = null;
  private cancelBeat: () => void = () => undefined;
  private cancelLinger: () => void = () => undefined;

  constructor(
    private readonly events: EventStore,
    private readonly scheduler: Scheduler,
    private readonly wording: Wording,
    private readonly log: Log,
    options: Partial<FeedOptions> = {},
  ) {
    this.options = { ...OPTIONS, ...options };
  }

  get listeners(): number {
    return this.present;
  }

  /**
   * Reserves a place for a listener that begins after `after` (null: now). Throws FeedBusy. Told apart from `run`, so that a refusal can still be an answer with a
   * status. A place that is not run must be given back.
   */
  async enter(after: Position | null): Promise<FeedPlace> {
    if (this.stopped) throw new FeedBusy('The service is ending.');
    this.present += 1;
    try {
      await this.follow();
      const head = await this.events.head();
      // One from the future can only be of a log that was restored from a back-up: it goes on from what there is.
      const from = after === null || after > head ? head : after;
      const behind = from < this.ringFrom;
      if (behind && this.catchingUp >= this.options.catchUps) throw new FeedBusy('Too many streams are being replayed at once; try again.');
      if (behind) this.catchingUp += 1;
      return { from, behind };
    } catch (error) {
      this.leave();
      throw error;
    }
  }

  /** Tells a listener everything after its place's position, for as long as it listens; resolves when it has gone or the feed has ended. */
  async run(topic: Topic, place: FeedPlace, listener: Listener, gone: AbortSignal): Promise<void> {
    try {
      let { from } = place;
      try {
        do from = await this.catchUp(topic, from, listener, gone);
        while (!gone.aborted && !this.stopped && !this.join(topic, from, listener));
      } finally {
        if (place.behind) this.catchingUp -= 1;
      }
      await this.endOf(gone);
    } finally {
      this.leaveChannel(topic, listener);
      listener.end();
      this.leave();
    }
  }

  /** Gives up a place that was not run. */
  giveBack({ behind }: FeedPlace): void {
    if (behind) this.catchingUp -= 1;
    this.leave();
  }

  stop(): void {
    this.stopped = true;
    this.flush();
    this.unfollow();
    for (const over of [...this.onStop]) over();
  }

  private endOf(gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (gone.aborted || this.stopped) {
        resolve();
        return;
      }
      const over = (): void => {
        this.onStop.delete(over);
        resolve();
      };
      this.onStop.add(over);
      gone.addEventListener('abort', over, { once: true });
    });
  }

  private leaveChannel(topic: Topic, listener: Listener): void {
    const channel = this.channels.get(keyOf(topic));
    channel?.listeners.delete(listener);
    if (channel?.listeners.size === 0) this.channels.delete(keyOf(topic));
  }

  private leave(): void {
    this.present -= 1;
    if (this.present > 0 || this.stopped) return;
    this.cancelLinger();
    this.cancelLinger = this.scheduler.after(this.options.linger, () => {
      if (this.present === 0) this.unfollow();
    });
  }

  /** Begins to follow the log, from its head, unless it is followed already. */
  private follow(): Promise<void> {
    this.cancelLinger();
    if (this.following !== null) return this.ready;
    const following = new AbortController();
    this.following = following;
    this.ready = this.events.head().then((head) => {
      this.ring = [];
      this.ringFrom = head;
      this.position = head;
      void this.subscribe(head, following.signal);
      this.beat();
    });
    this.ready.catch(() => {
      this.following = null;
    });
    return this.ready;
  }

  private unfollow(): void {
    this.following?.abort();
    this.following = null;
    this.cancelBeat();
    this.cancelTick?.();
    this.cancelTick = null;
  }

  private async subscribe(after: Position, signal: AbortSignal): Promise<void> {
    const over = (): boolean => signal.aborted;
    for (let from = after; !over();) {
      try {
        for await (const batch of this.events.subscribe(from, signal)) {
          if (over()) return;
          from = batch.position;
          this.take(batch);
        }
      } catch (error) {
        this.log.warn({ error }, 'the live feed lost the event log; trying again');
      }
      if (!over()) await new Promise<void>((resolve) => this.scheduler.after(1000, resolve));
    }
  }

  private take({ events, position }: EventBatch): void {
    for (const event of events) {
      const item = this.itemOf(event);
      if (item === null) continue;
      this.ring.push(item);
      for (const key of keysOf(item)) this.channels.get(key)?.pending.push(item.text);
    }
    this.position = position;
    this.evict();
    this.cancelTick ??= this.scheduler.after(this.options.tick, () => {
      this.cancelTick = null;
      this.flush();
    });
  }

  private evict(): void {
    const excess = this.ring.length - this.options.kept;
    // A quarter more than what is promised, so that moving the rest costs little.
    if (excess <= this.options.kept / 4) return;
    const last = this.ring[excess - 1];
    this.ring = this.ring.slice(excess);
    if (last) this.ringFrom = last.position;
  }

  private flush(): void {
    for (const channel of this.channels.values()) this.flushChannel(channel);
  }

  private flushChannel(channel: Channel): void {
    if (channel.pending.length === 0) return;
    const piece = pieceOf(channel.pending);
    channel.pending = [];
    for (const listener of channel.listeners) listener.write(piece);
  }

  private beat(): void {
    this.cancelBeat = this.scheduler.after(this.options.beat, () => {
      this.flush();
      const point = pieceOf([this.wording.point(this.position)]);
      for (const { listeners } of this.channels.values()) for (const listener of listeners) listener.write(point);
      this.beat();
    });
  }

  /** Tells what lies behind, at the listener's pace; answers the position from which on the ring has little left, and everything. */
  private async catchUp(topic: Topic, from: Position, listener: Listener, gone: AbortSignal): Promise<Position> {
    const over = (): boolean => gone.aborted || this.stopped;
    let position = from;
    while (!over()) {
      if (position < this.ringFrom) {
        position = await this.replay(topic, position, listener, over);
      } else if (position > this.position) {
        // From now on, and "now" is just being delivered.
        await new Promise<void>((resolve) => this.scheduler.after(this.options.tick, resolve));
      } else {
        const missed = this.missedBy(topic, position);
        const piece = missed.slice(0, PIECE);
        if (missed.length <= PIECE) return position;
        listener.write(pieceOf(piece.map(({ text }) => text)));
        position = piece.at(-1)?.position ?? position;
        await listener.drained();
      }
    }
    return position;
  }

  private async replay(topic: Topic, after: Position, listener: Listener, over: () => boolean): Promise<Position> {
    const range = { after, upTo: this.position, batchSize: PIECE };
    const batches = 'outdialId' in topic.of ? this.events.readGroup(topic.of.outdialId, range) : this.events.readAll(range);
    let position = after;
    for await (const batch of batches) {
      if (over()) break;
      const items = batch.events.flatMap((event) => this.itemOf(event) ?? []).filter((item) => concerns(topic, item));
      position = batch.position;
      if (items.length === 0) continue;
      listener.write(pieceOf(items.map(({ text }) => text)));
      await listener.drained();
    }
    return position;
  }

  private missedBy(topic: Topic, position: Position): readonly Item[] {
    return this.ring.filter((item) => item.position > position && concerns(topic, item));
  }

  /** In one turn: what the ring has beyond the listener's position, and from then on what comes. False when the ring has moved on meanwhile. */
  private join(topic: Topic, from: Position, listener: Listener): boolean {
    if (from < this.ringFrom) return false;
    const key = keyOf(topic);
    const channel = this.channels.get(key) ?? { listeners: new Set(), pending: [] };
    this.channels.set(key, channel);
    this.flushChannel(channel);
    listener.write(pieceOf([...this.missedBy(topic, from).map(({ text }) => text), this.wording.point(this.position)]));
    channel.listeners.add(listener);
    return true;
  }

  private itemOf(recorded: RecordedEvent): Item | null {
    if (!recorded.stream.startsWith('outdialtarget-')) return null;
    try {
      const message = targetMessage(decodeEvent(recorded));
      if (message === null) return null;
      const { position } = recorded;
      const { customerId } = decodeContext(recorded);
      return { position, outdialId: message.outdialId, customerId, status: message.status, text: this.wording.message(message, position) };
    } catch (error) {
      // The projections quarantine it, loudly; a stream goes on with the next.
      this.log.error({ error, stream: recorded.stream, revision: recorded.revision }, 'an event cannot be told to live streams');
      return null;
    }
  }
}

/** Encoded here, once: a text would be encoded anew by each of its listeners. */
const pieceOf = (texts: readonly string[]): Buffer => Buffer.from(texts.join(''));

/** A place that `enter` has reserved. */
export interface FeedPlace {
  readonly from: Position;
  /** It is replayed from the log first, in one of the few places for that. */
  readonly behind: boolean;
}

const topicKey = (of: Topic['of'], status: TargetStatus | null): string =>
  `${'outdialId' in of ? `outdial ${of.outdialId}` : `customer ${of.customerId}`} ${status ?? ''}`;
const keyOf = ({ of, status }: Topic): string => topicKey(of, status);
const keysOf = ({ outdialId, customerId, status }: Item): readonly string[] => [
  topicKey({ outdialId }, null),
  topicKey({ outdialId }, status),
  topicKey({ customerId }, null),
  topicKey({ customerId }, status),
];
const concerns = ({ of, status }: Topic, item: Item): boolean =>
  (status === null || status === item.status) && ('outdialId' in of ? of.outdialId === item.outdialId : of.customerId === item.customerId);
