// The exchanges under way by the signal that aborts them: one listener a signal, however many share it.

import type { HttpExchange } from './http-exchange.ts';

/** Why an exchange failed whose signal was aborted. */
export const ABORTED = 'aborted before the destination answered';

export class ExchangesBySignal {
  readonly #groups = new Map<AbortSignal, { readonly exchanges: Set<HttpExchange>; readonly onAbort: () => void }>();

  add(exchange: HttpExchange, signal: AbortSignal): void {
    let group = this.#groups.get(signal);
    if (!group) {
      const exchanges = new Set<HttpExchange>();
      const onAbort = (): void => {
        abortNewestFirst(exchanges, ABORTED);
      };
      group = { exchanges, onAbort };
      this.#groups.set(signal, group);
      signal.addEventListener('abort', onAbort);
    }
    group.exchanges.add(exchange);
  }

  delete(exchange: HttpExchange, signal: AbortSignal): void {
    const group = this.#groups.get(signal);
    if (!group) return;
    group.exchanges.delete(exchange);
    if (group.exchanges.size > 0) return;
    signal.removeEventListener('abort', group.onAbort);
    this.#groups.delete(signal);
  }

  /** Ends all of them early; the result of each is `reason`. */
  abortAll(reason: string): void {
    for (const { exchanges } of this.#groups.values()) abortNewestFirst(exchanges, reason);
  }
}

/** Those that still wait for a connection have to be gone before an older one sets one free. */
function abortNewestFirst(exchanges: ReadonlySet<HttpExchange>, reason: string): void {
  for (const exchange of [...exchanges].reverse()) exchange.abort(reason);
}
