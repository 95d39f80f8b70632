// `tailrace trace`: an event's story, put together from the queue, tailrace's state, the log file and the delivery log.

import { resolve } from 'node:path';
import { findConfigFile } from '../../config/find.ts';
import { loadConfig } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { EXIT } from '../../lib/errors.ts';
import { findEvents, whyUnreadable } from '../../log-file/find-event.ts';
import { filesOf } from '../../log-file/log-family.ts';
import { Tracer } from '../../queue/trace.ts';
import type { Command, CommandContext } from '../command.ts';
import { databaseOption, withSession } from '../database.ts';
import { addLine, newStory, type Story, stateOf } from './story.ts';
import { renderStory } from './text.ts';

/** Events with one unique id that are followed at most. */
const MAX_STORIES = 50;

export const trace: Command = {
  usage: 'trace <id> [files..]',
  summary: "tell one event's story: its line, every attempt, and where it stands now",
  examples: [
    ['tailrace trace 4711', 'by event_id'],
    ['tailrace trace d1f0c2', 'by event_unique_id'],
    ['tailrace trace 4711 /archive/events.jsonl-*.gz', 'in files that were moved elsewhere, too'],
    ["tailrace trace --json 4711 | jq '.events[].attempts[]'", 'for a script'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .positional('id', { type: 'string', demandOption: true, describe: 'event_id or event_unique_id' })
      .positional('files', {
        type: 'string',
        array: true,
        default: [],
        describe: 'more log files and delivery logs to look in, .gz or not',
      })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file, which names the logs' })
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object' }),
  async run(args, context) {
    const { env, stdout } = context;
    const id = String(args.id);
    const logs = await logsOf(args.config, context);
    const files = [...new Set([...logs.files, ...(args.files as string[]).map((file) => resolve(file))])];
    const report = await withSession(args, env, async (session) =>
      investigate(id, files, await Tracer.create(session)),
    );
    if (args.json === true)
      stdout.write(
        `${JSON.stringify({ ...report, unreadable: [...report.unreadable.keys()], delivery_log: logs.hasDeliveryLog })}\n`,
      );
    else stdout.write(render(id, report, logs));
    return report.events.length > 0 ? EXIT.ok : EXIT.problem;
  },
};

interface Report {
  readonly events: readonly Story[];
  readonly table: string;
  readonly searched: readonly string[];
  /** Why, by file. */
  readonly unreadable: ReadonlyMap<string, string>;
}

interface Logs {
  readonly files: readonly string[];
  readonly hasDeliveryLog: boolean;
  /** null: no configuration names a log. */
  readonly config: string | null;
}

async function logsOf(named: unknown, { env, stderr }: CommandContext): Promise<Logs> {
  const file = findConfigFile({ option: typeof named === 'string' ? named : undefined, env })?.file;
  if (file === undefined) return { files: [], hasDeliveryLog: false, config: null };
  const { config, problems } = await loadConfig(file, { env });
  // Good enough for the database; a person who looks for an event need not mend the configuration first.
  for (const problem of problems) stderr.write(`${formatProblem(file, problem)}\n`);
  const names = [config?.logFile?.filename, config?.deliveryLog?.filename].filter((name) => name !== undefined);
  const files = (await Promise.all(names.map(filesOf))).flat();
  return { files, hasDeliveryLog: config?.deliveryLog != null, config: file };
}

async function investigate(id: string, files: readonly string[], tracer: Tracer): Promise<Report> {
  const isNumber = /^-?\d{1,19}$/.test(id) && BigInt.asIntN(64, BigInt(id)) === BigInt(id);
  const stories = new Map<string, Story>();
  const storyOf = (eventId: string): Story | null => {
    const known = stories.get(eventId);
    if (known || stories.size >= MAX_STORIES) return known ?? null;
    const made = newStory(eventId);
    stories.set(eventId, made);
    return made;
  };
  const numbered = isNumber ? [BigInt(id).toString()] : [];
  // A number is an id: most often of an event that is gone, and then no row is worth reading the whole table for.
  const ids = isNumber ? numbered : await tracer.idsOf(id);
  for (const each of ids) storyOf(each);
  const unreadable = new Map<string, string>();
  for (const file of files) {
    const why = await whyUnreadable(file);
    if (why !== null) {
      unreadable.set(file, why);
      continue;
    }
    for (const found of await findEvents(file, { ids, uniqueId: id })) {
      const story = storyOf(found.eventId);
      if (story) addLine(story, found);
    }
  }
  // Last, so that what was delivered while the files were read is not called waiting.
  const traced = await tracer.trace([...stories.keys()]);
  const events = [...stories.values()].filter((story) => stateOf(story, traced.get(story.event_id)));
  const searched = files.filter((file) => !unreadable.has(file));
  return { events, table: tracer.table, searched, unreadable };
}

function render(id: string, { events, table, searched, unreadable }: Report, logs: Logs): string {
  const notes = [...unreadable.values()].map((why) =>
    why.endsWith('permission denied') ? `${why}; try again as the user that runs tailrace` : why,
  );
  if (events.length > 0) {
    const stories = events.map((story) => renderStory(story, { searched, hasDeliveryLog: logs.hasDeliveryLog }));
    return `${[...stories, ...notes.map((note) => `${note}\n`)].join('\n')}`;
  }
  const where = searched.length === 0 ? 'no log file was looked at' : `it is not in ${list(searched)}`;
  const advice = [
    `nothing is known of the event ${id}: no row in ${table} has it as id or event_unique_id, tailrace remembers nothing of it, and ${where}`,
    ...notes,
    ...(logs.config === null
      ? ['no configuration was found: name it with --config, so that the log files are known']
      : []),
    'was it recorded at all? Were its files moved away or removed? Name them: tailrace trace ID FILE…',
  ];
  return `${advice.join('\n')}\n`;
}

const list = (files: readonly string[]): string =>
  files.length > 5 ? `${files.slice(0, 5).join(', ')} and ${files.length - 5} more` : files.join(', ');
