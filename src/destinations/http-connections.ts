// The connections to one receiver: at most `concurrency` at a time, at most `keepAlive` kept between requests. Made of
// undici's clients (one connection each) instead of its Pool, which can bound only the former and does not tell whether a
// request went out on a connection that had stood idle.
//
//   new ──▶ busy ◀──▶ idle ──▶ discarded          busy ──▶ discarded (error, deadline, body not worth reading)

import type { buildConnector } from 'undici';
import { Client } from './http-client.ts';

/** What is being connected, or is: destroyed at any moment, it is a connection no more. */
export interface Connecting {
  destroy(error: Error): unknown;
}

/** Begins a connection; the callback is called once, with an error or with a socket that HTTP can be spoken on. */
export type Connector = (options: buildConnector.Options, callback: buildConnector.Callback) => Connecting;

export interface HttpConnectionsOptions {
  readonly origin: string;
  /** Most connections at a time, busy or idle. */
  readonly concurrency: number;
  /** Most idle connections; 0 = a connection per request. */
  readonly keepAlive: number;
  readonly connect: Connector;
}

export interface Connection {
  readonly client: Client;
  /** An exchange has ended well on its present socket: the next one may find it closed by the other side. */
  used: boolean;
  connecting: Connecting | undefined;
}

/** Whoever wants a connection: called once, at once or as soon as one is free. */
export interface Borrower {
  onConnection(connection: Connection): void;
}

/**
 * How long idle connections beyond `keepAlive` are left open, so that those of a burst are not closed between one of its
 * events and the next.
 */
const SURPLUS_LINGER_MS = 100;

export class HttpConnections {
  readonly #options: HttpConnectionsOptions;
  readonly #all = new Set<Connection>();
  /** The longest idle first; the last is taken first, so that a surplus grows old. */
  readonly #idle: Connection[] = [];
  /** In order of arrival. Bounded by whoever calls: a lane has no more deliveries under way than `concurrency`. */
  readonly #waiting = new Set<Borrower>();
  #trimTimer: NodeJS.Timeout | undefined;

  constructor(options: HttpConnectionsOptions) {
    this.#options = options;
  }

  borrow(borrower: Borrower): void {
    const connection = this.#idle.pop();
    if (connection) borrower.onConnection(connection);
    else if (this.#all.size < this.#options.concurrency) borrower.onConnection(this.#open());
    else this.#waiting.add(borrower);
  }

  /** Takes back a wish that was not granted yet. */
  withdraw(borrower: Borrower): void {
    this.#waiting.delete(borrower);
  }

  /** Gives a new connection in the place of one that turned out to be closed. */
  replace(connection: Connection, borrower: Borrower): void {
    this.#remove(connection);
    borrower.onConnection(this.#open());
  }

  /** Ends a loan: the exchange is over, and the connection can carry another. */
  giveBack(connection: Connection): void {
    if (!this.#all.has(connection)) return;
    connection.used = true;
    const next = this.#nextWaiting();
    if (next) {
      next.onConnection(connection);
      return;
    }
    this.#idle.push(connection);
    if (this.#idle.length > this.#options.keepAlive) {
      this.#trimTimer ??= setTimeout(() => this.#trim(), SURPLUS_LINGER_MS).unref();
    }
  }

  /** Ends a loan and the connection, in whatever state it is. */
  discard(connection: Connection): void {
    if (!this.#all.has(connection)) return;
    this.#remove(connection);
    const next = this.#nextWaiting();
    if (next) next.onConnection(this.#open());
  }

  /** Destroys all connections and waits until they are closed; exchanges under way fail. */
  async close(): Promise<void> {
    clearTimeout(this.#trimTimer);
    this.#waiting.clear();
    await Promise.all([...this.#all].map((connection) => this.#remove(connection)));
  }

  #nextWaiting(): Borrower | undefined {
    const [next] = this.#waiting;
    if (next) this.#waiting.delete(next);
    return next;
  }

  #open(): Connection {
    const connection: Connection = {
      client: this.#createClient((connecting) => (connection.connecting = connecting)),
      used: false,
      connecting: undefined,
    };
    connection.client.on('disconnect', () => {
      // A client connects anew for its next request; one without a request has nothing to stay for.
      connection.used = false;
      if (this.#idle.includes(connection)) this.#remove(connection);
    });
    this.#all.add(connection);
    return connection;
  }

  #createClient(onConnecting: (connecting: Connecting) => void): Client {
    return new Client(this.#options.origin, {
      // 0: undici asks for `connection: close`.
      pipelining: this.#options.keepAlive === 0 ? 0 : 1,
      // One deadline covers all; it is the exchange's.
      headersTimeout: 0,
      bodyTimeout: 0,
      // Kept, because a client lets go of it only once it is connected.
      connect: (options, callback) => onConnecting(this.#options.connect(options, callback)),
    });
  }

  #remove(connection: Connection): Promise<void> {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    const closed = connection.client.destroy();
    connection.connecting?.destroy(new Error('connection discarded'));
    return closed;
  }

  #trim(): void {
    this.#trimTimer = undefined;
    const surplus = this.#idle.slice(0, Math.max(0, this.#idle.length - this.#options.keepAlive));
    for (const connection of surplus) this.#remove(connection);
  }
}
