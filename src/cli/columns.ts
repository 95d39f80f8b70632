// A table for a person, as `status`, `plan` and `recording list` print it.

/**
 * The rows as lines, their cells two spaces apart in columns.
 *
 * @param rows the headings among them.
 * @param isNumber the columns, from 0, that end in line.
 */
export function inColumns(rows: readonly (readonly string[])[], isNumber: (at: number) => boolean): string[] {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, at) => (isNumber(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
