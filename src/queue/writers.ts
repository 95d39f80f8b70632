// Which processes have the queue, as `tailrace status` says it: one, or one for each shard.

import type { RawRow, Session } from './session.ts';
import { nameOf, parseSlots, type Shard, shardOf } from './slots.ts';
import { WRITERS_SQL } from './sql/status.ts';
import type { QueueTable } from './table.ts';

export interface Writer {
  /** `1/4`; null = the whole queue. */
  readonly shard: string | null;
  /** null = there was none of this shard yet. */
  readonly epoch: string | null;
  /** `gone`: neither connected nor stopped in order; a standby takes over, or nobody does. `absent`: never started. */
  readonly state: 'running' | 'stopped' | 'gone' | 'absent';
  readonly started_seconds: number | null;
  readonly journal_at: string | null;
}

/** From bad to good. */
const STATES: readonly Writer['state'][] = ['gone', 'absent', 'stopped', 'running'];

/** The newest process of each shard, of as many shards as the newest process says there are; empty = none yet. */
export async function readWriters(session: Session, table: QueueTable): Promise<readonly Writer[]> {
  const found = (await session.query(WRITERS_SQL, [table.oid])).map((row) => {
    return { shard: shardOf(parseSlots(String(row[1]))), writer: toWriter(row) };
  });
  const newest = found.reduce<(typeof found)[number] | null>(
    (last, each) => (last === null || BigInt(each.writer.epoch ?? 0) > BigInt(last.writer.epoch ?? 0) ? each : last),
    null,
  );
  if (newest === null) return [];
  const { of } = newest.shard;
  return Array.from({ length: of }, (_, index) => {
    const known = found.find(({ shard }) => shard.of === of && shard.index === index)?.writer;
    return (
      known ?? { shard: nameIn({ index, of }), epoch: null, state: 'absent', started_seconds: null, journal_at: null }
    );
  });
}

/** The one that a person has to look at first. */
export function worstOf(writers: readonly Writer[]): Writer | null {
  return [...writers].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state))[0] ?? null;
}

const nameIn = (shard: Shard): string | null => (shard.of === 1 ? null : nameOf(shard));

function toWriter([epoch, slots, seconds, clean, connected, journalAt]: RawRow): Writer {
  return {
    shard: nameIn(shardOf(parseSlots(String(slots)))),
    epoch: String(epoch),
    state: connected === 't' ? 'running' : clean === 't' ? 'stopped' : 'gone',
    started_seconds: Math.round(Number(seconds)),
    journal_at: String(journalAt),
  };
}
