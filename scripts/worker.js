'use strict';

// Like scripts/start.js: the worker runs in this very process.
require('./build-if-stale.js').runBuilt('apps/worker/src/main.js');
