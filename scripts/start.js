'use strict';

// The gateway runs in this very process: signals reach it, and its exit code is ours.
require('./build-if-stale.js').runBuilt('apps/gateway/src/main.js');
