// The gap list: ids that were missing below the last one read. Sequences hand out ids before their transactions commit,
// so with producers that hold a transaction for 20 ms more than half of all events become visible after a higher id was
// read (QUEUE A5). What is on this list is asked for with each poll; what is not (too many, too old) the sweep finds.

import { ownStretches, type Shard, WHOLE } from './slots.ts';

/** More than this and the sweep is cheaper. */
const MAX_GAPS = 100_000;
/** Young gaps are asked for with each poll, older ones once a second: most late commits come within milliseconds. */
const YOUNG_MS = 2_000;
const OLD_INTERVAL_MS = 1_000;
/** An id handed out but never committed (rolled back, burnt) leaves the list after this, if its transaction is over too. */
const FORGET_MS = 60_000;

interface Gap {
  readonly sinceMs: number;
  /** The next transaction id when the gap was first looked at: all older ones over = it can come no more. */
  xmax: bigint | null;
  /** It can come no more, but may have come since it was last asked for: asked for once more, then forgotten. */
  isOver: boolean;
}

export class Gaps {
  readonly #gaps = new Map<string, Gap>();
  #oldAskedMs = 0;

  get size(): number {
    return this.#gaps.size;
  }

  /** Adds a shard's ids strictly between two ids that stood next to each other in an answer, as far as there is room. */
  addBetween(previous: string, next: string, nowMs: number, shard: Shard = WHOLE): void {
    const [after, before] = [BigInt(previous), BigInt(next)];
    const room = BigInt(MAX_GAPS - this.#gaps.size);
    if (before - after > (room + 1n) * BigInt(shard.of)) return;
    const stretches = [...ownStretches(shard, after, before)];
    if (stretches.reduce((sum, [first, last]) => sum + last - first + 1n, 0n) > room) return;
    for (const [first, last] of stretches) {
      for (let id = first; id <= last; id += 1n)
        this.#gaps.set(id.toString(), { sinceMs: nowMs, xmax: null, isOver: false });
    }
  }

  /** Takes an id off the list: its row was found. */
  delete(id: string): void {
    this.#gaps.delete(id);
  }

  /** The ids whose time to be asked for has come; at most once a second with the old ones among them. */
  due(nowMs: number): string[] {
    const withOld = nowMs - this.#oldAskedMs >= OLD_INTERVAL_MS;
    if (withOld) this.#oldAskedMs = nowMs;
    const ids: string[] = [];
    for (const [id, gap] of this.#gaps) {
      if (withOld || nowMs - gap.sinceMs < YOUNG_MS) ids.push(id);
      if (withOld && gap.isOver) this.#gaps.delete(id);
    }
    return ids;
  }

  /** Finds the gaps that are old enough and whose transaction is over: the next `due` that has old ones forgets them. */
  forget(nowMs: number, snapshot: { readonly xmin: bigint; readonly xmax: bigint }): void {
    for (const gap of this.#gaps.values()) {
      if (gap.xmax === null) gap.xmax = snapshot.xmax;
      else if (nowMs - gap.sinceMs > FORGET_MS && snapshot.xmin >= gap.xmax) gap.isOver = true;
    }
  }
}
