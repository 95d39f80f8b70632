// What is in the queue, and how much of it nobody has read.

import { bytes, count, duration, many } from '../lib/quantity.ts';
import type { Session } from '../queue/session.ts';
import { foreignRowsSql } from '../queue/sql/doctor-table.ts';
import type { Status } from '../queue/status.ts';
import type { QueueTable } from '../queue/table.ts';
import { type Finding, ok, warning } from './finding.ts';

/** More unread events than this are a backlog, even while they are being read. */
const MANY = 100_000;
/** Rows that are looked at for somebody else's; all of a large table would take minutes. */
const LOOKED_AT = 1_000_000;

/** Events without a line so far, as far as the counts tell: one that waits at two destinations counts twice. */
export function unreadOf({ queued, left, destinations }: Status): number {
  const known = destinations.reduce((sum, each) => sum + each.waiting + each.retrying + each.parked, left);
  return Math.max(0, queued - known);
}

/** How much is queued, and how old it is. */
export function checkQueue(status: Status): Finding {
  const { queued, queued_is_minimum, left, oldest_seconds } = status;
  const unread = unreadOf(status);
  const found = `${queued_is_minimum ? 'more than ' : ''}${count(queued)} queued, oldest ${duration(oldest_seconds)}; ${count(left)} left by configuration, ${count(unread)} not read or under way`;
  return unread > MANY
    ? warning('queue', found, 'see whether the number falls: `tailrace status --watch`, and the writer below')
    : ok('queue', found);
}

/** Rows that tailrace never reads. */
export async function checkForeignRows(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  const check = 'foreign rows';
  if (!table.hasDestinationColumn)
    return [ok(check, 'none: the table has no destination_id, so that all rows are ours')];
  const [row] = await session.query(foreignRowsSql(table), [LOOKED_AT]);
  const [looked, others, none] = (row ?? []).map(Number);
  const among = looked === LOOKED_AT ? ` among ${count(LOOKED_AT)} rows` : '';
  const findings: Finding[] = [];
  if (none) {
    findings.push(
      warning(
        check,
        `${many(none, 'row')} without a destination_id${among}, read by nobody`,
        `UPDATE ${table.name} SET destination_id = 1 WHERE destination_id IS NULL;`,
      ),
    );
  }
  if (others) {
    findings.push(
      warning(
        check,
        `${many(others, 'row')} with another destination_id than 1${among}, not read by tailrace`,
        'right if they are for another processor; which ones there are:',
        `SELECT destination_id, count(*) FROM ${table.name} WHERE destination_id <> 1 GROUP BY 1;`,
      ),
    );
  }
  return findings.length > 0 ? findings : [ok(check, `none${among}`)];
}

/**
 * Whether the disk holds what the queue would write.
 *
 * @param lineBytes how long lines are, from the log file; null = not known.
 */
export function checkRoom(status: Status, freeBytes: number, lineBytes: number | null): Finding {
  const unread = unreadOf(status);
  const need = unread * (lineBytes ?? 1_000);
  const found = `${many(unread, 'event')} to be written ${unread === 1 ? 'needs' : 'need'} some ${bytes(need)} of ${bytes(freeBytes)}`;
  return need > freeBytes * 0.9
    ? warning('room for the queue', found, 'make room before they are written, or drop what you do not need')
    : ok('room for the queue', found);
}
