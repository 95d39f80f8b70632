// One statement for many rows in a single round trip: BEGIN, Parse, then Bind and Execute for each row, then one Sync
// (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). The COMMIT is the caller's, and
// goes out only when all of it has succeeded: what we give up while it waits for a lock must not happen later after all.
// The statement has no name, so it works behind a pooler as well.

import type { Submittable } from 'pg';

/** What pg gives a query to write with; its types know only the query. */
interface WireConnection {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: { readonly text: string; readonly name: string; readonly types: readonly number[] }): void;
  bind(message: { readonly values: readonly (string | null)[] }): void;
  execute(message: object): void;
  sync(): void;
  sendCopyFail(message: string): void;
}

/** A transaction without its end, as a query for `client.query`, which calls its methods as the answers arrive. Settles once, through `done`. */
export function createPipeline(
  sql: string,
  rows: readonly (readonly (string | null)[])[],
  done: (error: unknown) => void,
): Submittable {
  const ignore = (): void => undefined;
  const pipeline = {
    submit(connection: WireConnection): null {
      connection.stream.cork();
      try {
        connection.parse({ text: 'BEGIN', name: '', types: [] });
        connection.bind({ values: [] });
        connection.execute({});
        connection.parse({ text: sql, name: '', types: [] });
        for (const values of rows) {
          connection.bind({ values });
          connection.execute({});
        }
        connection.sync();
      } finally {
        connection.stream.uncork();
      }
      return null;
    },
    // The server skips everything up to the Sync; a lost connection ends here too.
    handleError: (error: unknown): void => done(error),
    // Only after a Sync without an error.
    handleReadyForQuery: (): void => done(null),
    handleRowDescription: ignore,
    handleDataRow: ignore,
    handleCommandComplete: ignore,
    handleEmptyQuery: ignore,
    handlePortalSuspended: ignore,
    handleCopyInResponse: (connection: WireConnection): void => connection.sendCopyFail('COPY needs a client'),
    handleCopyData: ignore,
  };
  return pipeline as unknown as Submittable; // pg's types want its own Connection
}
