// `tailrace run`: the processor, for ever or once.

import type { Config } from '../../config/config.ts';
import { formatProblem } from '../../config/problem.ts';
import { Life } from '../../flow/life.ts';
import { EXIT, TailraceError } from '../../lib/errors.ts';
import { logLastWords } from '../../lib/last-words.ts';
import { createLogger } from '../../lib/logger.ts';
import { createServiceManager } from '../../lib/service-manager.ts';
import { onSignals } from '../../lib/shutdown.ts';
import { version } from '../../lib/version.ts';
import { livenessOf } from '../../monitor/liveness.ts';
import { createProcessor } from '../../processor.ts';
import { MOST_SHARDS, parseShard, WHOLE } from '../../queue/slots.ts';
import { type RecordingSettings, startMirror } from '../../recording/mirror.ts';
import type { Command } from '../command.ts';
import { loadGoodConfig } from '../configuration.ts';
import { controlOption, findControl } from '../control.ts';
import { databaseOption, databaseUrl } from '../database.ts';
import { assertDryRunUsage, dryRun } from './dry-run.ts';
import { httpOptions, openMonitoring } from './monitoring.ts';

export const run: Command = {
  usage: 'run',
  summary: 'write events to the log file and deliver them',
  examples: [
    ['tailrace run', 'run until SIGTERM or Ctrl-C; SIGHUP opens the log file anew'],
    ['tailrace run --once', 'handle all that is due now, print a summary and end'],
    [
      'tailrace run --shard 0/2 --config a.json',
      'one of two processes on one queue; the other runs --shard 1/2 with its own log file',
    ],
    ['tailrace run --http 127.0.0.1:9464', 'metrics, health and a page at http://127.0.0.1:9464/'],
    ['tailrace run --config /etc/tailrace/event_processor.json --database postgresql:///greenarrow', 'name both'],
    ['tailrace run --dry-run --log-file /tmp/shadow.jsonl', 'read along beside another processor, touching nothing'],
  ],
  options: (yargs) =>
    httpOptions(controlOption(databaseOption(yargs)))
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file' })
      .option('once', { type: 'boolean', default: false, describe: 'handle all that is due now, then end' })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'shadow run: write lines to --log-file, count what would be delivered, send and change nothing',
      })
      .option('log-file', { type: 'string', requiresArg: true, describe: 'with --dry-run: a new file for the lines' })
      .option('shard', {
        type: 'string',
        requiresArg: true,
        describe: `i/n: handle one of n parts of the queue, i from 0 to n - 1, n up to ${MOST_SHARDS}`,
      })
      .option('log-level', {
        choices: ['info', 'warn', 'error'] as const,
        default: 'info' as const,
        describe: 'least important diagnostics to print',
      }),
  async run(args, context) {
    const { env, stdout } = context;
    assertDryRunUsage(args);
    const shard = args.shard === undefined ? WHOLE : parseShard(String(args.shard));
    if (shard === null) {
      throw new TailraceError(
        'USAGE',
        `--shard takes i/n with i from 0 to n - 1 and n from 1 to ${MOST_SHARDS}, such as 0/4, not "${args.shard}"`,
        { exitCode: EXIT.usage },
      );
    }
    const loaded = await loadGoodConfig(args.config, context);
    if (loaded === null) return EXIT.problem;
    const { file, config } = loaded;
    if (args.dryRun === true) return await dryRun(args, config, context);

    const once = args.once === true;
    const logger = createLogger({ level: once && args.logLevel === 'info' ? 'warn' : String(args.logLevel) });
    const endListening = logLastWords(logger);
    const stop = new AbortController();
    let logFile = config.logFile;
    const life = new Life();
    const monitoring = await openMonitoring(args, env, {
      life,
      database: databaseUrl(args, env),
      logFile: () => logFile,
      stop: stop.signal,
      logger,
    });
    const mirroring = new AbortController();
    const mirror = startMirror({
      database: databaseUrl(args, env),
      directory: await findControl(args, env),
      settings: recordingSettings(config),
      once,
      logger,
      signal: mirroring.signal,
    });
    const processor = createProcessor({
      loaded,
      database: databaseUrl(args, env),
      env,
      once,
      shard,
      logger,
      stop: stop.signal,
      life,
      vitals: monitoring?.vitals,
      onConfig: (changed) => {
        logFile = changed.logFile;
        mirror.update(recordingSettings(changed));
      },
    });
    const service = createServiceManager({ env, report: () => livenessOf(life), logger });
    const stopListening = onSignals({
      onStop: (signal) => {
        service.stopping();
        logger.info({ signal }, 'stopping: settling what is in flight; a second signal ends at once');
        stop.abort(new Error(`stopped by ${signal}`));
      },
      onHangup: () => {
        service.reloading(processor.reopen());
        monitoring?.reload();
      },
    });
    try {
      logger.info({ version: version(), config: file }, 'tailrace starting');
      for (const warning of loaded.warnings)
        logger.warn({ problem: formatProblem(file, warning) }, 'configuration warning');
      const summary = await processor.run();
      if (once) stdout.write(`${JSON.stringify(summary)}\n`);
      logger.info({ ...summary }, 'tailrace stopped');
      // Not after an error: one that is a bug is about to end the process.
      endListening();
      return EXIT.ok;
    } finally {
      stopListening();
      await monitoring?.close();
      if (!once) mirroring.abort();
      await mirror.ended;
      await service.end();
    }
  },
};

function recordingSettings({ serverId, storeBounceDetailsLength }: Config): RecordingSettings {
  return { serverId, bounceTextBytes: storeBounceDetailsLength };
}
