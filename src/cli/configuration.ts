// The configuration of a command: the file is found as SPEC 8 says, and what is wrong with it is said on standard error.

import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { CONFIG_LOCATIONS, findConfigFile } from '../config/find.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { TailraceError } from '../lib/errors.ts';
import type { NormalizeOptions } from '../recording/normalize.ts';
import type { CommandContext } from './command.ts';

const DEFAULT_BOUNCE_TEXT_BYTES = 1024;

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

/**
 * What recording takes from the configuration; defaults when there is none.
 *
 * @throws {TailraceError} `CONFIG_INVALID` when one was named that is not good.
 */
export async function recordingOptions(option: string | undefined, context: CommandContext): Promise<NormalizeOptions> {
  const found = findConfigFile({ option, env: context.env });
  const fallback = { serverId: hostname(), bounceTextBytes: DEFAULT_BOUNCE_TEXT_BYTES };
  if (!found) return fallback;
  const { config, problems } = await loadConfig(found.file, { env: context.env });
  if (config) return { serverId: config.serverId, bounceTextBytes: config.storeBounceDetailsLength };
  const [problem] = problems;
  const message = problem ? formatProblem(found.file, problem) : `${found.file} is no good configuration`;
  if (found.explicit) throw new TailraceError('CONFIG_INVALID', message);
  // A producer may run as a user that must not read the destinations' secrets.
  context.stderr.write(`warning: ${message}; server_id is ${fallback.serverId}\n`);
  return fallback;
}
