/** Items in an order, in pieces small enough to be shifted at once. No two of them may be equal. */
export class SortedList<T> {
  private readonly pieces: T[][] = [];
  private count = 0;

  constructor(private readonly compare: (one: T, other: T) => number) {}

  get size(): number {
    return this.count;
  }

  add(item: T): void {
    const at = Math.min(
      this.pieceWith((last) => this.compare(last, item) >= 0),
      this.pieces.length - 1,
    );
    const piece = this.pieces[at];
    this.count += 1;
    if (piece === undefined) {
      this.pieces.push([item]);
      return;
    }
    piece.splice(
      first(piece, (there) => this.compare(there, item) >= 0),
      0,
      item,
    );
    if (piece.length > LARGEST) this.pieces.splice(at + 1, 0, piece.splice(LARGEST / 2));
  }

  delete(item: T): void {
    const at = this.pieceWith((last) => this.compare(last, item) >= 0);
    const piece = this.pieces[at];
    if (piece === undefined) return;
    const found = first(piece, (there) => this.compare(there, item) >= 0);
    const there = piece[found];
    if (there === undefined || this.compare(there, item) !== 0) return;
    piece.splice(found, 1);
    this.count -= 1;
    if (piece.length === 0) this.pieces.splice(at, 1);
  }

  /** Upwards from the first item that is not before the start. */
  *upwards(notBefore: (item: T) => boolean): Generator<T> {
    const from = this.pieceWith(notBefore);
    for (let at = from; at < this.pieces.length; at += 1) {
      const piece = this.pieces[at] ?? [];
      for (let i = at === from ? first(piece, notBefore) : 0; i < piece.length; i += 1) yield piece[i] as T;
    }
  }

  /** Downwards from the last item before the end. */
  *downwards(after: (item: T) => boolean): Generator<T> {
    const from = Math.min(this.pieceWith(after), this.pieces.length - 1);
    for (let at = from; at >= 0; at -= 1) {
      const piece = this.pieces[at] ?? [];
      for (let i = (at === from ? first(piece, after) : piece.length) - 1; i >= 0; i -= 1) yield piece[i] as T;
    }
  }

  /** The first piece whose last item fits; their number when there is none. */
  private pieceWith(fits: (item: T) => boolean): number {
    return first(this.pieces, (piece) => fits(piece.at(-1) as T));
  }
}

const LARGEST = 512;

/** The index of the first item that fits, of items where all that fit stand at the end. */
function first<T>(items: readonly T[], fits: (item: T) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (fits(items[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}
