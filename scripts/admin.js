'use strict';

require('./build-if-stale.js').runBuilt('apps/worker/src/admin.js');
