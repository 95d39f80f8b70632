// What a check says: one line, and what to do. And what is said of a check that could not be made.

import { codeOf, isServerError, messageOf } from '../lib/errors.ts';

/** `warning`: look at it in daylight. `problem`: events are, or will soon be, not written, not delivered or not safe. */
export type State = 'ok' | 'warning' | 'problem';

export interface Finding {
  /** What was looked at, in two or three words; the same each time. */
  readonly check: string;
  readonly state: State;
  /** What was found, with figures; one line. */
  readonly found: string;
  /** What to do, a line each: words, SQL that ends with `;`, or a command line that begins with `$ `. */
  readonly advice: readonly string[];
}

/** Findings that belong together. */
export interface Group {
  readonly group: string;
  readonly findings: readonly Finding[];
}

export const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found, advice: [] });
export const warning = (check: string, found: string, ...advice: readonly string[]): Finding => ({
  check,
  state: 'warning',
  found,
  advice,
});
export const problem = (check: string, found: string, ...advice: readonly string[]): Finding => ({
  check,
  state: 'problem',
  found,
  advice,
});

/** SQLSTATEs of questions that took too long: lock_timeout, statement_timeout. */
const LOCKED = '55P03';
const TOO_LONG = '57014';
const NOT_ALLOWED = '42501';

/** A check that could not be made, and why. */
export function notSeen(check: string, error: unknown): Finding {
  const message = oneLine(messageOf(error));
  switch (codeOf(error)) {
    case LOCKED:
      return problem(
        check,
        `cannot be looked at: a lock stands in the way (${message})`,
        'see the check "locks" for who holds it',
      );
    case TOO_LONG:
      return warning(check, 'cannot be looked at: the question took longer than 5 s, and was given up');
    case NOT_ALLOWED:
      return warning(
        check,
        `cannot be looked at: ${message}`,
        'connect with --database as the role that runs tailrace, or as one with more rights',
      );
    case 'EACCES':
    case 'EPERM':
      return warning(check, `cannot be looked at: ${message}`, 'run it as the user that runs tailrace, or as root');
    case 'DATABASE_UNAVAILABLE':
      return problem(check, `cannot be looked at: ${message}`);
    default:
      return warning(check, `cannot be looked at: ${message}${isServerError(error) ? ` (${codeOf(error)})` : ''}`);
  }
}

/** Text of somebody else's on one line of bounded length, without characters that move a terminal's cursor. */
export const oneLine = (text: string, most = 300): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
};
