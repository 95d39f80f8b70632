// `tailrace retry`: does not wait for the clock, and takes up again what was parked.

import { EXIT, TailraceError } from '../lib/errors.ts';
import { count } from '../lib/quantity.ts';
import { retry as retryEvents } from '../queue/retry.ts';
import type { Command } from './command.ts';
import { databaseOption, withSession } from './database.ts';

export const retry: Command = {
  usage: 'retry [destination]',
  summary: 'try failed or parked events again now',
  examples: [
    [
      'tailrace retry "suppression list"',
      'all that failed at this destination, which is probed at once if it was open',
    ],
    ['tailrace retry "suppression list" --parked', 'only what was given up on there'],
    ['tailrace retry --parked', 'all that was given up on or too large'],
    ['tailrace retry --id 4711', 'one event'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .positional('destination', { type: 'string', describe: 'the destination as `tailrace status` shows it' })
      .option('id', { type: 'string', requiresArg: true, describe: 'the event with this id' })
      .option('parked', { type: 'boolean', default: false, describe: 'only parked events' }),
  async run(args, { env, stdout, stderr }) {
    const destination = typeof args.destination === 'string' ? args.destination : null;
    const id = typeof args.id === 'string' ? args.id : null;
    if (destination === null && id === null && args.parked !== true) {
      throw new TailraceError('USAGE', 'name a destination, an event with --id, or --parked', { exitCode: EXIT.usage });
    }
    if (id !== null && !isEventId(id)) {
      throw new TailraceError('USAGE', `--id takes the number of an event, not "${id}"`, { exitCode: EXIT.usage });
    }
    const onProgress = (due: number): void => void stderr.write(`${count(due)} due so far\n`);
    const { due, tooLarge } = await withSession(args, env, (session) =>
      retryEvents(session, { destination, id, parked: args.parked === true, onProgress }),
    );
    stdout.write(`${count(due)} due now`);
    stdout.write(tooLarge > 0 ? `; too large until now, and looked at again: ${count(tooLarge)}\n` : '\n');
    return EXIT.ok;
  },
};

/** A bigint, as the queue's ids are. */
const isEventId = (id: string): boolean => /^-?\d{1,19}$/.test(id) && BigInt.asIntN(64, BigInt(id)) === BigInt(id);
