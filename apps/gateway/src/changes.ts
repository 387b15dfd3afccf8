import { isDeepStrictEqual } from 'node:util';
import { OutdialError } from '#dialing';
import type { ErrorDetail } from '#dialing';
import type { RequestContext, Versioned } from '#application';
import { detail, readOnly, refused } from './dto/rules';
import type { Shape } from './dto/rules';

/** How often a change is decided again that was overtaken by another one. */
const TRIES = 20;

/** A PUT of any subset of a resource's fields. */
interface Change<T, Body extends object> {
  readonly body: Body;
  readonly shape: Shape<Body>;
  readonly wire: (value: T) => object;
  /** What it says that only makes sense beside what is there; nothing when left out. Answers what is wrong with it. */
  readonly dependsOn?: { readonly needed: boolean; readonly check?: (current: T) => readonly ErrorDetail[] };
  readonly read: (context: RequestContext) => Promise<Versioned<T>>;
  /** `current` is null when nothing in the body depends on it. */
  readonly change: (context: RequestContext, current: T | null) => Promise<Versioned<T>>;
}

/**
 * Changes a resource as far as the body says. What only the service sets may be sent back as it was read and is an error otherwise, and what a body changes in
 * part (one of five limits) is completed from what is there (the API contract, Conventions). Both hold for the revision that was read: when that is
 * overtaken, all of it is done again, unless the caller named the revision it meant.
 */
export async function changeCurrent<T, Body extends object>(context: RequestContext, change: Change<T, Body>): Promise<Versioned<T>> {
  const sent = change.body as Readonly<Record<string, unknown>>;
  const compared = readOnly(change.shape).filter((name) => sent[name] !== undefined);
  if (compared.length === 0 && !change.dependsOn?.needed) return change.change(context, null);
  for (let tries = 1; ; tries += 1) {
    const { value, revision } = await change.read(withoutCondition(context));
    const { ifMatch = revision } = context;
    // When the caller meant another revision, the command says so.
    if (ifMatch === revision) refuseOthers(sent, compared, change.wire(value), change.dependsOn?.check?.(value) ?? []);
    try {
      return await change.change({ ...context, ifMatch }, value);
    } catch (error) {
      if (context.ifMatch !== undefined || tries === TRIES || !isOvertaken(error)) throw error;
    }
  }
}

const isOvertaken = (error: unknown): boolean => error instanceof OutdialError && error.status === 'FAILED_PRECONDITION';

const withoutCondition = ({ ifMatch: _, ...context }: RequestContext): RequestContext => context;

function refuseOthers(
  sent: Readonly<Record<string, unknown>>,
  names: readonly string[],
  current: object,
  more: readonly ErrorDetail[],
): void {
  const there = current as Readonly<Record<string, unknown>>;
  const others = names.filter((name) => !isDeepStrictEqual(sent[name], there[name]));
  const details = [...others.map((name) => detail(name, 'is read-only: leave it out, or send it as it is', sent[name])), ...more];
  if (details.length > 0) throw refused(details);
}
