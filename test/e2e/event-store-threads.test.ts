import { join } from 'node:path';
import { embeddedStoreContract, type EmbeddedStoreLibrary } from '../../libs/event-store/sqlite-event-store.contract';

/** The built library: only that can start the threads it runs on in production. */
const lib = jest.requireActual<EmbeddedStoreLibrary>(join(__dirname, '../../dist/libs/event-store'));

embeddedStoreContract('sqlite, on threads', lib, true);
