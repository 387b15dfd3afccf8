/** A target has up to five destinations, in the order they are tried. */
export type Five<T> = readonly [T, T, T, T, T];
export type DestinationIndex = 0 | 1 | 2 | 3 | 4;
export const DESTINATIONS: readonly DestinationIndex[] = [0, 1, 2, 3, 4];

export const five = <T>(value: (index: DestinationIndex) => T): Five<T> => [value(0), value(1), value(2), value(3), value(4)];

/** The same five with one of them replaced. */
export const withAt = <T>(values: Five<T>, index: DestinationIndex, value: T): Five<T> => five((i) => (i === index ? value : values[i]));
