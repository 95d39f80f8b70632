// What the writer does while the log file cannot be written: it stays where it is, says so once, and tries again.
//
//   ok ──an attempt fails──▶ degraded ──an attempt succeeds──▶ ok

import { backoffMs } from '../lib/backoff.ts';
import type { TailraceError } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { explainFailure } from './failure.ts';

const BACKOFF = { initialMs: 100, maxMs: 5_000 };
/** A hint shortens a wait, but never below this: our own attempts stir the directory too. */
const LEAST_WAIT_MS = 100;

export interface Retry {
  /** The last error while degraded, null while all is well. */
  readonly lastError: TailraceError | null;
  /** Attempts until it succeeds. @throws the signal's reason once it is aborted, and errors that are not the file's. */
  persist<T>(attempt: () => Promise<T>): Promise<T>;
  /** One attempt; resolves also when it failed. @throws errors that are not the file's. */
  once(attempt: () => Promise<unknown>): Promise<void>;
  /** Ends a wait between two attempts early. */
  hurry(): void;
  /** Resolves with the work, or as soon as an attempt has failed: until the next one nothing is under way. */
  unlessFailed(work: Promise<void>): Promise<void>;
}

/**
 * @param options.path the file that errors are about, asked when one occurs.
 * @param options.signal ends the waiting, not an attempt under way.
 */
export function createRetry(options: {
  readonly path: () => string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onDegraded: (state: { readonly error: TailraceError }) => void;
  readonly onRecovered: () => void;
}): Retry {
  const { log, signal } = options;
  const complain = createThrottle((fields, message) => log.error(fields, message));
  let lastError: TailraceError | null = null;
  let failures = 0;
  let wake = (): void => {};
  const toTell = new Set<() => void>();

  const succeeded = (): void => {
    if (lastError === null) return;
    log.info({ path: options.path(), failures }, 'log file can be written again');
    lastError = null;
    failures = 0;
    options.onRecovered();
  };
  const failed = (thrown: unknown): void => {
    const error = explainFailure(thrown, options.path());
    if (error === null) throw thrown;
    const first = lastError === null;
    lastError = error;
    failures += 1;
    complain(
      { path: options.path(), code: error.code, error: error.message },
      'log file cannot be written; nothing is delivered until it can',
      error.code,
    );
    if (first) options.onDegraded({ error });
    for (const tell of toTell) tell();
    toTell.clear();
  };
  const pause = async (): Promise<void> => {
    const waitMs = Math.max(LEAST_WAIT_MS, backoffMs(failures, BACKOFF));
    const started = performance.now();
    await new Promise<void>((resolve) => {
      let timer = setTimeout(done, waitMs);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        wake = () => {};
        resolve();
      }
      wake = () => {
        clearTimeout(timer);
        timer = setTimeout(done, Math.max(0, LEAST_WAIT_MS - (performance.now() - started)));
      };
      signal.addEventListener('abort', done);
    });
  };

  return {
    get lastError() {
      return lastError;
    },
    async persist(attempt) {
      for (;;) {
        try {
          const result = await attempt();
          succeeded();
          return result;
        } catch (error) {
          failed(error);
        }
        if (!signal.aborted) await pause();
        signal.throwIfAborted();
      }
    },
    async once(attempt) {
      try {
        await attempt();
        succeeded();
      } catch (error) {
        failed(error);
      }
    },
    hurry: () => wake(),
    unlessFailed: (work) =>
      new Promise((resolve) => {
        toTell.add(resolve);
        void work.finally(() => toTell.delete(resolve)).then(resolve);
      }),
  };
}
