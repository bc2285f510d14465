/** Rows of text in columns: the first to the left, the others to the right. */
export class Table {
  readonly #widths: readonly number[];
  readonly #write: (line: string) => void;

  /** Writes the heads at once; a column is as wide as its head, and the first as `firstWidth`. */
  constructor(heads: readonly string[], firstWidth: number, write: (line: string) => void) {
    this.#widths = heads.map((head, column) => (column === 0 ? firstWidth : head.length));
    this.#write = write;
    this.row(heads);
  }

  row(cells: readonly string[]): void {
    const padded = cells.map((cell, column) => {
      const width = this.#widths[column]!;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    this.#write(padded.join('  ').trimEnd());
  }
}
