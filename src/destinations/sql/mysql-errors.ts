// Whose fault an error of MySQL or MariaDB is: by its number, and where that says nothing by the class of its SQLSTATE.

import type { QueryError } from 'mysql2';
import { messageOf } from '../../lib/errors.ts';
import type { SqlFault } from './driver.ts';

/** A unique key has it already: the three errors that say so. */
const CONFLICTS = new Set([1062, 1169, 1586]);
/**
 * About the data though their SQLSTATE does not say so: cut off, not of the type, too long, not in a partition, a packet
 * above the server's limit (a smaller part of the batch may pass), not JSON, a CHECK of MariaDB, no such point.
 */
const OF_THE_EVENT = new Set([
  1048, 1153, 1172, 1242, 1264, 1265, 1292, 1300, 1301, 1366, 1367, 1406, 1411, 1416, 1452, 1525, 1526, 1690, 3140,
  3141, 3143, 3144, 3146, 3819, 4025, 4038, 4078,
]);
/** `Column is ambiguous` has the class of integrity errors, and is about the statement. */
const OF_THE_STATEMENT = new Set([1052, 1058, 1136]);
/** No such column, no such table. */
const OUTDATED = new Set([1054, 1146, 1136]);

/** What an error of mysql2, or of the server behind it, means. */
export function judgeMysqlError(error: unknown): SqlFault {
  const { errno, sqlState, code } = error as Partial<QueryError>; // an own error has none of them
  const fromServer = typeof errno === 'number' && errno > 0 && typeof sqlState === 'string' && sqlState !== '';
  const message = messageOf(error);
  if (!fromServer) return { verdict: 'destination', message, ...(code !== undefined && { status: code }) };
  const ofTheEvent = OF_THE_EVENT.has(errno) || (/^(?:22|23|45)/.test(sqlState) && !OF_THE_STATEMENT.has(errno));
  return {
    verdict: CONFLICTS.has(errno) ? 'conflict' : ofTheEvent ? 'event' : 'destination',
    status: errno,
    message,
    outdated: OUTDATED.has(errno),
  };
}
