// How one queue is divided among processes (QUEUE B6): 64 fixed slots, an event's slot is `(id >> 10) & 63`, and shard i/n
// owns the slots s with s mod n = i. Slots and the ledger's blocks go together, so no two shards write one ledger row.

/** Slots of a queue, however many processes share them. */
const SLOT_COUNT = 64;
/** With more a shard could own a single slot, which says nothing of how many shards there are. */
export const MOST_SHARDS = 32;
const BLOCK_SHIFT = 10n;
const SLOT_MASK = 63n;

/** Which part of the queue a process owns: shard `index` of `of`. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

/** One process owns the whole queue. */
export const WHOLE: Shard = Object.freeze({ index: 0, of: 1 });

/** `1/4`, as on the command line. */
export const nameOf = ({ index, of }: Shard): string => `${index}/${of}`;

/** For messages. */
export const describeShard = (shard: Shard): string => (shard.of === 1 ? 'the whole queue' : `shard ${nameOf(shard)}`);

/** @returns null when the text is no `i/n` with 0 <= i < n <= 32. */
export function parseShard(text: string): Shard | null {
  const [, index, of] = /^(\d{1,2})\/(\d{1,2})$/.exec(text) ?? [];
  if (index === undefined || of === undefined) return null;
  const shard = { index: Number(index), of: Number(of) };
  return shard.index < shard.of && shard.of <= MOST_SHARDS ? shard : null;
}

/** The slots of a shard, ascending. */
export function slotsOf({ index, of }: Shard): readonly number[] {
  return Array.from({ length: SLOT_COUNT }, (_, slot) => slot).filter((slot) => slot % of === index);
}

/** The shard that owns exactly these slots: two neighbours of them tell how many shards there are. */
export function shardOf(slots: readonly number[]): Shard {
  const [first = 0, second = first + 1] = [...slots].sort((a, b) => a - b);
  return { index: first, of: second - first };
}

/** Reads PostgreSQL's text of an array of slots. */
export const parseSlots = (text: string): readonly number[] => text.slice(1, -1).split(',').map(Number);

/**
 * SQL: ` AND …` that keeps other shards' events out; empty for the whole queue. Only numbers of ours go into it, as
 * literals: with a list of them the planner guesses the share of a shard, with a parameter or a remainder it does not.
 */
export const ownIdsSql = (shard: Shard, id: string): string => ownBlocksSql(shard, `(${id}::int8 >> 10)`);

/** The same for a block of the ledger. */
export const ownBlocksSql = (shard: Shard, block: string): string =>
  shard.of === 1 ? '' : ` AND (${block} & 63) IN (${slotsOf(shard).join(', ')})`;

/** The stretches of a shard's ids strictly between two ids, in order: first and last id of each. */
export function* ownStretches(shard: Shard, after: bigint, before: bigint): Generator<readonly [bigint, bigint]> {
  if (shard.of === 1) {
    if (before - after > 1n) yield [after + 1n, before - 1n];
    return;
  }
  for (let id = after + 1n; id < before; ) {
    const block = id >> BLOCK_SHIFT;
    const end = (block + 1n) << BLOCK_SHIFT;
    const last = end < before ? end - 1n : before - 1n;
    if (Number(block & SLOT_MASK) % shard.of === shard.index) yield [id, last];
    id = end;
  }
}
