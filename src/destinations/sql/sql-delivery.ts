// What both SQL destinations share: connections, the deadline of a transaction, bisecting, and errors as one line. What
// is done in a transaction they say themselves.

import type { CustomSqlConfig, SqlInsertConfig } from '../../config/config.ts';
import type { QueuedEvent } from '../../event/event.ts';
import { messageOf } from '../../lib/errors.ts';
import { bisect } from '../bisect.ts';
import type { DeliveryResult, Destination } from '../destination.ts';
import type { SqlDriver, SqlSession } from './driver.ts';
import { SessionPool } from './session-pool.ts';

/** For one transaction, connecting included. Then the connection is dropped: a lock elsewhere must not hold a lane. */
export const TRANSACTION_DEADLINE_MS = 30_000;

/** Without `batch`: an event never waits for others, but those that wait anyway go together. */
const DEFAULT_BATCH_EVENTS = 100;

const MAX_MESSAGE_CHARACTERS = 300;
/** A shorter password is no secret, and masking every `1` would spoil the text. */
const MIN_SECRET_LENGTH = 4;

export interface SqlDeliveryOptions {
  readonly config: CustomSqlConfig | SqlInsertConfig;
  readonly driver: SqlDriver;
  /**
   * Delivers a part of a batch in one transaction.
   *
   * @throws what the driver throws.
   */
  readonly transact: (session: SqlSession, part: readonly QueuedEvent[]) => Promise<DeliveryResult>;
  /** Default TRANSACTION_DEADLINE_MS. */
  readonly deadlineMs?: number;
}

/** An error that is a sentence of our own. */
export class SqlRefusal extends Error {
  override readonly name = 'SqlRefusal';
}

/** Creates the destination around `transact`. */
export function createSqlDelivery(options: SqlDeliveryOptions): Destination {
  const { config, driver, transact, deadlineMs = TRANSACTION_DEADLINE_MS } = options;
  const pool = new SessionPool({ most: config.concurrency, open: driver.connect });
  const describe = describeSqlErrors(options);
  const calls = new Set<AbortController>();
  let closing: Promise<void> | null = null;

  const attempt = async (part: readonly QueuedEvent[], call: AbortSignal): Promise<DeliveryResult> => {
    const stop = new AbortController();
    const onCall = (): void => stop.abort(call.reason);
    call.addEventListener('abort', onCall);
    if (call.aborted) onCall();
    const seconds = deadlineMs / 1000;
    const late = (): void => stop.abort(new SqlRefusal(`no answer within ${seconds} s; the transaction was given up`));
    const timer = setTimeout(late, deadlineMs);
    try {
      return await withSession(pool, stop.signal, (session) => transact(session, part));
    } catch (error) {
      return describe(stop.signal.aborted ? stop.signal.reason : error);
    } finally {
      clearTimeout(timer);
      call.removeEventListener('abort', onCall);
    }
  };

  const deliver: Destination['deliver'] = async (events, { signal }) => {
    if (closing) return events.map(() => ({ ok: false, error: 'the destination is closed' }));
    const call = new AbortController();
    const onAbort = (): void => call.abort(new SqlRefusal('aborted before the destination answered'));
    calls.add(call);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    try {
      return await bisect(events, (part) => attempt(part, call.signal));
    } finally {
      signal.removeEventListener('abort', onAbort);
      calls.delete(call);
    }
  };

  return {
    outcome: 'delivered',
    maxBatchEvents: config.batch?.maxEvents ?? DEFAULT_BATCH_EVENTS,
    deliver,
    close: () => {
      for (const call of calls) call.abort(new SqlRefusal('the destination was closed before it answered'));
      closing ??= pool.close();
      return closing;
    },
  };
}

/** Lends a connection to `use`, and takes it away from it when `stop` aborts. */
async function withSession<T>(
  pool: SessionPool,
  stop: AbortSignal,
  use: (session: SqlSession) => Promise<T>,
): Promise<T> {
  const session = await pool.acquire(stop);
  let onStop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    onStop = () => {
      session.destroy();
      // A driver may leave what was under way unsettled for ever.
      reject(stop.reason);
    };
  });
  stop.addEventListener('abort', onStop);
  try {
    if (stop.aborted) onStop();
    return await Promise.race([use(session), stopped]);
  } finally {
    stop.removeEventListener('abort', onStop);
    stopped.catch(() => undefined);
    pool.release(session);
  }
}

/** Which server it is, without what may be secret: `PostgreSQL at 10.0.0.6:5432`. */
export function describeServer({ config, driver }: Pick<SqlDeliveryOptions, 'config' | 'driver'>): string {
  const { host, port, socket } = config.target;
  return `${driver.title} at ${host === null ? socket : `${host}:${port}`}`;
}

/** From an exception to the failed delivery that a person reads. */
export function describeSqlErrors(
  options: Pick<SqlDeliveryOptions, 'config' | 'driver'>,
): (error: unknown) => DeliveryResult & { readonly ok: false } {
  const { config, driver } = options;
  const { secrets } = config.target;
  const place = describeServer(options);
  const hidden = secrets.map((secret) => secret.reveal()).filter(({ length }) => length >= MIN_SECRET_LENGTH);
  const line = (text: string): string => {
    const clean = hidden.reduce((shown, secret) => shown.replaceAll(secret, '[secret]'), text);
    const characters = Array.from(clean.replace(/[\s\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ').trim());
    const start = characters.slice(0, MAX_MESSAGE_CHARACTERS).join('');
    return start.length < clean.length && characters.length > MAX_MESSAGE_CHARACTERS ? `${start}…` : start;
  };
  return (error) => {
    if (error instanceof SqlRefusal) return { ok: false, error: `${place}: ${line(messageOf(error))}` };
    const { verdict, status, message } = driver.judge(error);
    const code = status === undefined || message.includes(String(status)) ? '' : ` (${status})`;
    return {
      ok: false,
      error: `${place}: ${line(message)}${code}`,
      ...(verdict !== 'destination' && { blame: 'event' as const }),
      ...(status !== undefined && { status }),
    };
  };
}
