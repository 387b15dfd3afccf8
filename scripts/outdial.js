#!/usr/bin/env node
'use strict';

require('./build-if-stale.js').runBuilt('apps/cli/src/main.js');
