import { ensureGeneration, nextName, planGenerations, retireOthers } from './generations';
import type { Generations, GenerationStatus } from './read-store';

const VERSIONS = { targets: 2, progress: 1 };
const generation = (name: string, more: Partial<GenerationStatus> = {}): GenerationStatus => ({
  name,
  versions: VERSIONS,
  live: false,
  position: '0001',
  quarantined: 0,
  ...more,
});
const older = { versions: { targets: 1, progress: 1 } };

describe('What a start does with the generations it finds', () => {
  test.each<[string, readonly GenerationStatus[], ReturnType<typeof planGenerations>]>([
    ['none: builds the first one', [], { live: null, build: 'g1', retire: [] }],
    ['a live one of its versions: keeps it', [generation('g3', { live: true })], { live: 'g3', build: null, retire: [] }],
    [
      'a rebuild that was under way beside it: drops that, it can be asked for again',
      [generation('g3', { live: true }), generation('g4')],
      { live: 'g3', build: null, retire: ['g4'] },
    ],
    [
      'a live one of other versions: leaves it to its readers and builds a new one',
      [generation('g3', { live: true, ...older })],
      { live: null, build: 'g4', retire: [] },
    ],
    [
      'a build that was interrupted: goes on with it',
      [generation('g3', { live: true, ...older }), generation('g4')],
      { live: null, build: 'g4', retire: [] },
    ],
    [
      'live ones of several releases: leaves those of the others to them, and what they are building',
      [
        generation('g1', { live: true, ...older }),
        generation('g2', { live: true }),
        generation('g3', { foreign: true, versions: { targets: 3, progress: 1 } }),
        generation('g4', older),
      ],
      { live: 'g2', build: null, retire: ['g4'] },
    ],
    [
      'live ones of several other releases: keeps them all, and builds its own',
      [generation('g1', { live: true, ...older }), generation('g2', { live: true, versions: { targets: 3, progress: 1 } })],
      { live: null, build: 'g3', retire: [] },
    ],
    [
      'several of those: goes on with the one that is furthest',
      [generation('g4'), generation('g5', { position: '0007' }), generation('g6', older)],
      { live: null, build: 'g5', retire: ['g4', 'g6'] },
    ],
    [
      'one that lacks a read model of this release: that is another version',
      [generation('g1', { live: true, versions: { targets: 2 } })],
      { live: null, build: 'g2', retire: [] },
    ],
  ])('%s', (_, found, plan) => {
    expect(planGenerations(found, VERSIONS)).toEqual(plan);
  });

  test('what nobody needs is removed before anything is built', async () => {
    const retired: string[] = [];
    const generations: Pick<Generations, 'list' | 'retire'> = {
      list: async () => [generation('g1', { live: true }), generation('g2')],
      retire: async (name) => void retired.push(name),
    };
    await ensureGeneration({ ...generations, open: reject, promote: reject }, VERSIONS);
    expect(retired).toEqual(['g2']);
  });

  test('what is retired after a switch is neither live, nor that of another release, nor kept by name', async () => {
    const retired: string[] = [];
    const found = [generation('g1', { live: true, ...older }), generation('g2', { foreign: true }), generation('g3'), generation('g4')];
    const list = async () => found;
    await retireOthers({ list, retire: async (name) => void retired.push(name), open: reject, promote: reject }, ['g3']);
    expect(retired).toEqual(['g4']);
  });

  test('a new name is higher than any other, also than those somebody chose', () => {
    expect(nextName([generation('g9'), generation('g10'), generation('mine')])).toBe('g11');
  });
});

async function reject(): Promise<never> {
  throw new Error('Nothing is opened or promoted here.');
}
