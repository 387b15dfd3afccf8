'use strict';

const { buildIfStale } = require('./build-if-stale.js');

module.exports = () => buildIfStale();
