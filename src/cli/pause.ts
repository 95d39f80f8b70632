// `tailrace pause` and `tailrace resume`: hold an endpoint's events back while somebody works on it, and let them go.

import { EXIT, TailraceError } from '../lib/errors.ts';
import { setPaused } from '../queue/pause.ts';
import type { Command } from './command.ts';
import { databaseOption, withSession } from './database.ts';

export const pause: Command = createPauseCommand({
  usage: 'pause [destinations..]',
  summary: 'send nothing to a destination until it is resumed; its events wait',
  examples: [
    ['tailrace pause "suppression list"', 'within a second; what is under way ends normally'],
    ['tailrace pause --all', 'every destination that a processor has ever seen'],
  ],
  paused: true,
  changed: (key) => `paused "${key}": its events wait until tailrace resume`,
  unchanged: (key) => `"${key}" was paused before`,
});

export const resume: Command = createPauseCommand({
  usage: 'resume [destinations..]',
  summary: 'send to a paused destination again',
  examples: [
    ['tailrace resume "suppression list"', 'what waited goes out, beside new events'],
    ['tailrace resume --all', 'every destination'],
  ],
  paused: false,
  changed: (key) => `resumed "${key}": what waits goes out`,
  unchanged: (key) => `"${key}" was not paused`,
});

interface PauseWords extends Pick<Command, 'usage' | 'summary' | 'examples'> {
  readonly paused: boolean;
  readonly changed: (key: string) => string;
  readonly unchanged: (key: string) => string;
}

function createPauseCommand({ usage, summary, examples, paused, changed, unchanged }: PauseWords): Command {
  return {
    usage,
    summary,
    examples,
    options: (yargs) =>
      databaseOption(yargs)
        .positional('destinations', {
          type: 'string',
          array: true,
          describe: 'destinations as `tailrace status` shows them',
        })
        .option('all', { type: 'boolean', default: false, describe: 'all destinations' }),
    async run(args, { env, stdout }) {
      const named = Array.isArray(args.destinations) ? args.destinations.map(String) : [];
      if (named.length > 0 === (args.all === true)) {
        throw new TailraceError('USAGE', 'name destinations as `tailrace status` shows them, or --all', {
          exitCode: EXIT.usage,
        });
      }
      const destinations = await withSession(args, env, (session) =>
        setPaused(session, args.all === true ? 'all' : named, paused),
      );
      for (const each of destinations) stdout.write(`${(each.changed ? changed : unchanged)(each.key)}\n`);
      return EXIT.ok;
    },
  };
}
