// Outside the data path: the demo's producer. Inserts copies of the events recorded before, a few at a time, as if they
// happened now.

import type { Client } from 'pg';

export interface Trickle {
  /** How many events have been inserted. */
  readonly inserted: number;
  /** Inserts as many as are due at the trickle's rate since it began, in one transaction. */
  insertDue(): Promise<void>;
}

/** Of the session: goes with its connection. */
const KEEP_COPIES = 'CREATE TEMP TABLE trickle_source AS SELECT * FROM events ORDER BY id';

/** A function in FROM runs once a row; `(function(…)).*` would run once a column and take an id each time. */
const INSERT_COPIES = `
  INSERT INTO events
  SELECT copy.*
  FROM (SELECT source FROM trickle_source AS source ORDER BY id OFFSET $1 LIMIT $2) AS picked,
    jsonb_populate_record(picked.source, jsonb_build_object(
      'id', nextval('events_seq'),
      'event_time', extract(epoch FROM now())::integer,
      'event_unique_id', md5(random()::text) || md5(random()::text)
    )) AS copy`;

/**
 * Begins a trickle of what stands in the table now.
 *
 * @param client used for nothing else meanwhile.
 */
export async function startTrickle(client: Client, perSecond: number): Promise<Trickle> {
  const { rowCount } = await client.query(KEEP_COPIES);
  const available = rowCount ?? 0;
  const startedAt = performance.now();
  let inserted = 0;
  return {
    get inserted() {
      return inserted;
    },
    async insertDue() {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond);
      while (inserted < due && available > 0) {
        // From the beginning again when all have had their turn.
        const at = inserted % available;
        const result = await client.query(INSERT_COPIES, [at, Math.min(due - inserted, available - at)]);
        inserted += result.rowCount ?? 0;
      }
    },
  };
}
