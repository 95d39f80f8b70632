// The watcher's own connection to PostgreSQL: it asks what `tailrace status` asks, only while somebody looks and never
// so often that the data path would feel it. Whoever asks gets an answer in time, while PostgreSQL hangs too: then it
// is the last one, as long as that is worth something.

import { messageOf } from '../lib/errors.ts';
import type { Reading } from '../metrics/family.ts';
import type { Session } from '../queue/session.ts';
import { readStatus } from '../queue/status.ts';

/** The figures are asked for no more often; and so seldom that asking takes no more than 2 % of the time. */
const LEAST_INTERVAL_MS = 3_000;
const REST_PER_WORK = 50;
/** Rows are counted up to this many, which takes some ten milliseconds. */
const MAX_COUNTED = 100_000;
/** Older figures are shown no more. */
const WORTHLESS_MS = 60_000;
/** An answer is good for so long. */
const PROBE_INTERVAL_MS = 1_000;
/** A connection that nobody needs is given back. */
const IDLE_MS = 60_000;

export interface DatabaseWatch {
  /** The newest figures, asked for anew when they are old enough; null = there are none. Takes no longer than `patienceMs`. */
  reading(patienceMs: number): Promise<Reading | null>;
  /** The newest figures that are there already. */
  readonly last: Reading | null;
  /** Whether PostgreSQL answers. Takes no longer than `patienceMs`. */
  isUp(patienceMs: number): Promise<boolean>;
  /** Why there are no new figures, in one line; null = there are. */
  readonly trouble: string | null;
  /** What was asked for is old by now: the next question is put to PostgreSQL. */
  outdate(): void;
  /** Runs something on the connection. @throws what it throws, or `DATABASE_UNAVAILABLE`. */
  run<T>(work: (session: Session) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** @param open opens a session; called again after each loss. */
export function createDatabaseWatch(open: () => Promise<Session>): DatabaseWatch {
  let session: Session | null = null;
  let opening: Promise<Session> | null = null;
  let last: { readonly status: Reading['status']; readonly atMs: number; readonly tookMs: number } | null = null;
  let trouble: string | null = null;
  let answeredMs = Number.NEGATIVE_INFINITY;
  let nextReadingMs = Number.NEGATIVE_INFINITY;
  let readingNow: Promise<void> | null = null;
  let probingNow: Promise<void> | null = null;
  let closed = false;
  let idle: NodeJS.Timeout | undefined;

  const disconnect = async (): Promise<void> => {
    const left = session;
    session = null;
    await left?.close();
  };

  /** Of two that come at once the second takes what the first one opens. */
  const connected = async (): Promise<Session> => {
    clearTimeout(idle);
    if (!closed) idle = setTimeout(() => void disconnect(), IDLE_MS).unref();
    if (session !== null && !session.lost.aborted) return session;
    opening ??= open().finally(() => {
      opening = null;
    });
    const opened = await opening;
    session = opened;
    if (closed) await disconnect();
    return opened;
  };

  const run = async <T>(work: (opened: Session) => Promise<T>): Promise<T> => {
    const opened = await connected();
    const result = await work(opened);
    answeredMs = performance.now();
    return result;
  };

  const read = async (): Promise<void> => {
    const beganMs = performance.now();
    nextReadingMs = beganMs + LEAST_INTERVAL_MS;
    try {
      const status = await run((opened) => readStatus(opened, MAX_COUNTED));
      const atMs = performance.now();
      const tookMs = atMs - beganMs;
      last = { status, atMs, tookMs };
      nextReadingMs = atMs + Math.max(LEAST_INTERVAL_MS, REST_PER_WORK * tookMs);
      trouble = null;
    } catch (error) {
      trouble = messageOf(error);
    }
  };

  const probe = async (): Promise<void> => {
    await run((opened) => opened.query('SELECT 1')).catch(() => undefined);
  };

  const lastReading = (): Reading | null => {
    const nowMs = performance.now();
    if (last === null || nowMs - last.atMs > WORTHLESS_MS) return null;
    return { status: last.status, ageS: (nowMs - last.atMs) / 1_000, tookS: last.tookMs / 1_000 };
  };

  const isFresh = (): boolean => performance.now() - answeredMs < PROBE_INTERVAL_MS;

  return {
    async reading(patienceMs) {
      if (!closed && performance.now() >= nextReadingMs) {
        readingNow ??= read().finally(() => {
          readingNow = null;
        });
      }
      // The next figures are worth waiting for only where there are none: others come with the next question.
      if (readingNow !== null) await within(readingNow, patienceMs);
      return lastReading();
    },
    get last() {
      return lastReading();
    },
    async isUp(patienceMs) {
      if (isFresh() || closed) return isFresh();
      probingNow ??= probe().finally(() => {
        probingNow = null;
      });
      await within(probingNow, patienceMs);
      return isFresh();
    },
    get trouble() {
      return trouble;
    },
    outdate() {
      nextReadingMs = Number.NEGATIVE_INFINITY;
    },
    run,
    async close() {
      closed = true;
      clearTimeout(idle);
      await disconnect();
    },
  };
}

/** Waits for something that cannot fail, but not for ever. */
async function within(work: Promise<void>, patienceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
