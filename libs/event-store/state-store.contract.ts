import { randomUUID } from 'node:crypto';
import type { StateStore } from './state-store';

export interface OpenedStateStore {
  readonly state: StateStore;
  /** Closes the store and opens it again, as a restart does. */
  readonly reopen: () => Promise<StateStore>;
}

/** What every state store promises, whatever is behind it. */
export function stateStoreContract(name: string, open: () => Promise<OpenedStateStore>): void {
  describe(`The state store (${name})`, () => {
    let opened: OpenedStateStore;
    let state: StateStore;
    /** Begins every key of this test, and no key of another. */
    let prefix: string;
    let key: string;

    beforeEach(async () => {
      opened = await open();
      state = opened.state;
      prefix = `${randomUUID()}/`;
      key = `${prefix}key`;
    });
    afterEach(() => state.close());

    const keysOf = async (of: string): Promise<string[]> => (await state.list(of)).map((record) => record.key);

    test('what was never put is not there', async () => {
      expect(await state.get(key)).toBeNull();
    });

    test('a new record has version 1, and each write raises it', async () => {
      expect(await state.put(key, '{"n": 1}', 0)).toBe(true);
      expect(await state.get(key)).toEqual({ key, value: '{"n": 1}', version: 1 });
      expect(await state.put(key, '{"n": 2}', 1)).toBe(true);
      expect(await state.get(key)).toEqual({ key, value: '{"n": 2}', version: 2 });
    });

    test('a record that exists is not created again', async () => {
      await state.put(key, '"mine"', 0);
      expect(await state.put(key, '"theirs"', 0)).toBe(false);
      expect(await state.get(key)).toMatchObject({ value: '"mine"', version: 1 });
    });

    test('a write on another version than the stored one changes nothing', async () => {
      expect(await state.put(key, '"ahead"', 1)).toBe(false);
      expect(await state.get(key)).toBeNull();
      await state.put(key, '"one"', 0);
      await state.put(key, '"two"', 1);
      expect(await state.put(key, '"stale"', 1)).toBe(false);
      expect(await state.put(key, '"ahead"', 3)).toBe(false);
      expect(await state.get(key)).toMatchObject({ value: '"two"', version: 2 });
    });

    test('of many that race to write the same version exactly one does', async () => {
      await state.put(key, '"start"', 0);
      const written = await Promise.all(Array.from({ length: 10 }, (_, n) => state.put(key, String(n), 1)));
      expect(written.filter(Boolean)).toHaveLength(1);
      expect(await state.get(key)).toMatchObject({ value: String(written.indexOf(true)), version: 2 });
    });

    test('a deleted record is gone, can be deleted again, and begins anew', async () => {
      await state.put(key, '1', 0);
      await state.put(key, '2', 1);
      await state.delete(key);
      await state.delete(key);
      expect(await state.get(key)).toBeNull();
      expect(await state.put(key, '3', 0)).toBe(true);
      expect(await state.get(key)).toMatchObject({ version: 1 });
    });

    test('records are listed by the beginning of their keys, in the order of the keys', async () => {
      for (const name of ['b', 'a', 'a/2', 'a/1', 'c']) await state.put(prefix + name, '0', 0);
      expect(await keysOf(prefix)).toEqual(['a', 'a/1', 'a/2', 'b', 'c'].map((name) => prefix + name));
      expect(await keysOf(`${prefix}a/`)).toEqual([`${prefix}a/1`, `${prefix}a/2`]);
      expect(await keysOf(`${prefix}d`)).toEqual([]);
    });

    test('what stands for anything in a pattern stands for itself in a prefix', async () => {
      for (const name of ['a%b', 'axb', 'a_b', 'a.b', 'a*b', 'A%b']) await state.put(prefix + name, '0', 0);
      expect(await keysOf(`${prefix}a%`)).toEqual([`${prefix}a%b`]);
      expect(await keysOf(`${prefix}a_`)).toEqual([`${prefix}a_b`]);
      expect(await keysOf(`${prefix}a.`)).toEqual([`${prefix}a.b`]);
      expect(await keysOf(`${prefix}a*`)).toEqual([`${prefix}a*b`]);
    });

    test('a purge removes what expired before that time, and nothing else', async () => {
      const expiry = { past: 999, now: 1000, future: 1001 };
      for (const [name, expiresAt] of Object.entries(expiry)) await state.put(prefix + name, '0', 0, expiresAt);
      await state.put(`${prefix}lasting`, '0', 0);
      await state.purge(1000);
      expect(await keysOf(prefix)).toEqual([`${prefix}future`, `${prefix}lasting`, `${prefix}now`]);
    });

    test('each write sets the expiry anew, and one without it ends it', async () => {
      await state.put(`${prefix}renewed`, '0', 0, 10);
      await state.put(`${prefix}renewed`, '0', 1, 2000);
      await state.put(`${prefix}kept`, '0', 0, 10);
      await state.put(`${prefix}kept`, '0', 1);
      await state.put(`${prefix}shortened`, '0', 0);
      await state.put(`${prefix}shortened`, '0', 1, 10);
      await state.purge(1000);
      expect(await keysOf(prefix)).toEqual([`${prefix}kept`, `${prefix}renewed`]);
    });

    test('a time of today, in milliseconds, is kept exactly', async () => {
      const today = Date.UTC(2026, 10, 23, 12, 0, 0, 1);
      await state.put(key, '0', 0, today);
      await state.purge(today);
      expect(await state.get(key)).not.toBeNull();
      await state.purge(today + 1);
      expect(await state.get(key)).toBeNull();
    });

    test('what is expired but not purged is still there, for only the caller knows the time', async () => {
      await state.put(key, '0', 0, 1);
      expect(await state.get(key)).toMatchObject({ version: 1 });
      expect(await state.put(key, '1', 0)).toBe(false);
    });

    test('values are kept as the very texts that were given, in any script', async () => {
      const value = '{ "text" : "Zoë 王 🦆 \\u0000" }';
      await state.put(`${key}.王`, value, 0);
      expect((await state.get(`${key}.王`))?.value).toBe(value);
    });

    test('records survive a restart', async () => {
      await state.put(key, '"kept"', 0);
      state = await opened.reopen();
      expect(await state.get(key)).toEqual({ key, value: '"kept"', version: 1 });
    });

    test('once closed, reads and writes are refused as unavailable', async () => {
      await state.close();
      await expect(state.get(key)).rejects.toMatchObject({ code: 'StoreUnavailable' });
      await expect(state.list(prefix)).rejects.toMatchObject({ code: 'StoreUnavailable' });
      await expect(state.put(key, '0', 0)).rejects.toMatchObject({ code: 'StoreUnavailable' });
      await expect(state.delete(key)).rejects.toMatchObject({ code: 'StoreUnavailable' });
    });
  });
}
