import type { AnyBulkWriteOperation, Collection } from 'mongodb';
import { isDuplicate, MongoConnection, mongoDriver, START, type Position } from '#event-store';
import { sameVersions } from './generations';
import {
  indexesOf,
  mongoDocument,
  MongoLayout,
  QUARANTINE_INDEX,
  READ_FIELDS,
  readDocument,
  versionsKey,
  type GenerationRecord,
  type MongoDocument,
} from './mongo-layout';
import type { AnyProjection } from './projection';
import type {
  Generations,
  GenerationStatus,
  GenerationWriter,
  Quarantine,
  QuarantinedDocument,
  ReadDocument,
  StoredDocument,
  WriteBatch,
} from './read-store';

type Versions = Readonly<Record<string, number>>;

export interface MongoGenerationsOptions {
  readonly url: string;
  /** Of the log that is folded. */
  readonly logId: string;
  readonly projections: readonly AnyProjection[];
  /** The sets of versions that running gateways use, besides these: what they read is not retired. Absent: none. */
  readonly usedVersions?: () => Promise<readonly Versions[]>;
}

/**
 * The generations of one log in MongoDB. Several releases may have their own at once: each set of versions has its live one. Any number of processes may open them;
 * that one of them moves the checkpoint is settled by compare-and-set. Rejects with StoreUnavailable, and with RangeError when the URL is wrong.
 */
export async function openMongoGenerations(options: MongoGenerationsOptions): Promise<Generations & { close(): Promise<void> }> {
  const layout = new MongoLayout(options.logId, options.projections);
  return new MongoGenerations(await MongoConnection.open(options.url), layout, options);
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

class MongoGenerations implements Generations {
  constructor(
    private readonly connection: MongoConnection,
    private readonly layout: MongoLayout,
    private readonly options: MongoGenerationsOptions,
  ) {}

  async list(): Promise<readonly GenerationStatus[]> {
    const used = await this.used();
    return this.connection.run(async () => {
      const live = await this.live(used);
      const records = await this.records.find({}, { sort: { _id: 1 } }).toArray();
      return Promise.all(records.map((record) => this.describe(record, live, used)));
    });
  }

  async open(name: string, versions: Versions): Promise<GenerationWriter> {
    if (!NAME.test(name)) throw new Error(`A generation's name is lower-case letters, digits and dashes, not ${JSON.stringify(name)}.`);
    return this.connection.run(async () => {
      const found = (await this.records.findOne({ _id: name })) ?? (await this.create(name, versions));
      if (found.retired === true) throw new Error(`The generation ${name} is being removed.`);
      if (!sameVersions(found.versions, versions))
        throw new Error(`The generation ${name} was built with other versions of the read models.`);
      return new MongoGenerationWriter(name, this.connection, this.layout, this.options.url);
    });
  }

  async promote(name: string): Promise<void> {
    await this.connection.run(async () => {
      const found = await this.records.findOne({ _id: name });
      if (found?.prepared !== true || found.retired === true) throw new Error(`The generation ${name} is not prepared to be read.`);
      const { versions } = found;
      const point = (): Promise<unknown> =>
        this.layout.current(this.connection).replaceOne({ _id: versionsKey(versions) }, { versions, generation: name }, { upsert: true });
      // Two that insert the same record at once: the second one finds it.
      await point().catch((error: unknown) => (isDuplicate(error) ? point() : Promise.reject(asError(error))));
    });
  }

  async retire(name: string): Promise<void> {
    const used = await this.used();
    await this.connection.run(async () => {
      if ((await this.live(used)).has(name)) throw new Error(`The generation ${name} is the live one.`);
      const found = await this.records.findOne({ _id: name });
      if (found === null) return;
      await this.layout.current(this.connection).deleteMany({ generation: name });
      // Its record goes last: what is left by a crash in between is still found, and retired again. Marked first, so that nobody goes on with it.
      await this.records.updateOne({ _id: name }, { $set: { retired: true } });
      for (const collection of found.collections) await this.layout.documents(this.connection, name, collection).drop();
      await this.records.deleteOne({ _id: name });
    });
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  private get records(): Collection<GenerationRecord> {
    return this.layout.generations(this.connection);
  }

  /** The keys of all versions that are read somewhere. */
  private async used(): Promise<ReadonlySet<string>> {
    const others = (await this.options.usedVersions?.()) ?? [];
    return new Set([this.layout.key, ...others.map(versionsKey)]);
  }

  private async live(used: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const current = await this.layout
      .current(this.connection)
      .find({ _id: { $in: Array.from(used) } })
      .toArray();
    return new Set(current.map(({ generation }) => generation));
  }

  private async create(name: string, versions: Versions): Promise<GenerationRecord> {
    const collections = Array.from(this.layout.schemas.keys());
    for (const collection of collections) await this.layout.documents(this.connection, name, collection).createIndexes([QUARANTINE_INDEX]);
    const record = { _id: name, versions, collections, position: START, prepared: false };
    try {
      await this.records.insertOne(record);
      return record;
    } catch (error) {
      const other = isDuplicate(error) ? await this.records.findOne({ _id: name }) : null;
      if (other === null) throw error;
      return other;
    }
  }

  private async describe(record: GenerationRecord, live: ReadonlySet<string>, used: ReadonlySet<string>): Promise<GenerationStatus> {
    const { _id: name, versions, collections, position, retired = false } = record;
    const counts = await Promise.all(
      collections.map((collection) =>
        this.layout.documents(this.connection, name, collection).countDocuments(QUARANTINED, { hint: QUARANTINE_INDEX.name }),
      ),
    );
    const key = versionsKey(versions);
    const foreign = key !== this.layout.key && used.has(key) && !retired;
    return {
      name,
      versions,
      live: live.has(name),
      position,
      quarantined: counts.reduce((total, count) => total + count, 0),
      ...(foreign ? { foreign } : {}),
    };
  }
}

const QUARANTINED = { quarantine: { $exists: true } } as const;

class MongoGenerationWriter implements GenerationWriter {
  constructor(
    readonly name: string,
    private readonly connection: MongoConnection,
    private readonly layout: MongoLayout,
    private readonly url: string,
  ) {}

  async position(): Promise<Position> {
    return (await this.record())?.position ?? START;
  }

  load(collection: string, ids: readonly string[]): Promise<readonly ReadDocument[]> {
    const documents = this.documents(collection);
    return this.connection.run(async () => {
      const found: ReadDocument[] = [];
      for (let at = 0; at < ids.length; at += LOADED_AT_ONCE) {
        const some = ids.slice(at, at + LOADED_AT_ONCE);
        const cursor = documents.find({ _id: { $in: some } }, { projection: READ_FIELDS, batchSize: LOADED_AT_ONCE });
        found.push(...(await cursor.map(readDocument).toArray()));
      }
      return found;
    });
  }

  async commit({ documents, checkpoint }: WriteBatch): Promise<boolean> {
    // Who has lost the generation should not write to it at all. What it writes nevertheless, between this look and the last one, is guarded.
    if ((await this.record())?.position !== checkpoint.from) return false;
    for (const [name, batch] of documents) {
      const collection = this.documents(name);
      for (const slice of slices(batch)) await this.connection.run(() => write(collection, slice));
    }
    return this.connection.run(async () => {
      const moved = await this.layout
        .generations(this.connection)
        .updateOne({ _id: this.name, position: checkpoint.from, retired: { $exists: false } }, { $set: { position: checkpoint.to } });
      return moved.matchedCount === 1;
    });
  }

  async prepare(): Promise<void> {
    if ((await this.record())?.prepared === true) return;
    const patient = await MongoConnection.open(this.url, { patient: true });
    try {
      for (const schema of this.layout.schemas.values()) {
        const indexes = indexesOf(schema);
        if (indexes.length > 0) await patient.run(() => this.layout.documents(patient, this.name, schema.name).createIndexes(indexes));
      }
    } finally {
      await patient.close();
    }
    await this.connection.run(() => this.layout.generations(this.connection).updateOne({ _id: this.name }, { $set: { prepared: true } }));
  }

  quarantined(): Promise<readonly QuarantinedDocument[]> {
    return this.connection.run(async () => {
      const marked = await Promise.all(
        Array.from(this.layout.schemas.keys(), async (collection) => {
          const found = await this.documents(collection)
            .find(QUARANTINED, { hint: QUARANTINE_INDEX.name, projection: READ_FIELDS })
            .toArray();
          return found
            .sort((one, other) => (one._id < other._id ? -1 : 1))
            .map(({ _id: id, quarantine = '{}' }) => ({ collection, id, ...(JSON.parse(quarantine) as Quarantine) }));
        }),
      );
      return marked.flat();
    });
  }

  /** The connection is that of all generations: it stays. */
  async close(): Promise<void> {
    return undefined;
  }

  /** null: it was retired. */
  private record(): Promise<GenerationRecord | null> {
    return this.connection.run(() => this.layout.generations(this.connection).findOne({ _id: this.name, retired: { $exists: false } }));
  }

  private documents(collection: string): Collection<MongoDocument> {
    return this.layout.documents(this.connection, this.name, this.layout.schema(collection).name);
  }
}

const LOADED_AT_ONCE = 2_000;
const WRITTEN_AT_ONCE = 1_000;
/** Characters of bodies: a message has at most 48 MB, and a command should not hold up a server for long. */
const CHARACTERS_AT_ONCE = 4_000_000;

function* slices(documents: readonly StoredDocument[]): Generator<readonly StoredDocument[]> {
  let slice: StoredDocument[] = [];
  let characters = 0;
  for (const document of documents) {
    if (slice.length >= WRITTEN_AT_ONCE || (slice.length > 0 && characters + document.body.length > CHARACTERS_AT_ONCE)) {
      yield slice;
      slice = [];
      characters = 0;
    }
    slice.push(document);
    characters += document.body.length;
  }
  if (slice.length > 0) yield slice;
}

/**
 * Each document where the stored one is not newer, and where there is none. When there is a newer one the filter does not match, and the insert that follows meets its id:
 * what is left then is written by somebody who is ahead. Two that insert at once look the same, so those are tried once more.
 */
async function write(collection: Collection<MongoDocument>, documents: readonly StoredDocument[]): Promise<void> {
  const writes = documents.map((document): AnyBulkWriteOperation<MongoDocument> => {
    const { _id, ...replacement } = mongoDocument(document);
    return { replaceOne: { filter: { _id, position: { $lte: document.position } }, replacement, upsert: true } };
  });
  const refused = await met(collection, writes);
  if (refused.length > 0) await met(collection, refused);
}

/** Writes them, and answers those that met a document with their id. Rejects when anything else went wrong. */
async function met(
  collection: Collection<MongoDocument>,
  writes: readonly AnyBulkWriteOperation<MongoDocument>[],
): Promise<readonly AnyBulkWriteOperation<MongoDocument>[]> {
  try {
    await collection.bulkWrite(writes, { ordered: false });
    return [];
  } catch (error) {
    if (!(error instanceof mongoDriver().MongoBulkWriteError)) throw error;
    const errors = [error.writeErrors].flat();
    const unconfirmed = error.result.getWriteConcernError() !== undefined;
    if (errors.length === 0 || unconfirmed || errors.some(({ code }) => code !== 11_000)) throw error;
    return errors.flatMap(({ index }) => writes[index] ?? []);
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
