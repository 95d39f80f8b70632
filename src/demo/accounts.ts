// Outside the data path: whether a demo adds up. What tailrace says of itself is held against what others saw: the
// lines on disk, the ids that the receiver accepted, and the rows that are still in the table.

import { many } from '../lib/quantity.ts';

/** What is known when all has come to rest. */
export interface Evidence {
  /** How many events were put into the queue. */
  readonly recorded: number;
  /** The lines of all log files. */
  readonly lines: readonly { readonly id: string; readonly eventType: string }[];
  /** Ids that the receiver accepted. */
  readonly acceptedIds: ReadonlySet<string>;
  /** Ids of the rows that are still in the table. */
  readonly queuedIds: ReadonlySet<string>;
  /** Event types that the configuration drops. */
  readonly droppedTypes: ReadonlySet<string>;
  /** What `tailrace status` says about the rows that are still there. */
  readonly status: { readonly left: number; readonly waiting: number; readonly failed: number };
}

export interface Accounts {
  readonly recorded: number;
  readonly delivered: number;
  readonly dropped: number;
  readonly left: number;
  readonly waiting: number;
  readonly failed: number;
  readonly logged: number;
  /** One sentence for each thing that does not add up. */
  readonly problems: readonly string[];
}

/** Draws up the accounts: recorded = delivered + dropped + left + waiting + failed, and one line for each event. */
export function drawUpAccounts(evidence: Evidence): Accounts {
  const { recorded, lines, acceptedIds, queuedIds, droppedTypes, status } = evidence;
  const types = new Map(lines.map((line) => [line.id, line.eventType]));
  const gone = [...types].filter(([id]) => !queuedIds.has(id));
  const delivered = gone.filter(([id]) => acceptedIds.has(id)).length;
  const dropped = gone.filter(([id, type]) => !acceptedIds.has(id) && droppedTypes.has(type)).length;

  const problems: string[] = [];
  const check = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem);
  };
  const doubled = lines.length - types.size;
  const vanished = gone.length - delivered - dropped;
  const unlogged = [...queuedIds, ...acceptedIds].filter((id) => !types.has(id)).length;
  const kept = status.left + status.waiting + status.failed;
  const sum = delivered + dropped + kept;
  check(doubled === 0, `${many(doubled, 'line')} too many, in the log files more than once`);
  check(
    lines.length === recorded,
    `${many(recorded, 'event')} recorded, but the log files have ${many(lines.length, 'line')}`,
  );
  check(unlogged === 0, `${many(unlogged, 'event')} without a line in the log files`);
  check(vanished === 0, `${many(vanished, 'event')} gone from the queue, neither accepted nor to be dropped`);
  check(
    kept === queuedIds.size,
    `status counts ${many(kept, 'event')} in the queue, the table has ${many(queuedIds.size, 'row')}`,
  );
  check(sum === recorded, `${many(recorded, 'event')} recorded, but ${sum} accounted for`);
  return { recorded, delivered, dropped, ...status, logged: lines.length, problems };
}
