'use strict';

// Tests of a whole service say what must happen, not how fast: the limit only keeps a broken service from hanging them, also on a machine that is busy.
// eslint-disable-next-line no-undef -- Jest gives it to what it loads
jest.setTimeout(60_000);
