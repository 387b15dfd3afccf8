import { Query, QueryHandler } from '@nestjs/cqrs';
import type { IQueryHandler } from '@nestjs/cqrs';
import type { Target } from '#dialing';
import { targetsInOrder } from '#read-models';
import type { RequestContext } from './request';
import { Services } from './services';

/** An outdial's targets as they are now, page by page, oldest first: imported in this order they are dialed in this order. 404 at once. */
export class ExportTargets extends Query<AsyncIterable<readonly Target[]>> {
  constructor(
    readonly context: RequestContext,
    readonly outdialId: string,
  ) {
    super();
  }
}

const PAGE = 500;

@QueryHandler(ExportTargets)
export class ExportTargetsHandler implements IQueryHandler<ExportTargets> {
  constructor(private readonly services: Services) {}

  async execute({ context, outdialId }: ExportTargets): Promise<AsyncIterable<readonly Target[]>> {
    await this.services.outdial(context, outdialId);
    await this.services.fresh(context, outdialId);
    return this.pages(outdialId);
  }

  /** The next page is read when it is asked for: who reads slowly, or stops, costs nothing meanwhile. */
  private async *pages(outdialId: string): AsyncGenerator<readonly Target[]> {
    const { reads, clock } = this.services.ports;
    const upTo = clock.now();
    let after: { readonly value: number; readonly id: string } | null = null;
    for (;;) {
      const page = await targetsInOrder(reads, { outdialId, upTo, after, limit: PAGE });
      const last = page.at(-1)?.state;
      if (last) yield page.map(({ state }) => state);
      if (!last || page.length < PAGE) return;
      after = { value: last.tmCreate, id: last.id };
    }
  }
}

export const EXPORT_HANDLERS = [ExportTargetsHandler];
