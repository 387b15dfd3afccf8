import fc from 'fast-check';
import { LeaseQueue, type OpenLease } from './lease-queue';

const lease = (targetId: string, expires: number, attemptId = `${targetId}/${expires}`): OpenLease => ({
  expires,
  customerId: 'customer',
  outdialId: 'outdial',
  targetId,
  attemptId,
});

describe('open leases', () => {
  it('are taken as they expire, earliest first, and once', () => {
    const queue = new LeaseQueue();
    for (const [target, expires] of [
      ['late', 30],
      ['early', 10],
      ['middle', 20],
    ] as const)
      queue.add(lease(target, expires));
    expect(queue.take(20, 10).map(({ targetId }) => targetId)).toEqual(['early', 'middle']);
    expect(queue.take(20, 10)).toEqual([]);
    expect(queue.take(30, 10).map(({ targetId }) => targetId)).toEqual(['late']);
  });

  it('that ended before their time are not taken', () => {
    const queue = new LeaseQueue();
    queue.add(lease('reported', 10));
    queue.add(lease('left alone', 10));
    queue.remove('reported');
    expect(queue.take(100, 10).map(({ targetId }) => targetId)).toEqual(['left alone']);
  });

  it('that were extended are taken at their new time only', () => {
    const queue = new LeaseQueue();
    queue.add(lease('target', 10, 'attempt'));
    queue.add(lease('target', 50, 'attempt'));
    expect(queue.take(49, 10)).toEqual([]);
    expect(queue.take(50, 10)).toEqual([lease('target', 50, 'attempt')]);
  });

  it('are the last ones of their targets, whatever was leased, reported and leased again', () => {
    const step = fc.record({ target: fc.integer({ min: 0, max: 9 }), expires: fc.integer({ min: 1, max: 50 }), ends: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 3000, size: 'max' }), fc.integer({ min: 0, max: 60 }), (steps, upTo) => {
        const queue = new LeaseQueue();
        const open = new Map<string, OpenLease>();
        for (const { target, expires, ends } of steps) {
          const targetId = `target ${target}`;
          if (ends) open.delete(targetId);
          else open.set(targetId, lease(targetId, expires));
          if (ends) queue.remove(targetId);
          else queue.add(lease(targetId, expires));
        }
        const due = [...open.values()].filter(({ expires }) => expires <= upTo);
        const taken = queue.take(upTo, 1000);
        expect(taken.map(({ expires }) => expires)).toEqual(due.map(({ expires }) => expires).sort((a, b) => a - b));
        expect(new Set(taken.map(({ attemptId }) => attemptId))).toEqual(new Set(due.map(({ attemptId }) => attemptId)));
        expect(queue.take(100, 1000)).toHaveLength(open.size - due.length);
      }),
    );
  });

  it('hold no memory for what has ended: a hundred thousand reported leases are not among the entries', () => {
    const queue = new LeaseQueue();
    for (let n = 0; n < 100_000; n++) {
      queue.add(lease(`target ${n}`, 90 + n));
      queue.remove(`target ${n}`);
    }
    expect(queue.entries).toBeLessThanOrEqual(1024);
    expect(queue.take(Number.MAX_SAFE_INTEGER, 1)).toEqual([]);
  });
});
