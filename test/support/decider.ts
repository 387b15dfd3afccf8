import { OutdialError } from '#dialing';

/** A functional core: what a command leads to, and what an event leaves behind. */
export interface Decider<State, Command, Event> {
  decide(command: Command, state: State | null): readonly Event[];
  evolve(state: State | null, event: Event): State;
}

export interface Decided<State, Event> {
  /** Exactly these events, in this order; of each only the members named are compared. */
  then(expected: readonly Partial<Event>[]): Decided<State, Event>;
  /** What the events leave behind; only the members named are compared. */
  thenState(expected: Partial<State>): Decided<State, Event>;
  /** Refused with this reason, and with these details when given: each a field and why. */
  thenRefused(reason: string, details?: Readonly<Record<string, string>>): void;
}

/**
 * The rules of a decider as sentences: `given([created]).when(pause).then([paused])`, or `after([create, pause]).when(resume)`, where the
 * events given are those that the earlier commands led to.
 */
export function rulesOf<State, Command, Event>({ decide, evolve }: Decider<State, Command, Event>) {
  const fold = (events: readonly Event[], from: State | null): State | null => events.reduce<State | null>(evolve, from);
  const when =
    (state: State | null) =>
    (command: Command): Decided<State, Event> => {
      const outcome = attempt(() => decide(command, state));
      const decided: Decided<State, Event> = {
        then: (expected) => {
          expect(eventsOf(outcome)).toHaveLength(expected.length);
          expect(eventsOf(outcome)).toMatchObject(expected);
          return decided;
        },
        thenState: (expected) => {
          expect(fold(eventsOf(outcome), state)).toMatchObject(expected);
          return decided;
        },
        thenRefused: (reason, details) => {
          const refusal = 'refusal' in outcome ? outcome.refusal : null;
          expect(refusal?.reason).toBe(reason);
          if (details !== undefined) {
            const given = (refusal?.details ?? []).map(({ field, reason: why }) => [field, why] as const);
            expect(Object.fromEntries(given)).toEqual(details);
          }
        },
      };
      return decided;
    };
  const given = (events: readonly Event[]) => ({ when: when(fold(events, null)) });
  const history = (commands: readonly Command[]): readonly Event[] => {
    let state: State | null = null;
    return commands.flatMap((command) => {
      const events = decide(command, state);
      state = fold(events, state);
      return events;
    });
  };
  return {
    given,
    history,
    after: (commands: readonly Command[]) => given(history(commands)),
    /** The state that commands lead to. */
    stateAfter: (commands: readonly Command[]): State => {
      const state = fold(history(commands), null);
      if (state === null) throw new Error('These commands lead to no state.');
      return state;
    },
  };
}

type Outcome<Event> = { readonly events: readonly Event[] } | { readonly refusal: OutdialError };

/** Only a refusal is an answer: any other error is a defect of the decider and fails the test. */
function attempt<Event>(decide: () => readonly Event[]): Outcome<Event> {
  try {
    return { events: decide() };
  } catch (error) {
    if (error instanceof OutdialError) return { refusal: error };
    throw error;
  }
}

function eventsOf<Event>(outcome: Outcome<Event>): readonly Event[] {
  if ('refusal' in outcome) throw outcome.refusal;
  return outcome.events;
}
