// A bug must end the process: what it left half done is brought in by the next start, what it would do in an unknown
// state is not. Node does that by itself unless its options say otherwise; here it is made sure of, and logged.

import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

/**
 * Has an error that nobody caught logged before it ends the process with exit code 1.
 *
 * @param logger must be synchronous: nothing runs after it.
 * @returns a function that ends this.
 */
export function logLastWords(logger: Logger): () => void {
  const say = (error: unknown): void => {
    logger.fatal(
      { error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
      'tailrace has a bug and ends; nothing is lost, start it again',
    );
  };
  // NODE_OPTIONS=--unhandled-rejections=warn would let the process go on.
  const rethrow = (reason: unknown): never => {
    throw reason;
  };
  process.on('uncaughtExceptionMonitor', say);
  process.on('unhandledRejection', rethrow);
  return () => {
    process.off('uncaughtExceptionMonitor', say);
    process.off('unhandledRejection', rethrow);
  };
}
