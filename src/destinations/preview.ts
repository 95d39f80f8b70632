// What a destination would be sent for an event, for a person to read: made by the code that sends it, with what is
// secret masked. Nothing is sent.

import type { QueuedEvent } from '../event/event.ts';

/** An HTTP request. What HTTP itself adds (host, connection, content-length) is not in it. */
export interface RequestPreview {
  readonly kind: 'request';
  readonly method: string;
  readonly url: string;
  /** The proxy in between, for a sentence; null = none. */
  readonly through: string | null;
  /** [name, value] in the order in which they are sent. */
  readonly headers: readonly (readonly [string, string])[];
  /** Before compression. */
  readonly body: string;
  /** Most events that one request carries; null = each has its own. */
  readonly batch_max_events: number | null;
}

/** An SQL statement. */
export interface StatementPreview {
  readonly kind: 'statement';
  /** Server, host and port. */
  readonly server: string;
  /** With the server's own placeholders; null where that takes a look at the remote table, which was not asked for. */
  readonly sql: string | null;
  /** The table of an `sql_insert`, as the configuration names it. */
  readonly table: string | null;
  /** What is bound to the placeholders, in order. */
  readonly parameters: readonly { readonly column: string; readonly value: string | null }[];
  /** What else a person should know, each a sentence without its full stop. */
  readonly notes: readonly string[];
}

/** A destination that is sent nothing. */
export interface NothingPreview {
  readonly kind: 'nothing';
}

export type Preview = RequestPreview | StatementPreview | NothingPreview;

/** Gives what a destination would be sent for an event. */
export type Previewer = (event: QueuedEvent) => Promise<Preview>;
