import * as v8 from 'node:v8';
import { ImportHeaps, keepHeapsSmall } from './heap-growth';

jest.mock('node:v8', () => ({ setFlagsFromString: jest.fn() }));
const said = (): readonly unknown[] => jest.mocked(v8.setFlagsFromString).mock.calls.map(([flag]) => flag);

describe('how far heaps may grow', () => {
  beforeEach(() => jest.mocked(v8.setFlagsFromString).mockClear());
  const usual = '--heap-growing-percent=150';
  const smaller = '--heap-growing-percent=100';

  it('is said once for all', () => {
    keepHeapsSmall();
    expect(said()).toEqual([usual]);
  });

  it('is left alone by a small import', () => {
    const heaps = new ImportHeaps();
    for (let n = 0; n < 100; n += 1) heaps.took(1000);
    heaps.end();
    expect(said()).toEqual([]);
  });

  it('is less from the first large import on until the last of them has ended', () => {
    const [one, other] = [new ImportHeaps(), new ImportHeaps()];
    one.took(100_000);
    one.took(64);
    one.took(64);
    other.took(200_000);
    expect(said()).toEqual([smaller]);
    one.end();
    one.end();
    expect(said()).toEqual([smaller]);
    other.end();
    expect(said()).toEqual([smaller, usual]);
  });
});
