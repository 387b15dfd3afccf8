import { hashPassword, verifyPassword } from './credentials';

/** The same format at a cost that tests can afford. */
const cheap = { logN: 4, r: 8, p: 1 };

test('a password fits its own hash, and no other password does', async () => {
  const hash = await hashPassword('correct horse', cheap);
  expect(await verifyPassword('correct horse', hash)).toBe(true);
  for (const other of ['correct horse ', 'Correct horse', '', 'correct']) expect(await verifyPassword(other, hash)).toBe(false);
});

test('a hash does not show the password, and two of one password differ', async () => {
  const [one, other] = [await hashPassword('correct horse', cheap), await hashPassword('correct horse', cheap)];
  expect(one).not.toContain('correct');
  expect(one).not.toBe(other);
});

test('the cost is kept with the hash, so that it can be raised later', async () => {
  const hash = await hashPassword('x');
  expect(hash).toMatch(/^\$scrypt\$ln=14,r=8,p=5\$[^$]{22}\$[^$]{43}$/);
  expect(await verifyPassword('x', hash)).toBe(true);
  expect(await verifyPassword('x', hash.replace('p=5', 'p=4'))).toBe(false);
});

test('a password typed with other code points for the same letters fits', async () => {
  expect(await verifyPassword('cafe\u0301', await hashPassword('caf\u00e9', cheap))).toBe(true);
});

test.each(['', 'x', '$argon2id$v=19$m=1,t=1,p=1$c2FsdA$a2V5', '$scrypt$ln=4,r=8,p=1$c2FsdA'])(
  'nothing fits %p, which is no hash of ours',
  async (hash) => {
    expect(await verifyPassword('x', hash)).toBe(false);
  },
);
