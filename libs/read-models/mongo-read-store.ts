import { MongoConnection, START, type Position } from '#event-store';
import { MongoLayout, READ_FIELDS, readDocument, versionsKey } from './mongo-layout';
import { countQuery, findSteps } from './mongo-queries';
import type { AnyProjection } from './projection';
import type { FindQuery, ReadAnswer, ReadDocument, ReadOperation, ReadStore } from './read-store';

/**
 * Reads the live generation of these read models in these versions; without one it answers that nothing is there, and looks again at each read. A generation that was
 * retired meanwhile is noticed, and the one in its place read. Rejects with StoreUnavailable, and with RangeError when the URL is wrong.
 */
export async function openMongoReadStore(options: {
  readonly url: string;
  readonly logId: string;
  readonly projections: readonly AnyProjection[];
}): Promise<ReadStore & { refresh(): Promise<void> }> {
  const layout = new MongoLayout(options.logId, options.projections);
  return new MongoReadStore(await MongoConnection.open(options.url), layout);
}

const NOTHING: ReadAnswer = { documents: [], count: 0 };

class MongoReadStore implements ReadStore {
  private live: string | null = null;

  constructor(
    private readonly connection: MongoConnection,
    private readonly layout: MongoLayout,
  ) {}

  /** Documents are written before the checkpoint: what is read after the position is of it, or of a later one. */
  read(operations: readonly ReadOperation[]): Promise<{ readonly answers: readonly ReadAnswer[]; readonly position: Position }> {
    return this.connection.run(async () => {
      for (;;) {
        const generation = await this.open();
        if (generation === null) return { answers: operations.map(() => NOTHING), position: START };
        const answers = await Promise.all(operations.map((operation) => this.answer(generation.name, operation)));
        // A collection that was dropped before it was read looks empty.
        const whole = answers.every(({ count }) => count > 0) || (await this.positionOf(generation.name)) !== null;
        if (whole) return { answers, position: generation.position };
      }
    });
  }

  position(): Promise<Position> {
    return this.connection.run(async () => (await this.open())?.position ?? START);
  }

  refresh(): Promise<void> {
    return this.connection.run(async () => {
      this.live = await this.lookUp();
    });
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  /** The live generation and its checkpoint; null when there is none. */
  private async open(): Promise<{ readonly name: string; readonly position: Position } | null> {
    const known = this.live;
    const before = known === null ? null : await this.positionOf(known);
    if (known !== null && before !== null) return { name: known, position: before };
    const name = await this.lookUp();
    const position = name === null ? null : await this.positionOf(name);
    this.live = position === null ? null : name;
    return name === null || position === null ? null : { name, position };
  }

  private async lookUp(): Promise<string | null> {
    return (await this.layout.current(this.connection).findOne({ _id: this.layout.key }))?.generation ?? null;
  }

  /** null when it was retired, or is of other versions. */
  private async positionOf(name: string): Promise<Position | null> {
    const record = await this.layout.generations(this.connection).findOne({ _id: name });
    return record === null || record.retired === true || versionsKey(record.versions) !== this.layout.key ? null : record.position;
  }

  private async answer(generation: string, operation: ReadOperation): Promise<ReadAnswer> {
    switch (operation.kind) {
      case 'get': {
        const { name } = this.layout.schema(operation.collection);
        const ids = Array.from(operation.ids);
        const found = this.layout
          .documents(this.connection, generation, name)
          .find({ _id: { $in: ids } }, { projection: READ_FIELDS, batchSize: LARGEST_BATCH });
        const documents = await found.map(readDocument).toArray();
        return { documents, count: documents.length };
      }
      case 'find': {
        const documents = await this.find(generation, operation.query);
        return { documents, count: documents.length };
      }
      case 'count': {
        const schema = this.layout.schema(operation.query.collection);
        const { filter, hint } = countQuery(schema, operation.query);
        const count = await this.layout.documents(this.connection, generation, schema.name).countDocuments(filter, { hint });
        return { documents: [], count };
      }
    }
  }

  private async find(generation: string, query: FindQuery): Promise<readonly ReadDocument[]> {
    const schema = this.layout.schema(query.collection);
    const collection = this.layout.documents(this.connection, generation, schema.name);
    // By id: a document that changes between two steps may be met by both, and is where the later one met it.
    const found = new Map<string, ReadDocument>();
    for (const { filter, ...how } of findSteps(schema, query)) {
      const limit = query.limit - found.size;
      // For MongoDB a limit of 0 is none.
      if (limit <= 0) break;
      const options = { ...how, limit, projection: READ_FIELDS, batchSize: Math.min(limit, LARGEST_BATCH) };
      for (const document of await collection.find(filter, options).map(readDocument).toArray()) {
        found.delete(document.id);
        found.set(document.id, document);
      }
    }
    return Array.from(found.values());
  }
}

/** Documents in one answer; more come in several. */
const LARGEST_BATCH = 2_000;
