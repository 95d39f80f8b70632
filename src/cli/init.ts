// `tailrace init`: makes what tailrace needs, in the database and as a first configuration; safe to run again.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { findConfigFile } from '../config/find.ts';
import { INITIAL_CONFIG } from '../config/initial.ts';
import { codeOf, EXIT, TailraceError } from '../lib/errors.ts';
import { writeProblem } from '../lib/file-problem.ts';
import { initSchema } from '../queue/schema.ts';
import type { Command } from './command.ts';
import { databaseOption, withSession } from './database.ts';

const DEFAULT_CONFIG = './event_processor.json';

export const init: Command = {
  usage: 'init',
  summary: 'make the queue table, the schema tailrace and a first configuration, where they are absent',
  examples: [
    ['tailrace init', 'make what is absent; a table that is there is never altered'],
    ['tailrace init --notify', 'also add the trigger that wakes a sleeping reader, for lower latency'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file to write if there is none' })
      .option('notify', { type: 'boolean', default: false, describe: 'add the wake-up trigger to the queue table' }),
  async run(args, { env, stdout }) {
    const { steps } = await withSession(args, env, (session) => initSchema(session, { notify: args.notify === true }));
    for (const step of steps) stdout.write(`${step}\n`);
    const found = findConfigFile({ option: typeof args.config === 'string' ? args.config : undefined, env });
    const file = found?.file ?? DEFAULT_CONFIG;
    const written = await writeIfAbsent(file);
    stdout.write(
      written
        ? `wrote ${file}: every event is left in the queue until you change it\n`
        : `found ${file}, left as it is\n`,
    );
    return EXIT.ok;
  },
};

async function writeIfAbsent(file: string): Promise<boolean> {
  try {
    // For its owner and group: a configuration tends to grow secrets.
    const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o640);
    try {
      await handle.writeFile(INITIAL_CONFIG);
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new TailraceError(
      'CONFIG_NOT_WRITTEN',
      `cannot write ${file}: ${writeProblem(error)}; name another place with --config`,
      { cause: error },
    );
  }
}
