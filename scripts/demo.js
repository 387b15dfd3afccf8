'use strict';

require('./build-if-stale.js').runBuilt('apps/demo/src/main.js');
