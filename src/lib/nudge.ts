// A wake-up that is never lost: `nudge()` before anybody waits lets the next wait return at once.

export interface Nudge {
  /** Ends the wait under way, or the next one. */
  nudge(): void;
  /** Resolves on a nudge, after `ms` milliseconds, or when `signal` aborts; true when nudged. Never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<boolean>;
}

export function createNudge(): Nudge {
  let pending = false;
  let wake: (() => void) | undefined;
  return {
    nudge() {
      pending = true;
      wake?.();
    },
    wait(ms, signal) {
      return new Promise((resolve) => {
        const finish = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', finish);
          wake = undefined;
          const nudged = pending;
          pending = false;
          resolve(nudged);
        };
        const timer = setTimeout(finish, ms);
        if (pending || signal.aborted) return finish();
        signal.addEventListener('abort', finish, { once: true });
        wake = finish;
        return undefined;
      });
    },
  };
}
