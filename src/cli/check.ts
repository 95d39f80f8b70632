// `tailrace check`: says everything that is wrong with a configuration file before a running tailrace has to.

import type { Config } from '../config/config.ts';
import { printJsonSchema } from '../config/json-schema.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { EXIT } from '../lib/errors.ts';
import type { Command, CommandContext } from './command.ts';
import { requireConfigFile } from './configuration.ts';

/** The command `check`: problems and warnings on standard error, one a line; what is good on standard output. */
export const check: Command = {
  usage: 'check [file]',
  summary: 'check a configuration file',
  examples: [
    ['tailrace check', 'check the configuration that `tailrace run` would use'],
    ['tailrace check new.json && mv new.json event_processor.json', 'put only a good file in place'],
    ['tailrace check --print-schema > event_processor.schema.json', 'get completion in an editor'],
  ],
  options: (yargs) =>
    yargs
      .positional('file', { type: 'string', describe: 'the configuration file' })
      .option('config', { type: 'string', requiresArg: true, describe: 'the same as FILE' })
      .option('json', { type: 'boolean', default: false, describe: 'print the result as one JSON object' })
      .option('print-schema', {
        type: 'boolean',
        default: false,
        describe: 'print the JSON Schema of the configuration and end',
      }),
  async run(args, context) {
    if (args.printSchema === true) {
      context.stdout.write(printJsonSchema());
      return EXIT.ok;
    }
    const { env } = context;
    const file = requireConfigFile(args.file ?? args.config, env, 'name one, or let `tailrace init` write one');
    const loaded = await loadConfig(file, { env });
    if (args.json === true) context.stdout.write(`${JSON.stringify(summarize(loaded))}\n`);
    else report(loaded, context);
    return loaded.config ? EXIT.ok : EXIT.problem;
  },
};

function summarize({ file, config, problems, warnings }: LoadedConfig) {
  return { file, good: config !== null, problems, warnings };
}

function report({ file, config, problems, warnings }: LoadedConfig, { stdout, stderr }: CommandContext): void {
  for (const problem of problems) stderr.write(`${formatProblem(file, problem)}\n`);
  for (const { message, ...place } of warnings) {
    stderr.write(`${formatProblem(file, { ...place, message: `warning: ${message}` })}\n`);
  }
  if (config) stdout.write(`${file}: good (${describe(config)})\n`);
}

function describe({ routes, logFile }: Config): string {
  const destinations = routes.length === 1 ? '1 destination' : `${routes.length || 'no'} destinations`;
  return `${destinations}, ${logFile ? `log file ${logFile.filename}` : 'no log file'}`;
}
