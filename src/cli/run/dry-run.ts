// `tailrace run --dry-run`: the shadow run beside the processor that is in charge.

import type { ArgumentsCamelCase } from 'yargs';
import type { Config } from '../../config/config.ts';
import { runShadow } from '../../dry-run/shadow.ts';
import { EXIT, type ExitCode, TailraceError } from '../../lib/errors.ts';
import { createLogger } from '../../lib/logger.ts';
import { onSignals } from '../../lib/shutdown.ts';
import { type CommandContext, textOf } from '../command.ts';
import { databaseUrl } from '../database.ts';

/** @throws {TailraceError} `USAGE` when --dry-run and --log-file are not given together with what they go with. */
export function assertDryRunUsage(args: ArgumentsCamelCase): void {
  const problem =
    args.dryRun !== true
      ? args.logFile !== undefined && '--log-file is for --dry-run; otherwise logfile.filename names the file'
      : args.shard !== undefined && '--dry-run looks at the whole queue; leave --shard out';
  if (problem) throw new TailraceError('USAGE', problem, { exitCode: EXIT.usage });
}

/** Looks on until a signal, or once; the summary goes to standard output. */
export async function dryRun(
  args: ArgumentsCamelCase,
  config: Config,
  { env, stdout }: CommandContext,
): Promise<ExitCode> {
  const once = args.once === true;
  const logger = createLogger({ level: once && args.logLevel === 'info' ? 'warn' : String(args.logLevel) });
  const stop = new AbortController();
  const stopListening = onSignals({
    onStop: (signal) => stop.abort(new Error(`stopped by ${signal}`)),
    onHangup: () => undefined,
  });
  try {
    const file = textOf(args.logFile) ?? null;
    logger.info({ log_file: file }, 'shadow run starting: it sends nothing and changes nothing in the database');
    const summary = await runShadow({
      config,
      database: databaseUrl(args, env),
      file,
      once,
      logger,
      stop: stop.signal,
    });
    stdout.write(`${JSON.stringify(summary)}\n`);
    return EXIT.ok;
  } finally {
    stopListening();
  }
}
