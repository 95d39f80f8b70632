// Who pins the vacuum horizon: no dead row younger than the oldest snapshot can be removed, whoever holds it and for
// whatever table. Named, so that a person can end it.

import { bytes, duration, many } from '../lib/quantity.ts';
import type { Session } from '../queue/session.ts';
import { PREPARED_SQL, SLOTS_SQL, SNAPSHOTS_SQL } from '../queue/sql/doctor-vacuum.ts';
import { type Finding, ok, oneLine, problem, warning } from './finding.ts';
import { literal, toSession } from './session-text.ts';

/** A snapshot that is older in either way is worth a word; one that is older in both ways is a problem. */
const OLD = { seconds: 300, transactions: 10_000 };
const VERY_OLD = { seconds: 3_600, transactions: 100_000 };
const MUCH_WAL = 10 * 1024 ** 3;

/** Sessions, and standbys that report theirs. */
export async function checkSnapshots(session: Session): Promise<readonly Finding[]> {
  const check = 'oldest snapshot';
  const rows = (await session.query(SNAPSHOTS_SQL)).map((row) => ({
    facts: toSession(row),
    age: row.at(-1) == null ? 0 : Number(row.at(-1)),
  }));
  const findings = rows.flatMap(({ facts, age }) => {
    const { pid, text, transactionSeconds, isStandby } = facts;
    const seconds = transactionSeconds ?? 0;
    if (seconds < OLD.seconds && age < OLD.transactions) return [];
    if (isStandby) {
      return [
        warning(
          check,
          `a standby keeps rows of the last ${many(age, 'transaction')} alive by hot_standby_feedback: ${text}`,
          'end the long query on the standby, or set there',
          'ALTER SYSTEM SET hot_standby_feedback = off;',
        ),
      ];
    }
    const found = `${age > 0 ? `dead rows of the last ${many(age, 'transaction')} are kept by` : 'a transaction is left open by'} ${text}`;
    const isBad = seconds >= VERY_OLD.seconds && age >= VERY_OLD.transactions;
    const say = isBad ? problem : warning;
    return [say(check, found, `SELECT pg_terminate_backend(${pid});`)];
  });
  if (findings.length > 0) return findings;
  const [oldest] = rows;
  return [
    ok(
      check,
      oldest === undefined
        ? 'nobody holds one'
        : `${many(oldest.age, 'transaction')} old (pid ${oldest.facts.pid}${oldest.facts.transactionSeconds === null ? '' : `, for ${duration(oldest.facts.transactionSeconds)}`})`,
    ),
  ];
}

/** Replication slots: they keep rows, and WAL until the disk of the server is full. */
export async function checkSlots(session: Session): Promise<readonly Finding[]> {
  const check = 'replication slots';
  const rows = await session.query(SLOTS_SQL);
  const findings = rows.flatMap(([slot, kind, isActive, pid, rowsAge, catalogAge, keptBytes, walStatus]) => {
    const name = String(slot);
    const age = rowsAge == null ? 0 : Number(rowsAge);
    const kept = keptBytes == null ? 0 : Number(keptBytes);
    const details = [
      ...(age > 0 ? [`keeps dead rows of the last ${many(age, 'transaction')}`] : []),
      ...(catalogAge == null ? [] : [`keeps the catalog of the last ${many(Number(catalogAge), 'transaction')}`]),
      ...(keptBytes == null ? [] : [`holds ${bytes(kept)} of WAL`]),
      ...(walStatus === 'lost' || walStatus === 'unreserved' ? [`its WAL is ${walStatus}`] : []),
    ].join(', ');
    const drop = `SELECT pg_drop_replication_slot(${literal(name)});`;
    if (isActive !== 't') {
      const say = kept > MUCH_WAL || age >= VERY_OLD.transactions ? problem : warning;
      return [
        say(
          check,
          `the ${kind} slot ${name} is used by nobody: ${details}`,
          'let its standby or subscriber connect again; if it is gone for good:',
          drop,
        ),
      ];
    }
    if (kept <= MUCH_WAL && age < OLD.transactions) return [];
    return [
      warning(
        check,
        `the ${kind} slot ${name} (pid ${pid}): ${details}`,
        'its standby or subscriber lags behind: see there, or, if it is of no use any more,',
        `SELECT pg_terminate_backend(${pid});`,
        drop,
      ),
    ];
  });
  if (findings.length > 0) return findings;
  return [ok(check, rows.length === 0 ? 'none' : `${rows.length}, all in use`)];
}

/** Transactions that somebody prepared and nobody ended: no session, and no time-out ends them. */
export async function checkPrepared(session: Session): Promise<readonly Finding[]> {
  const check = 'prepared transactions';
  const rows = await session.query(PREPARED_SQL);
  if (rows.length === 0) return [ok(check, 'none')];
  return rows.map(([gid, owner, seconds, age]) => {
    const found = `${oneLine(literal(String(gid)))} of ${owner}, prepared ${duration(Number(seconds))} ago: keeps dead rows of the last ${many(Number(age), 'transaction')}, and its locks`;
    const say = Number(seconds) >= VERY_OLD.seconds ? problem : warning;
    return say(
      check,
      found,
      'ask whoever prepared it; then one of',
      `COMMIT PREPARED ${literal(String(gid))};`,
      `ROLLBACK PREPARED ${literal(String(gid))};`,
    );
  });
}
