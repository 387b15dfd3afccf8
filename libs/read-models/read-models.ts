import { accessKeys } from './access-keys';
import { customers } from './customers';
import { outdials } from './outdials';
import { outplans } from './outplans';
import { progress } from './progress';
import type { AnyProjection } from './projection';
import { targets } from './targets';

/** Every read model of this release: what a generation is built of. */
export const READ_MODELS: readonly AnyProjection[] = [outdials, targets, progress, outplans, customers, accessKeys];
