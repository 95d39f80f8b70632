// Signals: the first SIGTERM or SIGINT asks for an orderly end, a second one ends at once (which is as safe as a crash).

/** Shell convention: 128 + the signal's number. */
const EXIT_CODE = { SIGINT: 130, SIGTERM: 143 } as const;

const ENDING = ['SIGINT', 'SIGTERM'] as const;

export interface SignalHandlers {
  readonly onStop: (signal: 'SIGINT' | 'SIGTERM') => void;
  readonly onHangup: () => void;
}

/**
 * Lets something be said before SIGINT or SIGTERM ends the process as it would have without us; nothing else is done.
 *
 * @returns disposable: from then on nothing is said.
 */
export function beforeSignalEnds(say: () => void): Disposable {
  const end = (signal: NodeJS.Signals): void => {
    for (const each of ENDING) process.off(each, end);
    say();
    process.kill(process.pid, signal);
  };
  for (const each of ENDING) process.on(each, end);
  return {
    [Symbol.dispose]() {
      for (const each of ENDING) process.off(each, end);
    },
  };
}

/** Listens until the function that it returns is called. */
export function onSignals(handlers: SignalHandlers): () => void {
  let stopping = false;
  const onStop = (signal: 'SIGINT' | 'SIGTERM') => (): void => {
    if (stopping) process.exit(EXIT_CODE[signal]);
    stopping = true;
    handlers.onStop(signal);
  };
  const listeners = [
    ['SIGINT', onStop('SIGINT')],
    ['SIGTERM', onStop('SIGTERM')],
    ['SIGHUP', handlers.onHangup],
  ] as const;
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}
