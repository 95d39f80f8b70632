// What a command's `options` tells yargs, read back as data: for the manual page and for completion in a shell, so that
// both say what `--help` says.

import type { Argv, Options } from 'yargs';
import type { Command } from './command.ts';

/** An option or an argument of a command. */
export interface Parameter {
  /** Without dashes. */
  readonly name: string;
  readonly describe: string;
  readonly choices: readonly string[];
  /** An option that stands for itself, without a value. */
  readonly isFlag: boolean;
  /** An argument that takes all words that are left. */
  readonly isList: boolean;
  /** What it is unless it is given; null = nothing worth saying. */
  readonly default: string | null;
}

export interface Parameters {
  readonly options: readonly Parameter[];
  /** In the order of the command line. */
  readonly args: readonly Parameter[];
}

/** What we read of the settings that yargs takes for an option and for an argument. */
type Settings = Pick<Options, 'type' | 'boolean' | 'describe' | 'choices' | 'default' | 'hidden'>;

/** Asks a command for its parameters. */
export function parametersOf({ usage, options }: Command): Parameters {
  const found = { option: new Map<string, Settings>(), positional: new Map<string, Settings>() };
  const note = (kind: 'option' | 'positional', name: unknown, settings: unknown): void => {
    if (typeof name === 'string') found[kind].set(name, (settings ?? {}) as Settings);
    else for (const [each, its] of Object.entries(name ?? {})) found[kind].set(each, its as Settings);
  };
  // Answers every call as yargs does, with itself.
  const recorder: unknown = new Proxy(
    {},
    {
      get:
        (_, method) =>
        (name: unknown, settings: unknown): unknown => {
          if (method === 'option' || method === 'options') note('option', name, settings);
          if (method === 'positional') note('positional', name, settings);
          return recorder;
        },
    },
  );
  options(recorder as Argv);
  const args = [...usage.matchAll(/[<[]([\w-]+)(\.\.)?[>\]]/g)].map(([, name = '', list]) => ({
    ...toParameter(name, found.positional.get(name) ?? {}),
    isList: list !== undefined,
  }));
  const visible = [...found.option].filter(([, settings]) => settings.hidden !== true);
  return { options: visible.map(([name, settings]) => toParameter(name, settings)), args };
}

function toParameter(name: string, settings: Settings): Parameter {
  const preset: unknown = settings.default;
  const isFlag = settings.type === 'boolean' || settings.boolean === true;
  return {
    name,
    describe: settings.describe || '',
    choices: (settings.choices ?? []).map(String),
    isFlag,
    isList: false,
    default: isFlag || preset === undefined || preset === null || Array.isArray(preset) ? null : String(preset),
  };
}
