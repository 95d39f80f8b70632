// `run --http`, put together: what the process counts and says of itself, shown over HTTP. It lives beside the data path
// and never in it: it reads counts, asks PostgreSQL over a connection of its own, and whatever fails here does not stop
// the processor.

import type { LogFileConfig } from '../config/config.ts';
import type { Life } from '../flow/life.ts';
import type { Vitals } from '../flow/vitals.ts';
import { listen } from '../http/listen.ts';
import type { ListenAddress } from '../http/listen-address.ts';
import { createTokenCheck, requireTokens, type TokenSource } from '../http/tokens.ts';
import { messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import type { Secret } from '../lib/secret.ts';
import { version } from '../lib/version.ts';
import { createMetrics } from '../metrics/registry.ts';
import { setPaused } from '../queue/pause.ts';
import { Session } from '../queue/session.ts';
import { createDatabaseWatch } from './database-watch.ts';
import { createHistory } from './history.ts';
import { readPageFiles } from './page-files.ts';
import { pageState } from './page-state.ts';
import { type Readiness, readinessOf } from './readiness.ts';
import { createMonitorServer } from './server.ts';

/** Who may look from elsewhere, see whole lines, pause and resume. */
export const MONITOR_TOKENS: TokenSource = {
  option: '--http-token-file',
  variable: 'TAILRACE_HTTP_TOKEN',
  code: 'HTTP_TOKEN',
};

const SCRAPE_PATIENCE_MS = 900;
const STOP_PATIENCE_MS = 500;
/** Everything asked here is quick; a PostgreSQL that hangs is found out soon. */
const QUERY_DEADLINE_MS = 5_000;

export interface MonitorOptions {
  readonly address: ListenAddress;
  readonly tokens: readonly Secret[];
  readonly database: string | undefined;
  readonly life: Life;
  readonly vitals: Vitals;
  /** The log file that is configured now. */
  readonly logFile: () => LogFileConfig | null;
  /** Aborts when the process was told to stop. */
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

export interface Monitor {
  /** With the port that was chosen. */
  readonly address: ListenAddress;
  /** Replaces the tokens. @throws {TailraceError} `HTTP_TOKEN` when there must be one. */
  setTokens(tokens: readonly Secret[]): void;
  close(): Promise<void>;
}

/**
 * Starts to listen.
 *
 * @throws {TailraceError} `HTTP_TOKEN`, `LISTEN_FAILED`.
 */
export async function startMonitor(options: MonitorOptions): Promise<Monitor> {
  const { address, life, vitals, logger, stop } = options;
  let tokens = requireTokens(address, options.tokens, MONITOR_TOKENS);
  let isAllowed = createTokenCheck(tokens);
  const complain = createThrottle((fields, message) => logger.error(fields, message));
  const database = createDatabaseWatch(() =>
    Session.open({
      database: options.database,
      applicationName: 'tailrace --http',
      queryDeadlineMs: QUERY_DEADLINE_MS,
    }),
  );
  const history = createHistory(life, vitals, () => database.last?.status.queued ?? null);
  const readiness = (): Promise<Readiness> =>
    readinessOf({ life, database, logFile: options.logFile, stopping: () => stop.aborted });
  const metrics = createMetrics(async () => {
    const [{ reasons }, reading] = await Promise.all([readiness(), database.reading(SCRAPE_PATIENCE_MS)]);
    return {
      life,
      vitals,
      reading,
      databaseUp: !reasons.includes('database'),
      ready: reasons.length === 0,
      version: version(),
    };
  });
  const server = createMonitorServer({
    address,
    isAllowed: (header) => isAllowed(header),
    wantsToken: () => tokens.length > 0,
    files: await readPageFiles(),
    metrics,
    readiness,
    state: (after) =>
      pageState(
        { life, vitals, database, history, readiness, version: version(), mayChange: tokens.length > 0 },
        after,
      ),
    setPaused: async (destination, paused) => {
      await database.run((session) => setPaused(session, [destination], paused));
      database.outdate();
    },
    onBug: (error) =>
      complain(
        { error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
        'a request failed for a reason that nobody had thought of; it was answered with 500',
      ),
  });
  const close = async (): Promise<void> => {
    history.stop();
    metrics.close();
    await server.stop(STOP_PATIENCE_MS);
    await database.close();
  };
  try {
    const bound = await listen(server.app, address);
    server.app.server.on('error', (error) =>
      complain({ error: messageOf(error) }, 'the HTTP server of --http has failed; events are handled as before'),
    );
    return {
      address: bound,
      setTokens(next) {
        tokens = requireTokens(address, next, MONITOR_TOKENS);
        isAllowed = createTokenCheck(tokens);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
