/**
 * What a replay needs of the domain: to read stored events and to fold them. A door of its own, since a thread that replays starts anew with each report, and the libraries
 * that read what callers send (phone numbers above all) take as long to load as all the rest of it.
 */
export { foldTarget } from './outdial-target';
export { decodeEvent } from './stored-events';
export { formatMicros } from './time';
