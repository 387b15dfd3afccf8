import type { StateStore } from '#event-store';
import type { Log, Scheduler } from './engine';
import { BEAT_MILLIS, OWNER_PREFIX, STILL_LOOKS } from './ownership';
import type { OwnerRecord } from './ownership';
import { Rounds } from './rounds';

/** First digits of a target's id: the buckets that gateways share an outdial's targets by. */
export const DIGITS: readonly string[] = Array.from({ length: 16 }, (_, digit) => digit.toString(16));
const GATEWAY_PREFIX = 'gateway/';
const EXPIRES_MILLIS = 60 * 60 * 1000;

interface GatewayRecord {
  readonly beat: number;
  /** Of the read models that it reads. */
  readonly versions: Versions;
}
type Versions = Readonly<Record<string, number>>;

/** A record that is alive as long as its version moves. */
interface Watched {
  readonly version: number;
  readonly value: string;
  readonly still: number;
}

export interface PresencePorts {
  readonly state: StateStore;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Milliseconds since 1970, for when a record that nobody writes any more may be removed. */
  now(): number;
}

/** Which targets a gateway takes first. */
export interface Share {
  /** Digits with which the ids of its own targets begin; '' when it has none. All sixteen: it is alone. */
  readonly own: string;
}

const ALONE: Share = { own: DIGITS.join('') };

/**
 * The processes of a deployment, as each of them sees the others: every gateway writes a record once a second, and one that stands still for five looks is gone.
 * The gateways that are there share the sixteen buckets evenly, in the order of their names: each works out the same without asking.
 */
export class Presence {
  private watched = new Map<string, Watched>();
  private beats = 0;
  private readonly rounds: Rounds;
  private current: Share = ALONE;

  /** `me` null: only looks. */
  constructor(
    private readonly ports: PresencePorts,
    private readonly me: { readonly id: string; readonly versions: Versions } | null,
    private readonly onShare: (share: Share) => void = () => undefined,
  ) {
    this.rounds = new Rounds(ports.scheduler, BEAT_MILLIS, () => this.look());
  }

  get share(): Share {
    return this.current;
  }

  /** Names of the gateways that are there, this one included. */
  get gateways(): readonly string[] {
    return this.alive(GATEWAY_PREFIX).map(([name]) => name);
  }

  /** The sets of versions of read models that gateways read, and that workers build. */
  get versions(): readonly Versions[] {
    const read = this.alive(GATEWAY_PREFIX).map(([, value]) => (JSON.parse(value) as GatewayRecord).versions);
    const built = [...this.owners.values()].map(({ report }) => (report as { readonly versions?: Versions } | null)?.versions);
    return [...read, ...built.filter((versions) => versions !== undefined)];
  }

  /** Who does which work; what nobody does any more is not among them. */
  get owners(): ReadonlyMap<string, OwnerRecord> {
    const records = this.alive(OWNER_PREFIX).map(([name, value]) => [name, JSON.parse(value) as OwnerRecord] as const);
    return new Map(records.filter(([, { owner }]) => owner !== null));
  }

  /** Resolves after the first look. Never rejects: a store that is away is looked at again. */
  start(): Promise<void> {
    return this.rounds.start();
  }

  async stop(): Promise<void> {
    await this.rounds.stop();
    if (this.me !== null) await this.ports.state.delete(`${GATEWAY_PREFIX}${this.me.id}`).catch(() => undefined);
  }

  private async look(): Promise<void> {
    try {
      if (this.me !== null) await this.beat(this.me);
      const found = [...(await this.ports.state.list(GATEWAY_PREFIX)), ...(await this.ports.state.list(OWNER_PREFIX))];
      this.watched = new Map(found.map(({ key, version, value }) => [key, this.seen(key, version, value)]));
    } catch (error) {
      // Nobody can be told from the others now: everything stays as it was.
      this.ports.log.warn({ error }, 'the other processes of this deployment cannot be seen');
      return;
    }
    const share = this.shareOf(this.gateways);
    if (share.own === this.current.own) return;
    this.current = share;
    this.onShare(share);
  }

  private async beat({ id, versions }: { readonly id: string; readonly versions: Versions }): Promise<void> {
    const key = `${GATEWAY_PREFIX}${id}`;
    this.beats += 1;
    const record: GatewayRecord = { beat: this.beats, versions };
    const version = (await this.ports.state.get(key))?.version ?? 0;
    await this.ports.state.put(key, JSON.stringify(record), version, this.ports.now() + EXPIRES_MILLIS);
  }

  private seen(key: string, version: number, value: string): Watched {
    const before = this.watched.get(key);
    return { version, value, still: before?.version === version ? before.still + 1 : 0 };
  }

  private alive(prefix: string): readonly (readonly [name: string, value: string])[] {
    const there = [...this.watched].filter(([key, { still }]) => key.startsWith(prefix) && still < STILL_LOOKS);
    return there.map(([key, { value }]) => [key.slice(prefix.length), value] as const).sort(([one], [other]) => (one < other ? -1 : 1));
  }

  private shareOf(gateways: readonly string[]): Share {
    const at = this.me === null ? -1 : gateways.indexOf(this.me.id);
    if (at < 0) return ALONE;
    return { own: DIGITS.filter((_, digit) => digit % gateways.length === at).join('') };
  }
}
