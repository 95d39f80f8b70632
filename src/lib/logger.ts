// Diagnostics on standard error: JSON lines for a collector, readable lines on a terminal. Levels are defined by what
// the operator must do: INFO nothing (start, stop, rotate, reload), WARN nothing, it recovered by itself and nothing
// was lost; ERROR a person is needed, or something was lost.

import { createRequire } from 'node:module';
import { type Logger, pino } from 'pino';

export type { Logger };

export interface LoggerOptions {
  readonly level?: string;
  /** File descriptor written to, synchronously, so that the last words of a dying process are not lost. */
  readonly fd?: number;
  readonly terminal?: boolean;
}

/** Creates the program's logger. Messages are constant strings; what varies goes into fields. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const fd = options.fd ?? 2;
  const terminal = options.terminal ?? process.stderr.isTTY === true;
  const destination = terminal ? readable(fd) : pino.destination({ fd, sync: true });
  return pino(
    {
      level: options.level ?? 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination,
  );
}

/** For a person. Loaded only then: a service holds 3 MB less. */
function readable(fd: number): NodeJS.WritableStream {
  const pretty: typeof import('pino-pretty') = createRequire(import.meta.url)('pino-pretty');
  return pretty({
    destination: fd,
    sync: true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
    colorize: true,
  });
}

/** How often a repeated message is let through. */
const REPEAT_INTERVAL_MS = 10_000;

/**
 * Lets the same message through once in ten seconds; the next one that passes says in `repeated` how many were held back.
 *
 * @returns a function that logs `message` with `fields` under the key given, by default the message itself.
 */
export function createThrottle(log: (fields: object, message: string) => void) {
  const last = new Map<string, { at: number; held: number }>();
  return (fields: object, message: string, key: string = message): void => {
    const now = performance.now();
    const seen = last.get(key);
    if (seen && now - seen.at < REPEAT_INTERVAL_MS) {
      seen.held += 1;
      return;
    }
    last.set(key, { at: now, held: 0 });
    log(seen?.held ? { ...fields, repeated: seen.held } : fields, message);
  };
}
