import { join } from 'node:path';
import { embeddedStoreContract, type EmbeddedStoreLibrary } from '../../libs/event-store/sqlite-event-store.contract';

/** The built library: only that can start the threads it runs on in production. */
const lib = require(join(__dirname, '../../dist/libs/event-store')) as EmbeddedStoreLibrary;

embeddedStoreContract('sqlite, on threads', lib, true);
