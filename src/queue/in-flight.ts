// The events between reading and settling. Every read path asks here, so that none takes up an event twice.
//
// A query's snapshot is older than its answer: an event settled in between is in neither this set nor (in that snapshot)
// in the ledger, and would be read again; half of the swept ids were (QUEUE A1). So an `Ask` opened before a query
// keeps what leaves the set meanwhile as tombstones.

/** An answer under way; `close` it when its rows have been filtered. */
export interface Ask {
  /** True when the event is in flight now or was at any time since the ask was opened. */
  seen(id: string): boolean;
  /** True when the event is in flight, and was so all the time since the ask was opened or since it was taken up. */
  held(id: string): boolean;
  close(): void;
}

export class InFlight {
  readonly #ids = new Set<string>();
  readonly #asks = new Set<Set<string>>();

  get size(): number {
    return this.#ids.size;
  }

  /** Opens an ask; call before the query is sent. */
  ask(): Ask {
    const tombstones = new Set<string>();
    this.#asks.add(tombstones);
    return {
      held: (id) => this.#ids.has(id) && !tombstones.has(id),
      seen: (id) => this.#ids.has(id) || tombstones.has(id),
      close: () => void this.#asks.delete(tombstones),
    };
  }

  add(id: string): void {
    this.#ids.add(id);
  }

  /** Settled: committed in PostgreSQL, or given back unread. */
  release(id: string): void {
    this.#ids.delete(id);
    for (const tombstones of this.#asks) tombstones.add(id);
  }
}
