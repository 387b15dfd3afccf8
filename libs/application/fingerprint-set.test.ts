import { createHash } from 'node:crypto';
import { FingerprintSet } from './fingerprint-set';

const idOf = (n: number): string => {
  const digits = createHash('sha256').update(String(n)).digest('hex');
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20, 32)].join('-');
};

test('has what was added and nothing else, also after it has grown', () => {
  const set = new FingerprintSet();
  for (let n = 0; n < 20_000; n += 2) set.add(idOf(n));
  const wrong = Array.from({ length: 20_000 }, (_, n) => n).filter((n) => set.has(idOf(n)) !== (n % 2 === 0));
  expect(wrong).toEqual([]);
});

test('takes an id twice, and one whose digits are zeros', () => {
  const set = new FingerprintSet();
  const zeros = '00000000-0000-0000-0000-000000000000';
  expect(set.has(zeros)).toBe(false);
  for (let times = 0; times < 5000; times += 1) set.add(zeros);
  expect(set.has(zeros)).toBe(true);
  expect(set.has(idOf(1))).toBe(false);
});
