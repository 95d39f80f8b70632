// The stamp at the head of a line of the log file, as bytes: where lines begin, and what time they were written at.

/** What every line begins with, behind the line feed of the one before it. JSON text has no raw one inside a line. */
export const LINE_START = Buffer.from('\n{"time_written_to_logfile":');

const STAMP = /^(\d{1,11})\.(\d{6})[,}]/;
/** Longest text that STAMP matches. */
export const STAMP_BYTES = 19;

/** The `time_written_to_logfile` that stands at a place, in microseconds since the epoch; null when there is none. */
export function stampAt(bytes: Buffer, at: number): number | null {
  const match = STAMP.exec(bytes.toString('latin1', at, at + STAMP_BYTES));
  return match === null ? null : Number(match[1]) * 1_000_000 + Number(match[2]);
}
