import { mapInTurns } from './in-turns';

describe('a long list that is mapped in turns', () => {
  it('is mapped whole and in order, each item with its index', async () => {
    const items = Array.from({ length: 1001 }, (_, n) => n);
    expect(await mapInTurns(items, (item, index) => item * 10 + (index - item))).toEqual(items.map((item) => item * 10));
    expect(await mapInTurns([], () => 1)).toEqual([]);
  });

  it('lets others have their turn meanwhile', async () => {
    let turns = 0;
    let ended = false;
    const other = (): void => {
      turns += 1;
      if (!ended) setImmediate(other);
    };
    setImmediate(other);
    await mapInTurns(new Array(10_000).fill(0), () => 0);
    ended = true;
    expect(turns).toBeGreaterThan(10);
  });

  it('ends with what the mapping of an item throws', async () => {
    const refuse = (item: number): number => {
      if (item === 600) throw new RangeError('600');
      return item;
    };
    await expect(
      mapInTurns(
        Array.from({ length: 1000 }, (_, n) => n),
        refuse,
      ),
    ).rejects.toThrow('600');
  });
});
