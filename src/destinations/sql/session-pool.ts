// The connections of one SQL destination: at most `most` at a time, opened on first use, kept for half a minute.
//
//   opening ──▶ lent ◀──▶ idle ──▶ closed (idle for long, pool closed)        lent ──▶ dropped (not usable any more)

import { delay } from '../../lib/delay.ts';
import type { SqlSession } from './driver.ts';

/** Long enough for the pauses of steady traffic; a fire wall forgets a silent connection after minutes. */
const IDLE_MS = 30_000;
/** A server that is gone without a word answers no goodbye. */
const CLOSE_DEADLINE_MS = 1_000;

export interface SessionPoolOptions {
  /** Most connections at a time, lent or idle. */
  readonly most: number;
  readonly open: (stop: AbortSignal) => Promise<SqlSession>;
}

export class SessionPool {
  readonly #options: SessionPoolOptions;
  /** The one used last is at the end, and is lent first. */
  readonly #idle: { readonly session: SqlSession; readonly timer: NodeJS.Timeout }[] = [];
  /** In order of arrival. */
  readonly #waiting = new Set<() => void>();
  /** Lent, idle or being opened. */
  #count = 0;
  #closed = false;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
  }

  /** Lends a connection. @throws what opening one throws, or the reason of `stop`. */
  async acquire(stop: AbortSignal): Promise<SqlSession> {
    for (;;) {
      stop.throwIfAborted();
      for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
        clearTimeout(kept.timer);
        if (kept.session.usable) return kept.session;
        this.#drop(kept.session);
      }
      if (this.#count < this.#options.most) {
        this.#count += 1;
        try {
          return await this.#options.open(stop);
        } catch (error) {
          this.#gone();
          throw error;
        }
      }
      await this.#turn(stop);
    }
  }

  /** Takes a connection back. */
  release(session: SqlSession): void {
    if (this.#closed || !session.usable) {
      this.#drop(session);
      return;
    }
    const timer = setTimeout(() => {
      const at = this.#idle.findIndex((kept) => kept.session === session);
      this.#idle.splice(at, 1);
      this.#gone();
      void sayGoodbye(session);
    }, IDLE_MS).unref();
    this.#idle.push({ session, timer });
    this.#next();
  }

  /** Closes what is idle; what is lent is dropped when it comes back. */
  async close(): Promise<void> {
    this.#closed = true;
    const idle = this.#idle.splice(0);
    for (const { timer } of idle) clearTimeout(timer);
    await Promise.all(idle.map(({ session }) => sayGoodbye(session)));
  }

  #turn(stop: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(onTurn);
        reject(stop.reason);
      };
      const onTurn = (): void => {
        this.#waiting.delete(onTurn);
        stop.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#waiting.add(onTurn);
      stop.addEventListener('abort', onAbort, { once: true });
    });
  }

  #drop(session: SqlSession): void {
    session.destroy();
    this.#gone();
  }

  #gone(): void {
    this.#count -= 1;
    this.#next();
  }

  #next(): void {
    const [first] = this.#waiting;
    first?.();
  }
}

async function sayGoodbye(session: SqlSession): Promise<void> {
  const late = new AbortController();
  await Promise.race([session.close(), delay(CLOSE_DEADLINE_MS, late.signal)]);
  late.abort();
  session.destroy();
}
