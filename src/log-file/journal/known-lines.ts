// Where lines are remembered that stand in a log file though PostgreSQL does not know it yet.

/** Some ids, asked one by one. */
export type Ids = Pick<ReadonlySet<string>, 'has'>;

export interface KnownLines {
  /** Whether a line with this id may be there. */
  knows(id: string): boolean;
  /** The lines of some ids, without their newline; several when an id was used again. */
  linesOf(ids: ReadonlySet<string>): Promise<Map<string, string[]>>;
  /** How many of the ids are not settled in PostgreSQL, as far as it knows. */
  readonly unsettled: number;
  /** Committed in PostgreSQL. */
  settled(ids: Iterable<string>): void;
  close(): Promise<void>;
}
