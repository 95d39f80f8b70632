// `tailrace recording`: which event types are recorded, and switching them on and off (SPEC 7).

import { hostname } from 'node:os';
import { join } from 'node:path';
import type { ArgumentsCamelCase } from 'yargs';
import { typeMeant } from '../config/matching.ts';
import { findEventType } from '../event/catalog.ts';
import { RECORDING_SWITCHES, type RecordingSwitch, STUDIO_TABLE } from '../event/recording-switches.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { openRecordingConnection } from '../recording/connection.ts';
import { type ControlDirectory, readControlDirectory, writeSwitch } from '../recording/control-directory.ts';
import type { QueryClient } from '../recording/queue-table.ts';
import {
  engineSwitches,
  mirroredFrom,
  OTHER_TYPES,
  readCounts,
  readSwitches,
  setStudioSwitches,
  storeSwitches,
  switchKey,
} from '../recording/switch-store.ts';
import { placeOf } from '../recording/switches.ts';
import { inColumns } from './columns.ts';
import type { Command, CommandContext } from './command.ts';
import { controlOption, findControl } from './control.ts';
import { databaseOption, databaseUrl } from './database.ts';

/** Where the Engine's switches are without a control directory. */
const ENGINE_TABLE = 'tailrace.switches';

export const recording: Command = {
  usage: 'recording <action> [types..]',
  summary: 'show which event types are recorded, and switch them on or off',
  examples: [
    ['tailrace recording list', 'every type: on or off, where its switch is, recorded and suppressed so far'],
    ['tailrace recording enable bounce_all scomp', 'record these from now on, the Engine’s and the Studio’s'],
    ['tailrace recording disable --studio scomp', 'no complaints of the Studio any more'],
    ['tailrace recording enable --all', 'record every type'],
  ],
  options: (yargs) =>
    controlOption(databaseOption(yargs))
      .positional('action', { choices: ['list', 'enable', 'disable'] as const, describe: 'what to do' })
      .positional('types', { type: 'string', array: true, describe: 'event types to switch, or to list' })
      .option('all', { type: 'boolean', default: false, describe: 'switch every type' })
      .option('engine', { type: 'boolean', default: false, describe: 'only the switches of the Engine' })
      .option('studio', { type: 'boolean', default: false, describe: 'only the switches of the Studio' })
      .option('json', { type: 'boolean', default: false, describe: 'list: print one JSON object' }),
  async run(args, context) {
    const wanted = switchesOf(args);
    const directory = await findControl(args, context.env);
    await using connection = await openRecordingConnection(databaseUrl(args, context.env), 'tailrace recording');
    if (args.action === 'list') return await list(connection, directory, wanted, args.json === true, context);
    return await set(connection, directory, wanted, args.action === 'enable', context);
  },
};

/** The switches that the command line names. @throws {TailraceError} `USAGE` or `EVENT_TYPE_UNKNOWN`. */
function switchesOf({ action, types, all, engine, studio }: ArgumentsCamelCase): readonly RecordingSwitch[] {
  const named = (Array.isArray(types) ? types : []).map(String);
  const isEach = named.length === 0 && (all === true || action === 'list');
  if (!isEach && (all === true || named.length === 0)) {
    throw new TailraceError('USAGE', 'name event types, or --all of them', { exitCode: EXIT.usage });
  }
  const origins = engine === studio ? ['engine', 'studio'] : [engine ? 'engine' : 'studio'];
  const possible = RECORDING_SWITCHES.filter(({ origin }) => origins.includes(origin));
  if (isEach) return possible;
  return named.flatMap((name) => {
    const type = findEventType(name)?.name;
    if (type === undefined) {
      throw new TailraceError(
        'EVENT_TYPE_UNKNOWN',
        `there is no switch for the event type "${name}", and types that tailrace does not know are always recorded${typeMeant(name)}`,
      );
    }
    const found = possible.filter((each) => each.type === type);
    if (found.length > 0) return found;
    throw new TailraceError('USAGE', `${type} has no switch of the ${engine === true ? 'Engine' : 'Studio'}`, {
      exitCode: EXIT.usage,
    });
  });
}

/** The files first: they are what counts. Then the table, so that the SQL functions follow at once. */
async function set(
  connection: QueryClient,
  directory: ControlDirectory | null,
  wanted: readonly RecordingSwitch[],
  on: boolean,
  { stdout, stderr }: CommandContext,
): Promise<typeof EXIT.ok> {
  await readSwitches(connection); // says it when they are not there, before anything is changed
  const engine = wanted.filter(({ origin }) => origin === 'engine');
  const studio = wanted.filter(({ origin }) => origin === 'studio');
  if (engine.length > 0 && directory !== null) {
    for (const each of engine) await writeSwitch(directory, each, on);
    const { on: read } = await readControlDirectory(directory);
    await storeSwitches(connection, engineSwitches(read), placeOf(directory));
  } else if (engine.length > 0) {
    const place = await mirroredFrom(connection);
    await storeSwitches(connection, new Map(engine.map(({ type }) => [type, on])), null);
    if (place !== null) {
      stderr.write(
        `warning: so far these switches came from the control directory ${place}; a process that uses it sets them back when it starts, or when a file there changes\n`,
      );
    }
  }
  if (studio.length > 0) await setStudioSwitches(connection, studio, on);
  for (const each of wanted)
    stdout.write(`${each.type} (${each.origin}) ${on ? 'on' : 'off'}: ${place(each, directory)}\n`);
  return EXIT.ok;
}

async function list(
  connection: QueryClient,
  directory: ControlDirectory | null,
  wanted: readonly RecordingSwitch[],
  json: boolean,
  { stdout, stderr }: CommandContext,
): Promise<typeof EXIT.ok> {
  const stored = await readSwitches(connection);
  const counts = await readCounts(connection);
  const control = directory && (await readControlDirectory(directory));
  const switches = wanted.map((each) => {
    const { recorded, suppressed } = counts.get(switchKey(each)) ?? { recorded: 0, suppressed: 0 };
    const on = control && each.origin === 'engine' ? control.on.has(each.type) : stored.has(switchKey(each));
    return { type: each.type, origin: each.origin, on, recorded, suppressed, switch: place(each, directory) };
  });
  const others = counts.get(OTHER_TYPES)?.recorded ?? 0;
  const problems = Array.from(control?.problems ?? [], ([path, problem]) => `${path} ${problem}; it counts as off`);
  if (json) {
    const result = {
      control_directory: directory?.path ?? null,
      host: hostname(),
      switches,
      other_types: { recorded: others },
      problems,
    };
    stdout.write(`${JSON.stringify(result)}\n`);
    return EXIT.ok;
  }
  const head = ['TYPE', 'ORIGIN', 'STATE', 'RECORDED', 'SUPPRESSED', 'SWITCH'];
  const rows = switches.map((each) => [
    each.type,
    each.origin,
    each.on ? 'on' : 'off',
    each.recorded.toLocaleString('en-US'),
    each.suppressed.toLocaleString('en-US'),
    each.switch,
  ]);
  if (wanted.length === RECORDING_SWITCHES.length)
    rows.push(['(other types)', '-', 'on', others.toLocaleString('en-US'), '0', '-']);
  for (const line of inColumns([head, ...rows], (at) => at === 3 || at === 4)) stdout.write(`${line}\n`);
  for (const problem of problems) stderr.write(`warning: ${problem}\n`);
  return EXIT.ok;
}

function place({ origin, type, where }: RecordingSwitch, directory: ControlDirectory | null): string {
  if (origin === 'studio') return `${STUDIO_TABLE}.${where}`;
  return directory ? join(directory.path, where) : `${ENGINE_TABLE} (${type})`;
}
