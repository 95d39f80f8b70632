// The errors that a person sees. Each carries a stable code and the exit code of SPEC 8; foreign errors (pg, fs) are
// translated once, where the library is called, and kept as `cause`.

/** Exit codes of SPEC 8 (those of sysexits.h where it has one). */
export const EXIT = {
  ok: 0,
  problem: 1,
  usage: 2,
  unavailable: 69,
  tryAgain: 75,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export class TailraceError extends Error {
  override readonly name = 'TailraceError';
  /** Stable, for decisions in code: `CONFIG_INVALID`, `DATABASE_UNAVAILABLE`, … */
  readonly code: string;
  readonly exitCode: ExitCode;

  /** @param message what happened, to what, and what to do next; never a secret. */
  constructor(code: string, message: string, options: { readonly exitCode?: ExitCode; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.exitCode = options.exitCode ?? EXIT.problem;
  }
}

/** The `code` of a Node, pg or tailrace error, or undefined. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** An error that PostgreSQL answered with: it bears a SQLSTATE. */
export function isServerError(error: unknown): boolean {
  return error instanceof Error && 'severity' in error && /^[0-9A-Z]{5}$/.test(codeOf(error) ?? '');
}

/** One line of text for any thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ');
  if (error instanceof Error) return error.message || error.name;
  return String(error);
}
