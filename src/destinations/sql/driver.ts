// What the SQL destinations know of a database server. A driver is one factory function, createX(target), that returns
// this interface; its library is loaded when the first connection is opened.

import type { RawValue, ValueKind } from '../../event/event.ts';

/** A value as a driver binds it; only the driver that made it looks into it. */
export type BoundValue = unknown;

export type BoundRow = readonly BoundValue[];

/** What an error means for the batch it ended. */
export interface SqlFault {
  /**
   * `event`: the server works and does not take this data. `conflict`: the same, since a unique key has it already.
   * `destination`: anything else; the batch fails whole.
   */
  readonly verdict: 'event' | 'conflict' | 'destination';
  /** SQLSTATE, the server's error number, or the code of the network's error. */
  readonly status?: number | string;
  readonly message: string;
  /** What is known of the remote table is not true any more. */
  readonly outdated?: boolean;
}

export interface RemoteColumn {
  readonly name: string;
  /** As a cast or the catalog names it. */
  readonly type: string;
  /** Filled by the server when it is not named. */
  readonly automatic: boolean;
}

export interface UniqueKey {
  readonly columns: readonly string[];
  /** Of a partial key, as SQL; only PostgreSQL uses it. */
  readonly predicate: string | null;
}

/** A table as the server's catalog shows it. */
export interface RemoteTable {
  /** Quoted, ready for a statement. */
  readonly name: string;
  /** Those that can be written. */
  readonly columns: readonly RemoteColumn[];
  readonly uniqueKeys: readonly UniqueKey[];
}

/** An INSERT, but for its values. */
export interface Insertion {
  readonly table: RemoteTable;
  readonly columns: readonly RemoteColumn[];
  /** A row whose `event_unique_id` is there already is passed over, as far as one statement can say that. */
  readonly skipKnown: boolean;
}

/** One statement with the values of its placeholders. */
export interface BoundStatement {
  readonly sql: string;
  readonly values: BoundRow;
}

/** One connection. Each method is one transaction: all of it, or an exception and nothing. */
export interface SqlSession {
  /** False once the connection is gone. */
  readonly usable: boolean;
  /** Runs the statement once for each row. */
  executeEach(sql: string, rows: readonly BoundRow[]): Promise<void>;
  insert(insertion: Insertion, rows: readonly BoundRow[]): Promise<void>;
  /** Looks a table up; null = there is none that this user sees. */
  readTable(parts: readonly string[]): Promise<RemoteTable | null>;
  /** Whether the table has a row with this `event_unique_id`. */
  has(table: RemoteTable, eventUniqueId: BoundValue): Promise<boolean>;
  /** Drops the connection at once; what is under way may never settle. */
  destroy(): void;
  /** Says goodbye. */
  close(): Promise<void>;
}

export interface SqlDriver {
  /** For a person: `PostgreSQL`. */
  readonly title: string;
  /**
   * Opens a connection.
   *
   * @param stop aborts it, and nothing is left behind.
   */
  connect(stop: AbortSignal): Promise<SqlSession>;
  /** A statement with the server's own placeholders. */
  statement(pieces: readonly string[]): string;
  /** The INSERT of some rows, as `SqlSession.insert` sends it. */
  insertStatement(insertion: Insertion, rows: readonly BoundRow[]): BoundStatement;
  /** @param column where it goes, when that is known. */
  bind(raw: RawValue, kind: ValueKind, column?: RemoteColumn): BoundValue;
  /** A bound value for a person to read. */
  textOf(value: BoundValue): string | null;
  judge(error: unknown): SqlFault;
}

/** The column whose uniqueness makes delivery effectively once. */
export const EVENT_UNIQUE_ID = 'event_unique_id';

/** Whether some unique key tells events apart by their `event_unique_id`. */
export function isKeyOfEvents({ columns }: UniqueKey): boolean {
  return columns.some((name) => name.toLowerCase() === EVENT_UNIQUE_ID);
}
