import build from '../../../scripts/jest-build.js';
import { type FakeEventStoreDb, startFakeEventStoreDb } from './fake-eventstoredb';

declare global {
  // eslint-disable-next-line no-var -- how TypeScript declares a property of the global object
  var fakeEventStoreDb: FakeEventStoreDb | undefined;
}

/** The stores of a distributed run: the real ones that the environment names, else stand-ins. Says which. */
export default async function start(): Promise<void> {
  await build();
  if (process.env['EVENTSTORE_URL']) return;
  globalThis.fakeEventStoreDb = await startFakeEventStoreDb();
  process.env['EVENTSTORE_URL'] = globalThis.fakeEventStoreDb.url;
  process.stdout.write('EVENTSTORE_URL is not set: a stand-in takes the place of EventStoreDB\n');
}
