// Which file a line belongs to: its stamp alone decides the date in the name. Every answer is asked of the time zone
// anew, so that zones whose clock steps at midnight (a date that ends, comes back and ends again) need no special case.

import type { LogFileConfig } from '../config/config.ts';

export interface FileName {
  /** Absolute path of the file for a stamp in microseconds since the epoch. */
  at(timeUs: number): string;
  /** How many of `count` stamps, `firstUs` and then 1 µs apart, belong to the file of the first; at least 1. */
  countInSameFile(firstUs: number, count: number): number;
}

/** Names the log file for each stamp: `filename`, and with `appendDate` its local date (`TZ`) as `.YYYY-MM-DD`. */
export function createFileName({ filename, appendDate }: Pick<LogFileConfig, 'filename' | 'appendDate'>): FileName {
  if (!appendDate) return { at: () => filename, countInSameFile: (_firstUs, count) => count };

  const at = (timeUs: number): string => `${filename}.${localDate(timeUs)}`;
  return {
    at,
    countInSameFile(firstUs, count) {
      const path = at(firstUs);
      let within = 1;
      let beyond = count + 1;
      if (at(firstUs + count - 1) === path) return count;
      while (beyond - within > 1) {
        const middle = (within + beyond) >> 1;
        if (at(firstUs + middle - 1) === path) within = middle;
        else beyond = middle;
      }
      return within;
    },
  };
}

/** Whether two configurations name one file, with its date or without. */
export function isSameFile(one: LogFileConfig | null, other: LogFileConfig | null): boolean {
  return one?.filename === other?.filename && one?.appendDate === other?.appendDate;
}

function localDate(timeUs: number): string {
  const date = new Date(Math.floor(timeUs / 1_000));
  const year = String(date.getFullYear()).padStart(4, '0');
  const month = String(date.getMonth() + 1).padStart(2, '0');
  return `${year}-${month}-${String(date.getDate()).padStart(2, '0')}`;
}
