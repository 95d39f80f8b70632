// Puts a configuration in force: gives its destinations their numbers and begins a new generation when its routing part
// differs from that of the newest one. O(1): nothing that was decided before is rewritten; it becomes due by comparison.

import type { Config, DestinationConfig, RouteConfig } from '../config/config.ts';
import type { Regime } from '../flow/batch.ts';
import type { Session } from './session.ts';
import { type Shard, WHOLE } from './slots.ts';
import {
  ADD_DESTINATIONS_SQL,
  FIND_DESTINATIONS_SQL,
  NEW_GENERATION_SQL,
  NEWEST_GENERATION_SQL,
} from './sql/rights.ts';

/**
 * @param epoch ours: the generation remembers who began it.
 * @param shard ours: it has its share of each destination's rate.
 */
export async function enforce(session: Session, config: Config, epoch: string, shard: Shard = WHOLE): Promise<Regime> {
  const keys = config.routes.filter(isDelivered).map(({ key }) => key);
  await session.query(ADD_DESTINATIONS_SQL, [[...new Set(keys)]]);
  const ids = new Map(
    (await session.query(FIND_DESTINATIONS_SQL, [keys])).map(([key, id]) => [String(key), Number(id)]),
  );
  const routes = config.routes.map((route) => ({
    ...route,
    destination: withShare(route.destination, shard),
    destinationId: isDelivered(route) ? (ids.get(route.key) ?? 0) : 0,
  }));
  const [newest] = await session.query(NEWEST_GENERATION_SQL);
  if (newest?.[1] === config.fingerprint) return { config, generation: Number(newest[0]), routes };
  const [begun] = await session.query(NEW_GENERATION_SQL, [epoch, config.fingerprint]);
  return { config, generation: Number(begun?.[0]), routes };
}

/** `max_per_second` is a promise to the receiver, who does not know of shards: together they keep it. */
function withShare(destination: DestinationConfig, { of }: Shard): DestinationConfig {
  if (of === 1 || !('maxPerSecond' in destination) || destination.maxPerSecond === null) return destination;
  return { ...destination, maxPerSecond: destination.maxPerSecond / of };
}

/** Only these can wait or fail; what is dropped or left needs no number. */
const isDelivered = ({ destination: { type } }: RouteConfig): boolean =>
  type !== 'drop_from_queue' && type !== 'leave_in_queue';
