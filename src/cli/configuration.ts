// The configuration of a command that needs a good one: found as SPEC 8 says, its problems on standard error.

import type { ArgumentsCamelCase } from 'yargs';
import type { Config } from '../config/config.ts';
import { CONFIG_LOCATIONS, findConfigFile } from '../config/find.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { TailraceError } from '../lib/errors.ts';
import type { CommandContext } from './command.ts';

/** @returns null when it is not good; what is wrong has been said. @throws {TailraceError} `CONFIG_NOT_FOUND`. */
export async function loadGoodConfig(
  args: ArgumentsCamelCase,
  { env, stderr }: CommandContext,
): Promise<{ readonly file: string; readonly config: Config } | null> {
  const file = findConfigFile({ option: typeof args.config === 'string' ? args.config : undefined, env })?.file;
  if (file === undefined) {
    throw new TailraceError(
      'CONFIG_NOT_FOUND',
      `there is no configuration file in the usual places (${CONFIG_LOCATIONS.join(', ')}); name one with --config, or let \`tailrace init\` write one`,
    );
  }
  const { config, problems } = await loadConfig(file, { env });
  for (const problem of problems) stderr.write(`${formatProblem(file, problem)}\n`);
  return config && { file, config };
}
