/**
 * Tables of text for people: columns as wide as their widest cell, two spaces between them.
 *
 * @since 0.1.0
 */

/**
 * A table with these titles. Columns whose index is among `numbers` are flushed right.
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (
  titles: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  numbers: ReadonlyArray<number> = []
): string => {
  const all = [titles, ...rows]
  const widths = titles.map((_, column) => all.reduce((width, row) => Math.max(width, row[column].length), 0))
  const pad = (cell: string, column: number): string =>
    numbers.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
  return all.map((row) => `${row.map(pad).join("  ").trimEnd()}\n`).join("")
}

/**
 * A cell; `-` for what is not known.
 *
 * @category encoding
 * @since 0.1.0
 */
export const cell = (value: bigint | number | string | null | undefined): string =>
  value === undefined || value === null || value === "" ? "-" : String(value)
