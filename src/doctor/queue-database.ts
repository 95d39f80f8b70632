// The checks that ask PostgreSQL, in groups.

import type { Config } from '../config/config.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import { readBriefly } from '../queue/read-only.ts';
import { checkSchema, QUEUE_TABLE } from '../queue/schema.ts';
import type { Session } from '../queue/session.ts';
import { readStatus, type Status } from '../queue/status.ts';
import { type QueueTable, readQueueTable } from '../queue/table.ts';
import { checkForeignRows, checkQueue } from './backlog.ts';
import { type Finding, type Group, notSeen, ok, problem, warning } from './finding.ts';
import { checkPrepared, checkSlots, checkSnapshots } from './horizon.ts';
import { checkLocks } from './locks.ts';
import { checkColumns, checkIndexes, checkKind, checkTriggers } from './queue-table.ts';
import { checkRights } from './rights.ts';
import { checkSequence } from './sequence.ts';
import { checkClock, checkDirect, checkServer, checkSight } from './server.ts';
import type { Stopwatch } from './stopwatch.ts';
import { checkDeadRows, checkWraparound } from './vacuum.ts';
import { checkDestinations, checkWriters } from './working.ts';

export interface QueueDatabaseOptions {
  readonly watch: Stopwatch;
  readonly open: () => Promise<Session>;
  readonly now: () => number;
  /** null = not known. */
  readonly config: Config | null;
}

export interface QueueDatabase {
  readonly groups: readonly Group[];
  /** null = not to be learnt. */
  readonly status: Status | null;
}

type Look = () => Promise<readonly Finding[]>;

/** Asks what there is to ask on one session, which the caller closes. */
export async function checkQueueDatabase(
  session: Session,
  { watch, open, now, config }: QueueDatabaseOptions,
): Promise<QueueDatabase> {
  /** Each check in a transaction of its own: one that fails spoils no other. Of a connection that is lost is said once. */
  const ask = async (check: string, look: Look): Promise<readonly Finding[]> =>
    session.lost.aborted ? [] : watch.all(check, () => readBriefly(session, look));

  const server = [
    ...(await ask('database', () => checkServer(session))),
    ...(await watch.all('connection', () => checkDirect(session, open))),
    ...(await ask('clock', () => checkClock(session, now))),
    ...(await ask('sight', () => checkSight(session))),
  ];

  const locks = await ask('locks', () => checkLocks(session));
  const markProcessed = config?.onDelivered === 'mark_processed';
  const found = await watch.within('table', () =>
    readBriefly(session, () => readQueueTable(session, QUEUE_TABLE, markProcessed)),
  );
  const table = 'value' in found ? found.value : null;
  const schema = table === null ? [] : await ask('schema', () => checkOwnSchema(session, table));
  const hasSchema = schema.some(({ state }) => state === 'ok');
  const tableFindings =
    'value' in found
      ? await checkTable(session, found.value, hasSchema, ask)
      : session.lost.aborted
        ? []
        : [refused('table', found.cause, found.failure)];
  const rights = table === null ? [] : await ask('rights', () => checkRights(session, table, markProcessed));
  const read = hasSchema ? await watch.within('queue', () => readBriefly(session, () => readStatus(session))) : null;
  const status = read !== null && 'value' in read ? read.value : null;
  const standing: Finding[] = [];
  if (status !== null) standing.push(checkQueue(status));
  else if (read !== null && 'failure' in read) standing.push(refused('queue', read.cause, read.failure));
  else if (!session.lost.aborted)
    standing.push(warning('queue', 'not looked at: the table or the schema is not there, or cannot be used'));
  if (table !== null) standing.push(...(await ask('foreign rows', () => checkForeignRows(session, table))));

  const dead = table === null ? [] : await ask('dead rows', () => checkDeadRows(session, table));
  const horizon = [
    ...(await ask('oldest snapshot', () => checkSnapshots(session))),
    ...(await ask('replication slots', () => checkSlots(session))),
    ...(await ask('prepared transactions', () => checkPrepared(session))),
    ...(await ask('wraparound', () => checkWraparound(session))),
  ];
  if (session.lost.aborted) {
    const why = messageOf(session.lost.reason);
    server.push(problem('database', `the connection was lost, and not all was looked at: ${why}`, 'look again'));
  }
  return {
    groups: [
      { group: 'database', findings: server },
      { group: 'queue table', findings: [...tableFindings, ...schema, ...rights] },
      { group: 'queue', findings: [...standing, ...(status === null ? [] : checkWriters(status))] },
      { group: 'destinations', findings: status === null ? [] : checkDestinations(status) },
      { group: 'vacuum and locks', findings: [...dead, ...horizon, ...locks] },
    ],
    status,
  };
}

async function checkTable(
  session: Session,
  table: QueueTable,
  hasSchema: boolean,
  ask: (check: string, look: Look) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  return [
    ...(await ask('table', () => checkKind(session, table))),
    ...(await ask('columns', () => checkColumns(session, table))),
    ...(await ask('index', () => checkIndexes(session, table))),
    ...(await ask('ids', () => checkSequence(session, table, hasSchema))),
    ...(await ask('triggers', () => checkTriggers(session, table))),
  ];
}

async function checkOwnSchema(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  try {
    await checkSchema(session, table.oid);
    return [ok('schema', 'tailrace, of the version that this program needs')];
  } catch (error) {
    if (!(codeOf(error) ?? '').startsWith('SCHEMA_')) throw error;
    return [problem('schema', messageOf(error))];
  }
}

/** What a processor would refuse too is a problem, not a check that could not be made. */
function refused(check: string, cause: unknown, failure: Finding): Finding {
  const isRefusal = /^(QUEUE_TABLE|SCHEMA)_/.test(codeOf(cause) ?? '');
  return isRefusal ? problem(check, messageOf(cause)) : cause === undefined ? failure : notSeen(check, cause);
}
