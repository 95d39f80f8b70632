// What both forms of `db_dsn` are first taken apart into.

import type { SqlServerKind } from './config.ts';

/** What is wrong with a DSN, for a sentence; never a part of it that may be a secret. */
export interface DsnProblem {
  readonly problem: string;
}

/** Where things stand before their meaning is known: the user's words, under the names that URLs give them. */
export interface DsnParts {
  readonly server: SqlServerKind;
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly username: string | null;
  readonly password: string | null;
  /** Lower-case names. */
  readonly parameters: ReadonlyMap<string, string>;
}
