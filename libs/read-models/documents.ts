import type { DialingEvent } from '#dialing';
import type { StreamHead } from '#event-store';
import type { Projection } from './projection';
import type { CollectionSchema, Quarantine, ReadDocument, StoredDocument } from './read-store';

/**
 * The document of one aggregate: its decider's own state, and the event it stands at. So what is folded from the stream and what is read from the
 * model agree by construction, and a command can be decided on a document.
 */
export interface AggregateDocument<State> {
  readonly state: State;
  readonly head: StreamHead;
}

interface AggregateModel<State, Event extends DialingEvent> {
  /** Raised with the fields; a changed `evolve` of the core needs it raised, too. */
  readonly version: number;
  readonly schema: CollectionSchema;
  readonly category: string;
  /** Absent: the stream is named after it. */
  readonly documentId?: (subject: string) => string;
  /** Every type of event that the aggregate's streams hold: complete, or it does not compile. */
  readonly events: Readonly<Record<Event['type'], true>>;
  readonly evolve: (state: State | null, event: Event) => State;
  readonly fields: (state: State) => StoredDocument['fields'];
  /** Absent: the document as JSON. */
  readonly body?: DocumentBody<AggregateDocument<State>>;
}

/** How a document is written and read. */
export type DocumentBody<Doc> = Pick<Projection<Doc>, 'encode' | 'decode'>;

export const jsonBody = <Doc>(): DocumentBody<Doc> => ({
  encode: (document) => JSON.stringify(document),
  decode: (body) => JSON.parse(body) as Doc,
});

/** A read model that keeps one aggregate a document, named as its collection. */
export function aggregateProjection<State, Event extends DialingEvent>(
  model: AggregateModel<State, Event>,
): Projection<AggregateDocument<State>> {
  const isOwn = eventsOf(model.events);
  return {
    name: model.schema.name,
    version: model.version,
    schema: model.schema,
    category: model.category,
    documentId: model.documentId ?? ((subject) => subject),
    evolve(document, { event, revision, hash }) {
      if (!isOwn(event)) throw new MisplacedEvent(model.schema.name, event.type);
      return { state: model.evolve(document?.state ?? null, event), head: { revision, hash } };
    },
    headOf: (document) => document.head,
    fields: (document) => model.fields(document.state),
    ...(model.body ?? jsonBody()),
  };
}

/** A guard for the events of one kind of stream. */
export const eventsOf =
  <Event extends DialingEvent>(types: Readonly<Record<Event['type'], true>>) =>
  (event: DialingEvent): event is Event =>
    Object.hasOwn(types, event.type);

/** An event in a stream of another aggregate. */
export class MisplacedEvent extends Error {
  readonly code = 'MisplacedEvent';

  constructor(model: string, type: string) {
    super(`An event ${type} does not belong to a stream of ${model}.`);
    this.name = 'MisplacedEvent';
  }
}

/** The document lacks an event that could not be folded: what it says may be wrong, so it is not handed out. */
export class DocumentQuarantined extends Error {
  readonly code = 'DocumentQuarantined';

  constructor(
    readonly documentId: string,
    readonly quarantine: Quarantine,
  ) {
    const { revision, stream, reason } = quarantine;
    super(`The document ${documentId} is quarantined: event ${revision} of ${stream} could not be folded (${reason}).`);
    this.name = 'DocumentQuarantined';
  }
}

/** Reads a stored document of a model. Throws `DocumentQuarantined`. */
export function documentOf<Doc>(model: Projection<Doc>, stored: ReadDocument): Doc {
  if (stored.quarantine !== null) throw new DocumentQuarantined(stored.id, JSON.parse(stored.quarantine) as Quarantine);
  return model.decode(stored.body);
}
