// `tailrace man`, which `npm run man` writes to docs/tailrace.1: the manual page, made from what the commands tell
// `--help`. In the language of man(7), which groff and mandoc read.

import { CONFIG_LOCATIONS } from '../config/find.ts';
import { EXIT } from '../lib/errors.ts';
import { version } from '../lib/version.ts';
import type { Command } from './command.ts';
import { type Parameter, parametersOf } from './parameters.ts';

const EXIT_STATUS = [
  [EXIT.ok, 'good'],
  [EXIT.problem, 'a problem was found'],
  [EXIT.usage, 'wrong usage'],
  [EXIT.unavailable, 'the database or the log file is unavailable'],
  [EXIT.tryAgain, 'something else is at work: try again later'],
] as const;

const ENVIRONMENT: Readonly<Record<string, string>> = {
  TAILRACE_DATABASE_URL: 'The database, unless --database names it; else the PG* variables of libpq do.',
  TAILRACE_CONFIG: 'The configuration file, unless --config names it.',
  TAILRACE_CONTROL_DIR: 'The directory of the recording switches, unless --control-dir names it.',
  TZ: 'The time zone of the date that `filename_append_date` appends.',
};

/** @param load loads all commands, in the order of `tailrace --help`. */
export function createMan(load: () => Promise<readonly Command[]>): Command {
  return {
    usage: 'man',
    summary: 'print the manual page',
    examples: [['tailrace man | man -l -', 'read it']],
    options: (yargs) => yargs,
    async run(_args, { stdout }) {
      stdout.write(renderManual(await load()));
      return EXIT.ok;
    },
  };
}

/** The manual page in man(7); the same text for the same commands, so that it can be kept with the sources. */
export function renderManual(commands: readonly Command[]): string {
  return [
    `.TH TAILRACE 1 "" "tailrace ${version()}" "User Commands"`,
    '.SH NAME',
    'tailrace \\- write email events from a PostgreSQL queue table to a JSON-lines file and deliver them',
    '.SH SYNOPSIS',
    '.B tailrace',
    '.I command',
    '.RI [ option ]...',
    '.SH DESCRIPTION',
    prose(
      'tailrace empties a PostgreSQL queue table of email events. It writes each event as one JSON line to a log file.',
    ),
    prose('Then it delivers the event, drops it, or leaves it in the queue, as the configuration file says.'),
    '.PP',
    prose('Data goes to standard output, diagnostics to standard error.'),
    '.SH COMMANDS',
    ...commands.flatMap(renderCommand),
    '.SH ENVIRONMENT',
    ...Object.entries(ENVIRONMENT).flatMap(([name, purpose]) => ['.TP', `.B ${literal(name)}`, prose(purpose)]),
    '.SH FILES',
    ...CONFIG_LOCATIONS.flatMap((place) => ['.TP', `.I ${literal(place)}`, 'Configuration; the first that is there.']),
    '.SH EXIT STATUS',
    ...EXIT_STATUS.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, prose(meaning)]),
    '',
  ].join('\n');
}

function renderCommand(command: Command): string[] {
  const { options, args } = parametersOf(command);
  return [
    `.SS tailrace ${literal(command.usage)}`,
    prose(`${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`),
    ...args.flatMap((each) => ['.TP', `.I ${literal(nameOf(each))}`, purposeOf(each)]),
    ...options.flatMap((each) => [
      '.TP',
      each.isFlag ? `.B \\-\\-${literal(each.name)}` : `.BI \\-\\-${literal(each.name)} " ${placeholderOf(each)}"`,
      purposeOf(each),
    ]),
    ...command.examples.flatMap(([line, purpose]) => [
      '.PP',
      prose(`${purpose}:`),
      '.RS 4',
      '.EX',
      literal(line),
      '.EE',
      '.RE',
    ]),
  ];
}

const nameOf = ({ name, choices }: Parameter): string => (choices.length > 0 ? choices.join('|') : name);

const placeholderOf = ({ choices }: Parameter): string =>
  choices.length > 0 ? choices.map(literal).join('|') : 'value';

function purposeOf(parameter: Parameter): string {
  const preset = parameter.default === null ? '' : `; default ${parameter.default}`;
  return prose(parameter.describe + preset);
}

/** Characters that roff takes for its own, or prints as others: what is copied from the page is what was typed. */
const SPECIAL: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '"': '\\(dq',
  '`': '\\(ga',
  '~': '\\(ti',
  '^': '\\(ha',
};

/** Text as it stands. */
const literal = (text: string): string =>
  guardLine(text.replace(/[\\\-'"`~^]|[^\x20-\x7e]/gu, (character) => SPECIAL[character] ?? codeOf(character)));

/** Text for people; what stands in backticks is bold. */
function prose(text: string): string {
  const parts = text.split('`');
  const isPaired = parts.length % 2 === 1;
  if (!isPaired) return literal(text);
  return guardLine(parts.map((part, at) => (at % 2 === 1 ? `\\fB${literal(part)}\\fR` : literal(part))).join(''));
}

/** A line that begins with a dot is a request. */
const guardLine = (text: string): string => (text.startsWith('.') ? `\\&${text}` : text);

const codeOf = (character: string): string =>
  `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`;
