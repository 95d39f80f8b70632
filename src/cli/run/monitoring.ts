// `--http` of `run`: what the process counts, its health and a page, where somebody wants to look. Loaded only then.

import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { LogFileConfig } from '../../config/config.ts';
import type { Life } from '../../flow/life.ts';
import { Vitals } from '../../flow/vitals.ts';
import { parseListenAddress, printAddress } from '../../http/listen-address.ts';
import { loadTokens } from '../../http/tokens.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import { textOf } from '../command.ts';

export const httpOptions = (yargs: Argv): Argv =>
  yargs
    .option('http', {
      type: 'string',
      requiresArg: true,
      describe: 'serve /metrics, /healthz, /readyz and a page on host:port, [ipv6]:port, or unix:/path',
    })
    .option('http-token-file', {
      type: 'string',
      requiresArg: true,
      describe: 'file with bearer tokens for --http, one a line (else TAILRACE_HTTP_TOKEN); read again on SIGHUP',
    });

export interface Monitoring {
  /** What the stages count into. */
  readonly vitals: Vitals;
  /** SIGHUP: reads the tokens again. */
  reload(): void;
  close(): Promise<void>;
}

export interface MonitoringOptions {
  /** What the process is doing. */
  readonly life: Life;
  readonly database: string | undefined;
  /** The log file that is configured now. */
  readonly logFile: () => LogFileConfig | null;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

/**
 * Begins to serve what `--http` asks for.
 *
 * @returns undefined without `--http`.
 * @throws {TailraceError} `LISTEN_ADDRESS`, `LISTEN_FAILED`, `HTTP_TOKEN`.
 */
export async function openMonitoring(
  args: ArgumentsCamelCase,
  env: NodeJS.ProcessEnv,
  options: MonitoringOptions,
): Promise<Monitoring | undefined> {
  const http = textOf(args.http);
  if (http === undefined) return undefined;
  const { logger } = options;
  const { MONITOR_TOKENS, startMonitor } = await import('../../monitor/monitor.ts');
  const tokens = () => loadTokens(textOf(args.httpTokenFile), env, MONITOR_TOKENS);
  const vitals = new Vitals();
  const monitor = await startMonitor({
    ...options,
    vitals,
    address: await parseListenAddress(http),
    tokens: await tokens(),
  });
  logger.info({ address: printAddress(monitor.address) }, 'serving metrics, health and the page');
  return {
    vitals,
    reload() {
      tokens()
        .then((read) => monitor.setTokens(read))
        .catch((error: unknown) => {
          logger.error({ error: messageOf(error) }, 'the tokens cannot be read again; those of before stay good');
        });
    },
    close: () => monitor.close(),
  };
}
