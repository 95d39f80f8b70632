// Outside the data path: the demo's configuration, which is the one in fixtures/ with its own log file and receiver.

import { readFile, writeFile } from 'node:fs/promises';

interface Fixture {
  logfile: { filename: string };
  event_destinations: {
    matches: { event_type?: string | string[] };
    destination: { type: string; url?: string };
  }[];
}

export interface DemoConfigOptions {
  /** The configuration to start from. */
  readonly template: string;
  /** Where the demo's is written. */
  readonly file: string;
  readonly logFile: string;
  /** Takes the place of the origin of each URL. */
  readonly receiverOrigin: string;
}

/**
 * Writes the configuration.
 *
 * @returns the event types that it drops.
 */
export async function writeDemoConfig(options: DemoConfigOptions): Promise<ReadonlySet<string>> {
  const config: Fixture = JSON.parse(await readFile(options.template, 'utf8'));
  config.logfile.filename = options.logFile;
  const dropped = new Set<string>();
  for (const { matches, destination } of config.event_destinations) {
    if (destination.url) destination.url = new URL(new URL(destination.url).pathname, options.receiverOrigin).href;
    if (destination.type !== 'drop_from_queue') continue;
    for (const type of [matches.event_type ?? []].flat()) dropped.add(type);
  }
  await writeFile(options.file, `${JSON.stringify(config, null, 2)}\n`);
  return dropped;
}
