// What PostgreSQL knows of configurations, read without changing anything: the destinations that it has numbers for, and
// the routing part that was put in force last.

import type { Session } from './session.ts';
import { NEWEST_GENERATION_SQL } from './sql/rights.ts';

export interface InForce {
  /** Numbers of the destinations, by key. */
  readonly destinations: ReadonlyMap<string, number>;
  /** Keys of those that `tailrace pause` has paused. */
  readonly paused: ReadonlySet<string>;
  /** 0 = no configuration was ever in force. */
  readonly generation: number;
  /** Of the newest generation, as `Config.fingerprint`; null = none yet. */
  readonly fingerprint: string | null;
}

/** Destinations: number, key, paused. */
const DESTINATIONS_SQL = 'SELECT destination_id, key, paused FROM tailrace.destination';

/** The schema has been checked (`checkSchema`). */
export async function readInForce(session: Session): Promise<InForce> {
  const known = await session.query(DESTINATIONS_SQL);
  const [newest] = await session.query(NEWEST_GENERATION_SQL);
  return {
    destinations: new Map(known.map(([id, key]) => [String(key), Number(id)])),
    paused: new Set(known.filter(([, , paused]) => paused === 't').map(([, key]) => String(key))),
    generation: Number(newest?.[0] ?? 0),
    fingerprint: newest?.[1] ?? null,
  };
}
