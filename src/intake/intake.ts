// The way into the queue over HTTP, put together: body → events → field check → one transaction for all that come at
// the same time → 202. What is answered with 202 is committed; of what got no answer that is not known.

import { listen } from '../http/listen.ts';
import type { ListenAddress } from '../http/listen-address.ts';
import { createTokenCheck, requireTokens, type TokenSource } from '../http/tokens.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import type { Secret } from '../lib/secret.ts';
import { MAX_EVENT_BYTES, TOO_LONG } from '../recording/input-record.ts';
import { INSERT_WRITER } from '../recording/insert-rows.ts';
import { type EventProblem, invalidEvents, type Receipt, unavailable } from './answers.ts';
import { type Database, type DatabaseOptions, openDatabase } from './database.ts';
import { createGroupCommit, type GroupCommit } from './group-commit.ts';
import { createInFlight } from './in-flight.ts';
import type { Counts } from './outcome.ts';
import { createServer } from './server.ts';
import type { EventText } from './split-events.ts';
import type { Store } from './store.ts';
import type { GoodEvent } from './submission.ts';

/** Requests under way are given so long when it is stopped. */
const STOP_PATIENCE_MS = 8_000;
/** All bodies under way may hold so much, or four of the largest. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** A load balancer does not wait longer. */
const PROBE_TIMEOUT_MS = 2_000;

/** Who may send events. */
export const INTAKE_TOKENS: TokenSource = {
  option: '--token-file',
  variable: 'TAILRACE_INTAKE_TOKEN',
  code: 'INTAKE_TOKEN',
};

export interface IntakeOptions extends DatabaseOptions {
  readonly address: ListenAddress;
  readonly tokens: readonly Secret[];
  readonly maxBodyBytes: number;
  readonly maxEvents: number;
  /** Requests under way at the same time. */
  readonly maxRequests: number;
  readonly logger: Logger;
}

export interface Intake {
  /** With the port that was chosen. */
  readonly address: ListenAddress;
  readonly counts: Readonly<Counts>;
  /** Replaces the tokens. @throws {TailraceError} `INTAKE_TOKEN` when there must be one. */
  setTokens(tokens: readonly Secret[]): void;
  /** Listens no more, ends what is under way, closes. */
  stop(): Promise<void>;
}

/**
 * Starts to take events in.
 *
 * @throws {TailraceError} `INTAKE_TOKEN`, `LISTEN_FAILED`, or what is wrong with the database; that it is away is not.
 */
export async function startIntake(options: IntakeOptions): Promise<Intake> {
  const { address, logger, maxBodyBytes } = options;
  let tokens = requireTokens(address, options.tokens, INTAKE_TOKENS);
  let isAllowed = createTokenCheck(tokens);
  const database = await openDatabase(options);
  const warn = createThrottle((fields, message) => logger.warn(fields, message));
  const commit = createGroupCommit(database, (error) =>
    warn(
      { error: messageOf(error), code: codeOf(error) },
      'PostgreSQL refused to record; the requests are answered with 503',
    ),
  );
  const server = createServer({
    maxBodyBytes,
    maxEvents: options.maxEvents,
    inFlight: createInFlight({
      maxRequests: options.maxRequests,
      maxBytes: Math.max(MAX_HELD_BYTES, 4 * maxBodyBytes),
    }),
    isAllowed: (header) => isAllowed(header),
    wantsToken: () => tokens.length > 0,
    record: (events, partial) => record(database, commit, events, partial),
    probe: () => probe(database),
    onBug: (error) =>
      logger.error(
        { error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
        'a request failed for a reason that nobody had thought of; it was answered with 500',
      ),
  });
  try {
    const bound = await listen(server.app, address);
    return {
      address: bound,
      counts: commit.counts,
      setTokens(next) {
        tokens = requireTokens(address, next, INTAKE_TOKENS);
        isAllowed = createTokenCheck(tokens);
      },
      async stop() {
        await server.stop(STOP_PATIENCE_MS);
        await database.close();
      },
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Checks the events of one request and has them stored. */
async function record(
  database: Database,
  commit: GroupCommit,
  texts: readonly EventText[],
  partial: boolean,
): Promise<Receipt> {
  const { store } = database;
  if (store === null) throw unavailable(false);
  let { events, problems } = checkEvents(store, texts);
  if (problems.length > 0) {
    // The table may have got a column since it was looked at.
    const hasChanged = await store.refresh().catch((error: unknown) => {
      database.giveUp(store, error);
      throw unavailable(false);
    });
    if (hasChanged) ({ events, problems } = checkEvents(store, texts));
  }
  if (problems.length > 0 && (!partial || events.length === 0)) {
    commit.reject(new Set(problems.map(({ index }) => index)).size);
    throw invalidEvents(problems, texts.length);
  }
  return await commit.submit({ store, total: texts.length, events, problems, partial });
}

function checkEvents(store: Store, texts: readonly EventText[]): { events: GoodEvent[]; problems: EventProblem[] } {
  const events: GoodEvent[] = [];
  const problems: EventProblem[] = [];
  for (const [index, { text, line }] of texts.entries()) {
    const place = line === undefined ? { index } : { index, line };
    if (text.length > MAX_EVENT_BYTES) {
      problems.push({ ...place, field: null, message: TOO_LONG });
      continue;
    }
    const result = store.normalize(text);
    if (!result.ok) {
      for (const problem of result.problems) problems.push({ ...place, ...problem });
      continue;
    }
    const { row, ofStudio } = result;
    events.push({ ...place, row: INSERT_WRITER.encode(row), type: row.get('event_type') ?? '', ofStudio });
  }
  return { events, problems };
}

/** @throws {Refused} 503. */
async function probe({ store }: Database): Promise<void> {
  if (store === null) throw unavailable(false);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('late')), PROBE_TIMEOUT_MS);
  });
  await Promise.race([store.probe(), late])
    .catch(() => {
      throw unavailable(false);
    })
    .finally(() => clearTimeout(timer));
}
