// `tailrace completion`: the script that a shell sources, and what it then asks for with each press of the tab key:
// commands, options, their choices, names of destinations (from the configuration file, never from the database) and
// event types. Where nothing is offered the shell completes file names.

import { readFile } from 'node:fs/promises';
import { parseDocument } from '../config/document.ts';
import { findConfigFile } from '../config/find.ts';
import { loadConfig } from '../config/load.ts';
import { valueAt } from '../config/problem.ts';
import { EVENT_TYPES } from '../event/catalog.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { type Command, type CommandContext, textOf } from './command.ts';
import { type Parameter, parametersOf } from './parameters.ts';

/** What the scripts call tailrace with, before the words of the command line: the name that yargs has for it. */
export const COMPLETION_REQUEST = '--get-yargs-completions';

const SHELLS = ['bash', 'zsh'] as const;

const BASH = `# tailrace completion for bash: source <(tailrace completion bash)
_tailrace() {
  local -a words offered
  local each
  # What is typed so far may be quoted, what is offered is not.
  words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  mapfile -t offered < <("\${COMP_WORDS[0]}" ${COMPLETION_REQUEST} tailrace "\${words[@]//\\\\/}" 2>/dev/null)
  COMPREPLY=()
  for each in "\${offered[@]}"; do COMPREPLY+=("$(printf '%q' "$each")"); done
}
complete -o default -F _tailrace tailrace
`;

const ZSH = `#compdef tailrace
# tailrace completion for zsh: source <(tailrace completion zsh), after compinit
_tailrace() {
  local -a offered
  offered=("\${(@f)$("\${words[1]}" ${COMPLETION_REQUEST} tailrace "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${offered[1]}" ]]; then compadd -- "\${offered[@]}"; else _files; fi
}
if [[ "\${funcstack[1]}" == _tailrace ]]; then _tailrace "$@"; else compdef _tailrace tailrace; fi
`;

export const completion: Command = {
  usage: 'completion [shell]',
  summary: 'print a script that completes commands, options and names in bash or zsh',
  examples: [
    ['source <(tailrace completion bash)', 'in this shell, or in ~/.bashrc'],
    ['tailrace completion bash > /etc/bash_completion.d/tailrace', 'for everybody'],
    ['tailrace completion zsh > ~/.zfunc/_tailrace', 'in a folder of fpath'],
  ],
  options: (yargs) =>
    yargs.positional('shell', { choices: SHELLS, describe: 'whose script; without it that of $SHELL' }),
  async run(args, { env, stdout }) {
    const shell = textOf(args.shell) ?? SHELLS.find((each) => env.SHELL?.endsWith(each));
    if (shell === undefined) {
      throw new TailraceError('USAGE', `name the shell: ${SHELLS.join(' or ')}`, { exitCode: EXIT.usage });
    }
    stdout.write(shell === 'zsh' ? ZSH : BASH);
    return EXIT.ok;
  },
};

/** Names that stand for the same kind of thing in whatever command. */
const KINDS: Readonly<Record<string, (context: CommandContext) => Promise<readonly string[]>>> = {
  destination: destinationNames,
  destinations: destinationNames,
  type: eventTypes,
  types: eventTypes,
};

/**
 * What may stand where the cursor is.
 *
 * @param words of the command line, without the program's name; the last one is the beginning of the word to complete.
 * @param command the one that the first word names; undefined: none.
 * @returns nothing when the shell may as well offer files.
 */
export async function candidatesFor(
  words: readonly string[],
  commands: readonly string[],
  command: Command | undefined,
  context: CommandContext,
): Promise<readonly string[]> {
  const current = words.at(-1) ?? '';
  // Bash takes --config=FILE for three words.
  const given = words.slice(1, -1).filter((word) => word !== '=');
  const offered =
    words.length < 2
      ? [...commands, ...(current.startsWith('-') ? ['--help', '--version', '--check-syntax'] : [])]
      : command === undefined
        ? []
        : await parametersFor(command, given, current, context);
  return offered.filter((each) => each.startsWith(current) && !given.includes(each));
}

async function parametersFor(
  command: Command,
  given: readonly string[],
  current: string,
  context: CommandContext,
): Promise<readonly string[]> {
  const { options, args } = parametersOf(command);
  const taking = options.find(({ name, isFlag }) => !isFlag && given.at(-1) === `--${name}`);
  if (taking) return await valuesOf(taking, context);
  if (current.startsWith('-')) return [...options.map(({ name }) => `--${name}`), '--help'];
  const valued = new Set(options.filter(({ isFlag }) => !isFlag).map(({ name }) => `--${name}`));
  const before = given.filter((word, at) => !word.startsWith('-') && !valued.has(given[at - 1] ?? '')).length;
  const arg = args[before] ?? (args.at(-1)?.isList ? args.at(-1) : undefined);
  return arg === undefined ? [] : await valuesOf(arg, context);
}

async function valuesOf({ name, choices }: Parameter, context: CommandContext): Promise<readonly string[]> {
  return choices.length > 0 ? choices : ((await KINDS[name]?.(context)) ?? []);
}

async function eventTypes(): Promise<readonly string[]> {
  return EVENT_TYPES.map(({ name }) => name);
}

/** Those that have events of their own to wait; only what the file says. */
async function destinationNames({ env }: CommandContext): Promise<readonly string[]> {
  const file = findConfigFile({ env })?.file;
  if (file === undefined) return [];
  const { config } = await loadConfig(file, { env });
  if (config === null) return await namesIn(file);
  const sending = config.routes.filter(({ destination: { type } }) => !STAYING.has(type));
  return [...new Set(sending.map(({ key }) => key))];
}

const STAYING: ReadonlySet<unknown> = new Set(['drop_from_queue', 'leave_in_queue']);

/** Of a file that is not good here, most often for want of a secret that only the service has. */
async function namesIn(file: string): Promise<readonly string[]> {
  const entries = valueAt(parseDocument(await readFile(file, 'utf8').catch(() => '')).value, ['event_destinations']);
  return (Array.isArray(entries) ? entries : []).flatMap((entry) => {
    const name = valueAt(entry, ['name']);
    return typeof name === 'string' && !STAYING.has(valueAt(entry, ['destination', 'type'])) ? [name] : [];
  });
}
