// `tailrace intake`: takes events in over HTTP until it is told to stop.

import type { ArgumentsCamelCase } from 'yargs';
import { parseListenAddress, printAddress } from '../http/listen-address.ts';
import { loadTokens } from '../http/tokens.ts';
import { INTAKE_TOKENS, startIntake } from '../intake/intake.ts';
import { EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { logLastWords } from '../lib/last-words.ts';
import { createLogger } from '../lib/logger.ts';
import { onSignals } from '../lib/shutdown.ts';
import { version } from '../lib/version.ts';
import { type Command, textOf } from './command.ts';
import { recordingOptions } from './configuration.ts';
import { controlOption, findControl } from './control.ts';
import { databaseOption, databaseUrl } from './database.ts';

const MIB = 1024 * 1024;
/** Option → its default and the most that makes sense: memory is bounded by them. */
const LIMITS = {
  'max-body-bytes': { standard: 8 * MIB, most: 64 * MIB, describe: 'largest body, unpacked too' },
  'max-events': { standard: 1_000, most: 100_000, describe: 'most events of one request' },
  'max-requests': { standard: 1_000, most: 100_000, describe: 'most requests under way; further ones get 429' },
} as const;

/** The command `intake`: exit 0 after SIGTERM or SIGINT. */
export const intake: Command = {
  usage: 'intake',
  summary: 'take events in over HTTP',
  examples: [
    ['tailrace intake', 'POST /events on 127.0.0.1:8025'],
    ['tailrace intake --listen 0.0.0.0:8025 --token-file /etc/tailrace/tokens', 'for other hosts'],
    ['tailrace intake --listen unix:/run/tailrace/intake.sock', 'for accounts that may write to the socket'],
    [`curl -d '{"event_type": "scomp"}' -H 'Content-Type: application/json' http://127.0.0.1:8025/events`, 'an event'],
  ],
  options: (yargs) => {
    const own = controlOption(databaseOption(yargs))
      .option('listen', {
        type: 'string',
        default: '127.0.0.1:8025',
        requiresArg: true,
        describe: 'host:port, [ipv6]:port, or unix:/path',
      })
      .option('token-file', {
        type: 'string',
        requiresArg: true,
        describe: `file with bearer tokens, one a line (else ${INTAKE_TOKENS.variable}); read again on SIGHUP`,
      })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file, for server_id' })
      .option('all', { type: 'boolean', default: false, describe: 'record event types that are switched off too' })
      .option('log-level', {
        choices: ['info', 'warn', 'error'] as const,
        default: 'info' as const,
        describe: 'least important diagnostics to print',
      });
    return Object.entries(LIMITS).reduce(
      (with_, [name, { standard, describe }]) =>
        with_.option(name, { type: 'number', default: standard, requiresArg: true, describe }),
      own,
    );
  },
  async run(args, context) {
    const { env } = context;
    const limits = {
      maxBodyBytes: limitOf(args, 'max-body-bytes'),
      maxEvents: limitOf(args, 'max-events'),
      maxRequests: limitOf(args, 'max-requests'),
    };
    const tokenFile = textOf(args.tokenFile);
    const address = await parseListenAddress(String(args.listen));
    const tokens = await loadTokens(tokenFile, env, INTAKE_TOKENS);
    const logger = createLogger({ level: String(args.logLevel) });
    const endListening = logLastWords(logger);
    let hangUp = (): void => {};
    const stopped = new Promise<string>((resolve) => {
      onSignals({ onStop: resolve, onHangup: () => hangUp() });
    });
    const running = await startIntake({
      ...limits,
      ...(await recordingOptions(textOf(args.config), context)),
      address,
      tokens,
      logger,
      database: databaseUrl(args, env),
      all: args.all === true,
      directory: args.all === true ? null : await findControl(args, env),
      onSwitchProblem: (path, problem) =>
        logger.warn({ path, problem }, 'a recording switch cannot be read and counts as off'),
    });
    hangUp = () => {
      loadTokens(tokenFile, env, INTAKE_TOKENS)
        .then((read) => {
          running.setTokens(read);
          logger.info('tokens read again');
        })
        .catch((error: unknown) => {
          logger.error({ error: messageOf(error) }, 'the tokens cannot be read again; those of before stay good');
        });
    };
    logger.info({ version: version(), address: printAddress(running.address) }, 'intake listening');
    const signal = await stopped;
    logger.info({ signal }, 'stopping: answering the requests under way; a second signal ends at once');
    await running.stop();
    logger.info({ ...running.counts }, 'intake stopped');
    endListening();
    return EXIT.ok;
  },
};

/** @throws {TailraceError} `USAGE`. */
function limitOf(args: ArgumentsCamelCase, name: keyof typeof LIMITS): number {
  const value = Number(args[name]);
  const { most } = LIMITS[name];
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new TailraceError('USAGE', `--${name} is a whole number from 1 to ${most}`, { exitCode: EXIT.usage });
}
