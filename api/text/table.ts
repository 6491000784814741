/**
 * Rows as columns of equal width. The columns in `right` are aligned to the right; `all`: all but
 * the first.
 */
export function table(rows: string[][], right: readonly number[] | 'all' = 'all'): string[] {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  const isRight = (at: number) => (right === 'all' ? at > 0 : right.includes(at))
  return rows.map((row) =>
    row
      .map((cell, at) => (isRight(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
      .join('  ')
      .trimEnd(),
  )
}
