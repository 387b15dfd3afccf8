import { LRUCache } from 'lru-cache';
import {
  DEFAULT_POLICY,
  deriveTargetId,
  formatMicros,
  invalidArgument,
  NO_ID,
  notFound,
  OutdialError,
  streamOf,
  targetIdentity,
} from '#dialing';
import type { DialingEvent, DialPolicy, Micros, NewTarget, Outdial, Target } from '#dialing';
import type { Position } from '#event-store';
import { stateAt } from './audit';
import type { Ports } from './engine';
import { DoubtfulClaims } from './doubtful-claims';
import { Hoppers } from './hoppers';
import type { Sharing } from './hoppers';
import type { RequestContext } from './request';
import { OUTDIAL, OUTPLAN, Streams, TARGET } from './streams';
import type { Known } from './streams';

/** How long a query waits, unasked, for its own credential's writes; and when its Consistency-Token asks for it (the API contract, Conventions). */
const UNASKED_MILLIS = 250;
const ASKED_MILLIS = 2000;

/** What the handlers share: the ports, the streams, the hoppers, and the look-ups that every one of them begins with. One a process. */
export class Services {
  readonly streams: Streams;
  readonly hoppers: Hoppers;
  readonly doubtful: DoubtfulClaims;
  /** Newest write of a credential to an outdial: what that credential's queries wait for. */
  private readonly ownWrites = new LRUCache<string, Position>({ max: 10_000 });

  /** `sharing` null: this process alone hands out leases. */
  constructor(
    readonly ports: Ports,
    sharing: Sharing | null = null,
  ) {
    this.streams = new Streams(ports.events);
    this.hoppers = new Hoppers(ports.reads, ports.projections, sharing);
    this.doubtful = new DoubtfulClaims(ports, this.streams);
    this.streams.onCommitted((committed) => {
      this.hoppers.committed(committed);
    });
  }

  /** The customer's outdial; 404 for what does not exist and for another customer's alike. */
  async outdial(context: RequestContext, outdialId: string): Promise<Known<Outdial> & { readonly state: Outdial }> {
    const { state, head } = await this.streams.load(OUTDIAL, streamOf.outdial(outdialId));
    if (state?.customerId !== context.customerId) throw outdialNotFound(outdialId);
    return { state, head };
  }

  /** The same, for a change to it or to one of its targets. */
  async changeableOutdial(context: RequestContext, outdialId: string): Promise<Outdial> {
    const { state } = await this.outdial(context, outdialId);
    if (state.tmDelete !== null) {
      throw new OutdialError('CONFLICT', 'DELETED', `The outdial ${outdialId} is deleted: it cannot change any more.`);
    }
    return state;
  }

  async target(context: RequestContext, outdialId: string, targetId: string): Promise<Known<Target> & { readonly state: Target }> {
    await this.outdial(context, outdialId);
    const { state, head } = await this.streams.load(TARGET, streamOf.target(outdialId, targetId));
    if (!state) throw targetNotFound(targetId);
    return { state, head };
  }

  /** A stream's state at a time, by replay; null before its first event. 400 for a time that has not come. */
  async at<S, E extends DialingEvent>(
    stream: string,
    at: Micros,
    evolve: (state: S | null, event: E) => S,
  ): Promise<{ readonly state: S; readonly revision: number } | null> {
    if (at > this.ports.clock.now()) {
      throw invalidArgument('at', 'must not be in the future', formatMicros(at));
    }
    return stateAt(await this.ports.events.readStream(stream), at, evolve);
  }

  /** Today's policy of an outdial. A deleted outplan still applies where it is attached. */
  async policyOf(outdial: Outdial): Promise<DialPolicy> {
    if (outdial.outplanId === NO_ID) return DEFAULT_POLICY;
    const { state } = await this.streams.load(OUTPLAN, streamOf.outplan(outdial.outplanId));
    return state?.policy ?? DEFAULT_POLICY;
  }

  /** The policy of an outplan that the caller names. */
  async namedPolicy(context: RequestContext, outplanId: string): Promise<DialPolicy> {
    const { state } = await this.streams.load(OUTPLAN, streamOf.outplan(outplanId));
    if (state?.customerId !== context.customerId || state.tmDelete !== null) throw outplanNotFound(outplanId);
    return state.policy;
  }

  targetId(outdialId: string, target: Pick<NewTarget, 'externalId' | 'destinations'>): string {
    return deriveTargetId(this.ports.idSecret, outdialId, targetIdentity(target.externalId, target.destinations));
  }

  /** Notes a write, so that this credential's next queries of the outdial (or, with '', of its lists) show it. */
  wrote(context: RequestContext, outdialId: string, position: Position | null): void {
    if (position !== null) this.ownWrites.set(`${context.actor} ${outdialId}`, position);
  }

  /**
   * Waits until the read models show what the query must see: the Consistency-Token's position (503 after 2 s), and, unasked and shorter, what the same
   * credential wrote to the same outdial.
   */
  async fresh(context: RequestContext, outdialId: string): Promise<void> {
    const { projections } = this.ports;
    if (context.consistency !== undefined && !(await projections.reached(context.consistency, ASKED_MILLIS))) {
      throw new OutdialError(
        'UNAVAILABLE',
        'NOT_YET_CONSISTENT',
        'The read models have not reached that Consistency-Token yet; try again.',
        [],
        1,
      );
    }
    const own = this.ownWrites.get(`${context.actor} ${outdialId}`);
    if (own === undefined) return;
    if (own <= projections.position || (await projections.reached(own, UNASKED_MILLIS)))
      this.ownWrites.delete(`${context.actor} ${outdialId}`);
  }
}

/** What there was nothing of at a time. */
export const notYet = (reason: string, what: string, at: Micros): OutdialError =>
  notFound(reason, `${what} did not exist at ${formatMicros(at)} yet.`);
export const outdialNotFound = (id: string): OutdialError => notFound('OUTDIAL_NOT_FOUND', `There is no outdial ${id}.`);
export const targetNotFound = (id: string): OutdialError =>
  notFound('OUTDIAL_TARGET_NOT_FOUND', `There is no target ${id} in this outdial.`);
export const outplanNotFound = (id: string): OutdialError => notFound('OUTPLAN_NOT_FOUND', `There is no outplan ${id}.`);
