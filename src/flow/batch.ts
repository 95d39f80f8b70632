// What flows from the reader through the log file into the router: some events and the configuration that is in force
// for them. A batch is decided as a whole under one configuration; a new one applies from the next batch.

import type { Config, RouteConfig } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import type { Standing } from './standing.ts';

/** Most events of one batch. Of 1,000 each pays twice for its fsyncs and statements: a backlog takes 24 % longer, for 9 MB less at the peak. */
export const MAX_BATCH_EVENTS = 2_000;

/** Most text of one batch; a single larger event is a batch of its own. */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** A configuration in force: what the file says, and what PostgreSQL calls it. */
export interface Regime {
  readonly config: Config;
  /** Number of tailrace.generation; grows with each change of the routing part. */
  readonly generation: number;
  /** The routes of `config` in order, each with its destination's number in PostgreSQL. */
  readonly routes: readonly Route[];
}

export interface Route extends RouteConfig {
  /** tailrace.destination.destination_id; 0 for what is dropped or left. */
  readonly destinationId: number;
}

/** Its first entry for a destination; undefined when no entry leads there any more. */
export const routeTo = (destinationId: number, regime: Regime | null): Route | undefined =>
  regime?.routes.find((route) => route.destinationId === destinationId);

export interface BatchEvent {
  readonly event: QueuedEvent;
  /** As PostgreSQL has it: what a settlement starts from. */
  stored: Standing;
  /**
   * As it is by now: each stage replaces it as it moves the event on. Once routed it covers all destinations of the
   * event, those that have not answered yet as waiting, so that it may be settled at any moment.
   */
  standing: Standing;
  /** Settled before, while there was no log file: it only needs its line, its destination stays as decided. */
  readonly logOnly: boolean;
  /** Destinations whose lanes have it, or are being offered it. */
  lanes: readonly number[];
  /** PostgreSQL has all that the router decided about it: an answer is settled when it comes. */
  handedOff: boolean;
}

/** An event as it enters the data path. */
export const toBatchEvent = (event: QueuedEvent, standing: Standing, logOnly: boolean): BatchEvent => ({
  event,
  stored: standing,
  standing,
  logOnly,
  lanes: IN_NO_LANE,
  handedOff: false,
});

const IN_NO_LANE: readonly number[] = [];

export interface Batch {
  readonly regime: Regime;
  readonly events: readonly BatchEvent[];
  /** Sum of the events' bytes. */
  readonly bytes: number;
}
