// `tailrace explain`: what would become of an event under the configuration, entry by entry, and what would be sent.

import type { ArgumentsCamelCase } from 'yargs';
import type { Config } from '../../config/config.ts';
import { createExplainer } from '../../dry-run/explanation.ts';
import { createLineReader } from '../../event/from-line.ts';
import { codeOf, EXIT, messageOf, TailraceError } from '../../lib/errors.ts';
import { visible } from '../../lib/visible.ts';
import { type InForce, readInForce } from '../../queue/in-force.ts';
import { readOnly } from '../../queue/read-only.ts';
import { checkSchema, QUEUE_TABLE } from '../../queue/schema.ts';
import type { Session } from '../../queue/session.ts';
import { type QueueTable, readQueueTable } from '../../queue/table.ts';
import type { Command, CommandContext } from '../command.ts';
import { loadGoodConfig } from '../configuration.ts';
import { databaseOption, databaseUrl, withSession } from '../database.ts';
import { columnsOf, type Found, findInLogs, findInQueue, type LineRange, readFileLines, readStdin } from './sources.ts';
import { placeOf, renderExplanation } from './text.ts';

/** What yargs makes of a lone `-` (see cli.ts). */
const STDIN = '/dev/stdin';
const MAX_BODY = 2_000;

export const explain: Command = {
  usage: 'explain [file]',
  summary: 'say which destinations an event would go to and why, and what would be sent; nothing is sent',
  examples: [
    ['tailrace explain --id 4711', 'an event of the queue, else of the log files'],
    ['tailrace explain /var/log/tailrace/events.jsonl --lines 10-20', 'lines of a file, .gz too'],
    [`echo '{"event_type":"scomp","mailclass":"default"}' | tailrace explain -`, 'an event that does not exist yet'],
    ['tailrace explain --config new.json --id 4711 --json', 'under another configuration, for a script'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .positional('file', { type: 'string', describe: 'JSON lines to read events from; - is standard input' })
      .option('id', { type: 'string', requiresArg: true, describe: 'event_id of one event' })
      .option('lines', { type: 'string', requiresArg: true, describe: 'lines of FILE: 7, 10-20 or 10-' })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file' })
      .option('connect', {
        type: 'boolean',
        default: false,
        describe: 'ask the databases of sql_insert destinations which columns their tables have',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object per event' }),
  async run(args, context) {
    const wanted = readWanted(args);
    const loaded = await loadGoodConfig(args.config, context);
    if (loaded === null) return EXIT.problem;
    // One that is only read from a file needs no database, but what it says is used where it is named.
    if (wanted.id === null && databaseUrl(args, context.env) === undefined) {
      return explainAll(args, context, loaded, wanted, null);
    }
    return withKnownDatabase(args, context, (known) => explainAll(args, context, loaded, wanted, known));
  },
};

interface Wanted {
  readonly id: string | null;
  readonly file: string | null;
  readonly range: LineRange;
}

/** What PostgreSQL knows. */
interface Known {
  readonly session: Session;
  readonly table: QueueTable;
  readonly inForce: InForce;
}

function readWanted({ id, file, lines }: ArgumentsCamelCase): Wanted {
  const usage = (message: string): TailraceError => new TailraceError('USAGE', message, { exitCode: EXIT.usage });
  if ((id === undefined) === (file === undefined)) {
    throw usage('name one of: --id ID, a FILE, or - for standard input');
  }
  const number = id === undefined ? null : String(id);
  if (number !== null && !(/^-?\d{1,19}$/.test(number) && BigInt.asIntN(64, BigInt(number)) === BigInt(number))) {
    throw usage(`--id takes an event_id, which is a number, not "${number}"; tailrace trace finds it by its unique id`);
  }
  if (lines !== undefined && (file === undefined || file === STDIN)) throw usage('--lines goes with a FILE');
  const match = /^(\d+)(-(\d*))?$/.exec(lines === undefined ? '1-' : String(lines));
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : match[3] ? Number(match[3]) : Number.POSITIVE_INFINITY;
  if (match === null || first < 1 || last < first) {
    throw usage(`--lines takes a line or a range, such as 7, 10-20 or 10-, counted from 1; not "${lines}"`);
  }
  return {
    id: number && BigInt(number).toString(),
    file: file === undefined ? null : String(file),
    range: { first, last },
  };
}

/** With the database where it can be had: what is asked most when it cannot must be answered as well. */
async function withKnownDatabase<T>(
  args: ArgumentsCamelCase,
  { env, stderr }: CommandContext,
  work: (known: Known | null) => Promise<T>,
): Promise<T> {
  let isWorking = false;
  try {
    return await withSession(args, env, async (session) => {
      const known = await readOnly(session, async () => {
        const table = await readQueueTable(session, QUEUE_TABLE, false);
        await checkSchema(session, table.oid);
        return { session, table, inForce: await readInForce(session) };
      });
      isWorking = true;
      return work(known);
    });
  } catch (error) {
    if (isWorking || codeOf(error) !== 'DATABASE_UNAVAILABLE') throw error;
    stderr.write(`tailrace: ${messageOf(error)}\n`);
    stderr.write('tailrace: going on without it: what waits, failed or is paused is not known\n');
    return work(null);
  }
}

async function explainAll(
  args: ArgumentsCamelCase,
  { stdin, stdout, stderr }: CommandContext,
  { file: configFile, config }: { readonly file: string; readonly config: Config },
  wanted: Wanted,
  known: Known | null,
) {
  const explainEvent = createExplainer({ config, paused: known?.inForce.paused ?? null, look: args.connect === true });
  const isInForce = known === null ? null : known.inForce.fingerprint === config.fingerprint;
  let count = 0;
  let bad = 0;
  for await (const found of eventsOf(wanted, config, known, stdin)) {
    count += 1;
    if ('problem' in found) {
      bad += 1;
      stderr.write(`tailrace: ${placeOf(found.source)}: ${visible(found.problem)}\n`);
      continue;
    }
    const explanation = await explainEvent(found.explained);
    const whole = { source: found.source, config: configFile, in_force: isInForce, ...explanation };
    const text =
      args.json === true
        ? `${JSON.stringify(whole)}\n`
        : `${count > 1 ? '\n' : ''}${renderExplanation(whole, { hasLogFile: config.logFile !== null, maxBody: MAX_BODY })}`;
    if (!stdout.write(text)) await drained(stdout);
    // Who reads no further wants no more.
    if (!stdout.writable) break;
  }
  if (count === 0) throw nothingFound(wanted, config, known);
  return bad > 0 ? EXIT.problem : EXIT.ok;
}

async function* eventsOf(
  { id, file, range }: Wanted,
  { logFile }: Config,
  known: Known | null,
  stdin: AsyncIterable<Buffer>,
): AsyncGenerator<Found> {
  const columns = columnsOf(known?.table ?? null);
  if (id !== null) {
    const queued = known && (await findInQueue(known.session, known.table, id));
    const found = queued ?? (logFile && (await findInLogs(logFile.filename, id, columns)));
    if (found) yield found;
    return;
  }
  const read = createLineReader(columns);
  yield* file === STDIN ? readStdin(stdin, read) : readFileLines(file ?? '', range, read);
}

function drained(stdout: CommandContext['stdout']): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      stdout.off('drain', end);
      stdout.off('close', end);
      resolve();
    };
    stdout.on('drain', end);
    stdout.on('close', end);
  });
}

function nothingFound({ id, file, range }: Wanted, { logFile }: Config, known: Known | null): TailraceError {
  if (id === null) {
    const where = file === STDIN ? 'standard input' : file;
    const lines = range.first === 1 && range.last === Number.POSITIVE_INFINITY ? '' : ' in these lines';
    return new TailraceError('EVENT_NOT_FOUND', `there is no event${lines} in ${where}`);
  }
  const places = [
    ...(known ? [`in the queue table ${known.table.name}`] : []),
    ...(logFile ? [`in ${logFile.filename} or what it was renamed to`] : []),
  ];
  return new TailraceError(
    'EVENT_NOT_FOUND',
    `the event ${id} is not ${places.join(', nor ') || 'to be found: there is neither a database nor a log file to look in'}; if its line was moved elsewhere, name the file: tailrace explain FILE --lines N`,
  );
}
