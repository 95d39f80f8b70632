// Tells systemd how the service is (sd_notify(3)): ready, in words what it does, alive, about to stop. Only where there is
// a NOTIFY_SOCKET. Node has no Unix datagram sockets, so each message is a run of systemd-notify(1), one after the other;
// the unit needs `NotifyAccess=all` for that. Nothing in the program depends on what becomes of a message.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { codeOf, messageOf } from './errors.ts';
import { createThrottle, type Logger } from './logger.ts';

/** How the process is at this moment. */
export interface Report {
  /** Has found out what it is to do, and does it. */
  readonly ready: boolean;
  /** false: a restart would help. */
  readonly alive: boolean;
  /** A few words; a change is told at once. */
  readonly state: string;
  /** Figures, told now and then. */
  readonly details: string;
}

export interface ServiceManager {
  /** @param done resolves when it has been read again. */
  reloading(done: Promise<unknown>): void;
  stopping(): void;
  /** Sends what is under way and says nothing more. */
  end(): Promise<void>;
}

const TICK_MS = 1_000;
/** Figures without a watchdog. */
const DETAILS_MS = 30_000;
/** As long as systemd-notify itself waits for the manager. */
const HELPER_TIMEOUT_MS = 5_000;
/** A log file that cannot be opened anew is no reload that goes on for ever. */
const RELOAD_MS = 10_000;
/** `systemctl status` shows one line. */
const MAX_STATUS = 500;
const run = promisify(execFile);

/**
 * Begins to report, until `end`.
 *
 * @param options.report asked once a second or oftener.
 * @param options.pid this process; a watchdog meant for another one is none of ours (WATCHDOG_PID).
 */
export function createServiceManager(options: {
  readonly env: NodeJS.ProcessEnv;
  readonly pid?: number;
  readonly report: () => Report;
  readonly logger: Logger;
}): ServiceManager {
  const { env, report, logger, pid = process.pid } = options;
  if (!env.NOTIFY_SOCKET) return { reloading: () => undefined, stopping: () => undefined, end: async () => undefined };
  const warn = createThrottle((fields, message) => logger.warn(fields, message));
  const watchdogMs = watchdogOf(env, pid);
  /** Half of the watchdog's time is what sd_watchdog_enabled(3) asks for. */
  const detailsMs = watchdogMs === null ? DETAILS_MS : watchdogMs / 2;
  const helperEnv = { PATH: env.PATH, NOTIFY_SOCKET: env.NOTIFY_SOCKET };
  let last: Promise<void> = Promise.resolve();
  let underWay = 0;
  let isMissing = false;
  let isReady = false;
  let isStopping = false;
  let said = { state: '', details: '', atMs: Number.NEGATIVE_INFINITY };

  const helper = async (assignments: readonly string[]): Promise<void> => {
    try {
      if (!isMissing) await run('systemd-notify', assignments, { env: helperEnv, timeout: HELPER_TIMEOUT_MS });
    } catch (error) {
      isMissing = codeOf(error) === 'ENOENT';
      warn(
        { error: isMissing ? 'there is no systemd-notify on the PATH' : messageOf(error) },
        'cannot tell systemd how the service is; with Type=notify or WatchdogSec it will take it for hung',
      );
    }
  };
  const send = (...assignments: readonly string[]): void => {
    underWay += 1;
    last = last
      .then(() => helper(assignments))
      .finally(() => {
        underWay -= 1;
      });
  };

  const tick = (): void => {
    // A manager that is slow gets fewer messages, not a queue of them.
    if (underWay > 0 || isMissing) return;
    const { ready, alive, state, details } = report();
    // The tick after this one may come too late.
    const isDue = performance.now() - said.atMs > detailsMs - tickMs;
    const isNews = !isStopping && (state !== said.state || (isDue && details !== said.details));
    const message: string[] = [];
    if (ready && !isReady && !isStopping) message.push('READY=1');
    if (alive && isDue && watchdogMs !== null) message.push('WATCHDOG=1');
    if (isNews) message.push(statusOf(state, details));
    if (isNews || isDue) said = { state, details, atMs: isDue ? performance.now() : said.atMs };
    isReady ||= ready;
    if (message.length > 0) send(...message);
  };

  const tickMs = Math.min(TICK_MS, detailsMs / 4);
  const timer = setInterval(tick, tickMs);
  timer.unref();
  tick();
  return {
    reloading(done) {
      if (!isReady || isStopping) return;
      send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`);
      const late = new Promise((resolve) => setTimeout(resolve, RELOAD_MS).unref());
      const ready = (): void => void (isStopping || send('READY=1'));
      Promise.race([done, late]).then(ready, ready);
    },
    stopping() {
      isStopping = true;
      send('STOPPING=1', statusOf('stopping', 'settling what is in flight'));
    },
    async end() {
      clearInterval(timer);
      await last;
    },
  };
}

function statusOf(state: string, details: string): string {
  const text = `STATUS=${state}${details === '' ? '' : `: ${details}`}`;
  return text.replace(/\s+/g, ' ').slice(0, MAX_STATUS);
}

/** Milliseconds within which a sign of life has to come; null = nobody waits for one. */
function watchdogOf({ WATCHDOG_USEC: time, WATCHDOG_PID: meant }: NodeJS.ProcessEnv, pid: number): number | null {
  const isOurs = meant === undefined || meant === String(pid);
  return isOurs && /^[1-9]\d*$/.test(time ?? '') ? Number(time) / 1_000 : null;
}
