'use strict';

// Tests say what must happen, not how fast: the limit only keeps what is broken from hanging them, also on a machine that is busy, and where stand-ins for two servers share it.
// eslint-disable-next-line no-undef -- Jest gives it to what it loads
jest.setTimeout(process.env.STAND_INS ? 180_000 : 60_000);
