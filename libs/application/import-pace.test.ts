import type { Position } from '#event-store';
import type { ProjectionProgress } from './engine';
import { ImportPace } from './import-pace';

const at = (row: number): Position => String(row).padStart(10, '0');

/** Read models that move when the test says so. */
class ReadModels implements ProjectionProgress {
  position: Position = '';
  waits = 0;
  private waiting: { readonly position: Position; readonly resolve: (reached: boolean) => void }[] = [];

  reached(position: Position): Promise<boolean> {
    this.waits += 1;
    return new Promise((resolve) => this.waiting.push({ position, resolve }));
  }

  show(row: number): void {
    this.position = at(row);
    for (const { position, resolve } of this.waiting.splice(0)) {
      if (position <= this.position) resolve(true);
      else this.waiting.push({ position, resolve });
    }
  }

  /** The time of those who wait is over. */
  standStill(): void {
    for (const { resolve } of this.waiting.splice(0)) resolve(false);
  }
}

async function* chunks(count: number): AsyncGenerator<number> {
  for (let n = 0; n < count; n += 1) yield n;
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An import of chunks of ten rows that are appended as they come; `rows` counts them. */
function importing(models: ReadModels, appends = true): { rows: number; ended: Promise<void> } {
  const pace = new ImportPace(models, 30);
  const run = async (): Promise<void> => {
    for await (const _ of pace.of(chunks(20))) {
      one.rows += 10;
      pace.appended(appends ? at(one.rows) : null, 10);
    }
  };
  const one = { rows: 0, ended: Promise.resolve() };
  one.ended = run();
  return one;
}

describe('an import that is faster than the read models', () => {
  it('waits when it is too far ahead, and goes on with each step that they make', async () => {
    const models = new ReadModels();
    const one = importing(models);
    await settled();
    expect(one.rows).toBe(40);
    models.show(9);
    await settled();
    expect(one.rows).toBe(40);
    models.show(10);
    await settled();
    expect(one.rows).toBe(50);
    models.show(50);
    await settled();
    expect(one.rows).toBe(90);
    for (let shown = 60; shown <= 200; shown += 10) {
      models.show(shown);
      await settled();
    }
    await one.ended;
    expect(one.rows).toBe(200);
  });

  it('does not wait for read models that stand still, and waits again when they have moved', async () => {
    const models = new ReadModels();
    const one = importing(models);
    await settled();
    expect(one.rows).toBe(40);
    models.standStill();
    await one.ended;
    expect([one.rows, models.waits]).toEqual([200, 1]);
    const pace = new ImportPace(models, 30);
    pace.appended(at(300), 40);
    const turns = pace.of(chunks(3));
    const first = turns.next();
    await settled();
    models.standStill();
    expect(await first).toMatchObject({ value: 0 });
    models.show(300);
    pace.appended(at(400), 40);
    const second = turns.next();
    await settled();
    expect(models.waits).toBe(3);
    models.show(400);
    expect(await second).toMatchObject({ value: 1 });
  });

  it('waits for nothing when it appends nothing', async () => {
    const models = new ReadModels();
    const one = importing(models, false);
    await one.ended;
    expect([one.rows, models.waits]).toEqual([200, 0]);
  });
});
