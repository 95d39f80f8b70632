// The configuration of a command: the file is found as SPEC 8 says, and what is wrong with it is said on standard error.

import type { Config } from '../config/config.ts';
import { CONFIG_LOCATIONS, findConfigFile } from '../config/find.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { TailraceError } from '../lib/errors.ts';
import type { CommandContext } from './command.ts';

/** A configuration with nothing wrong in it. */
export type GoodConfig = LoadedConfig & { readonly config: Config };

/**
 * Loads the configuration that a command cannot do without, and says what is wrong with it.
 *
 * @param named what `--config` says.
 * @returns null when it is not good.
 * @throws {TailraceError} `CONFIG_NOT_FOUND`.
 */
export async function loadGoodConfig(named: unknown, { env, stderr }: CommandContext): Promise<GoodConfig | null> {
  const file = requireConfigFile(named, env);
  const loaded = await loadConfig(file, { env });
  for (const problem of loaded.problems) stderr.write(`${formatProblem(file, problem)}\n`);
  const { config } = loaded;
  return config && { ...loaded, config };
}

/**
 * The file that is named, or the first in the usual places.
 *
 * @param advice what to do when there is none.
 * @throws {TailraceError} `CONFIG_NOT_FOUND`.
 */
export function requireConfigFile(
  named: unknown,
  env: NodeJS.ProcessEnv,
  advice = 'name one with --config, or let `tailrace init` write one',
): string {
  const found = findConfigFile({ option: typeof named === 'string' ? named : undefined, env });
  if (found) return found.file;
  const places = CONFIG_LOCATIONS.join(', ');
  throw new TailraceError(
    'CONFIG_NOT_FOUND',
    `there is no configuration file in the usual places (${places}); ${advice}`,
  );
}
