// A bug must end the process: what it left half done is brought in by the next start, what it would do in an unknown
// state is not. Node does that by itself unless its options say otherwise; here it is made sure of, and logged.

/**
 * Calls `say` when an error that nobody caught is about to end the process with exit code 1.
 *
 * @param say must be synchronous: nothing runs after it.
 * @returns a function that ends this.
 */
export function onFatalError(say: (error: unknown) => void): () => void {
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
