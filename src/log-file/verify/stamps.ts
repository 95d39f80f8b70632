// Holds that the stamps of the lines grow strictly, within a file and from one to the next (SPEC 4).

import type { Fault } from './faults.ts';

/** A clock that steps back farther than this is followed (clock.ts). */
const BRIDGED_STEP_US = 5_000_000;

/** A stamp as a person reads it: UTC, with its microseconds. */
export function timeOf(stampUs: number): string {
  const seconds = Math.floor(stampUs / 1e6);
  const date = new Date(seconds * 1_000);
  if (Number.isNaN(date.getTime())) return `${seconds}`;
  return `${date.toISOString().slice(0, 19)}.${String(stampUs - seconds * 1e6).padStart(6, '0')}Z`;
}

/** What is wrong with a stamp that is not later than the one before it. */
export function stampFault(timeUs: number, beforeUs: number, before: string): Fault {
  const backUs = beforeUs - timeUs;
  const times = `${timeOf(timeUs)}, and ${before} at ${timeOf(beforeUs)}`;
  if (backUs <= BRIDGED_STEP_US) {
    return { kind: 'time_not_later', column: 1, message: `not written later than the line before it: at ${times}` };
  }
  const seconds = (backUs / 1e6).toLocaleString('en-US', { maximumFractionDigits: 6 });
  return { kind: 'clock_set_back', column: 1, message: `the time goes back by ${seconds} s: written at ${times}` };
}
