// Where the configuration file is, when nobody or somebody says so (SPEC 8).

import { existsSync } from 'node:fs';

/** The files that are looked for when none is named, in this order. */
export const CONFIG_LOCATIONS: readonly string[] = [
  './event_processor.json',
  '/etc/tailrace/event_processor.json',
  '/var/hvmail/control/event_processor.json',
];

export interface FindOptions {
  /** What `--config` says. */
  readonly option?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly exists?: (file: string) => boolean;
}

/**
 * Finds the configuration file: `--config`, `TAILRACE_CONFIG`, the usual places.
 *
 * @returns null when none is named and none is there. A file that was named (`explicit`) need not exist.
 */
export function findConfigFile(options: FindOptions): { readonly file: string; readonly explicit: boolean } | null {
  const named = options.option || options.env.TAILRACE_CONFIG;
  if (named) return { file: named, explicit: true };
  const file = CONFIG_LOCATIONS.find(options.exists ?? existsSync);
  return file === undefined ? null : { file, explicit: false };
}
