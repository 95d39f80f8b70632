// What a file of this folder exports: one command, its options and what it does. cli.ts turns the exit code that `run`
// returns into the process's; a command never ends the process itself.

import type { Readable, Writable } from 'node:stream';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { ExitCode } from '../lib/errors.ts';

/** The outside world as a command sees it: data on standard output, diagnostics on standard error. */
export interface CommandContext {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: Readable;
  readonly stdout: Writable & {
    readonly isTTY?: boolean;
    readonly columns?: number;
  };
  readonly stderr: Writable & {
    readonly isTTY?: boolean;
    readonly columns?: number;
  };
}

export interface Command {
  /** yargs' form: `check [file]`. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** [command line, what it does] pairs, shown at the end of `--help`. */
  readonly examples: readonly (readonly [string, string])[];
  /** Options that may be given more than once and are all wanted; of any other the last one counts. */
  readonly repeatable?: readonly string[];
  options(yargs: Argv): Argv;
  /** @throws {TailraceError} which cli.ts prints as one message and turns into its exit code. */
  run(args: ArgumentsCamelCase, context: CommandContext): Promise<ExitCode>;
}

/** The value of an option that takes text; undefined when it was not given, or is empty. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The values of an option that may be given more than once. */
export function textsOf(value: unknown): readonly string[] {
  return [value]
    .flat()
    .filter((each) => each !== undefined && each !== '')
    .map(String);
}
