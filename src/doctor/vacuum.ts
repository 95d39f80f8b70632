// Dead rows: every event leaves one behind, and what keeps VACUUM from removing them makes the queue slower by the hour.

import { bytes, count, duration, many } from '../lib/quantity.ts';
import type { Session } from '../queue/session.ts';
import { AUTOVACUUM_SQL, DEAD_ROWS_SQL, WRAPAROUND_SQL } from '../queue/sql/doctor-vacuum.ts';
import type { QueueTable } from '../queue/table.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const MANY_DEAD = 100_000;
/** Of 2^31 transactions; PostgreSQL itself warns 40 million before the end. */
const WRAPAROUND_WARNING = 1_000_000_000;
const WRAPAROUND_PROBLEM = 1_800_000_000;
/** Vacuum is forced at an age of `autovacuum_freeze_max_age`; so far beyond it something holds it up. */
const HELD_UP = 2;

/** Dead rows of each table, and whether autovacuum looks after it. */
export async function checkDeadRows(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  const check = 'dead rows';
  const tables = (await session.query(DEAD_ROWS_SQL, [table.oid])).map(([name, live, dead, vacuumed, isOff, size]) => ({
    name: String(name),
    live: Number(live),
    dead: Number(dead),
    vacuumed: vacuumed == null ? null : Number(vacuumed),
    isOff: isOff === 't',
    size: Number(size),
  }));
  const findings = tables.flatMap(({ name, live, dead, vacuumed, isOff, size }) => {
    const since = vacuumed === null ? 'never vacuumed' : `vacuumed ${duration(vacuumed)} ago`;
    const found = `${name}: ${many(dead, 'dead row')} beside ${count(live)}, ${bytes(size)}, ${since}`;
    if (isOff) {
      return [
        warning(
          'autovacuum',
          `switched off for ${name} (${many(dead, 'dead row')}, ${since})`,
          `ALTER TABLE ${name} RESET (autovacuum_enabled);`,
        ),
      ];
    }
    const isMany = dead > MANY_DEAD && dead > live;
    return isMany ? [warning(check, found, 'first see who pins them (below), then', `VACUUM (VERBOSE) ${name};`)] : [];
  });
  const [queue] = tables;
  const rest =
    queue === undefined
      ? 'no figures for the queue table yet'
      : `${queue.name}: ${count(queue.dead)} dead beside ${count(queue.live)} live, ${bytes(queue.size)}, ${queue.vacuumed === null ? 'not vacuumed yet' : `vacuumed ${duration(queue.vacuumed)} ago`}`;
  const [running] = await session.query(AUTOVACUUM_SQL);
  const isRunning = running?.[0] === 't';
  return [
    ...findings,
    ...(findings.some((each) => each.check === check) ? [] : [ok(check, rest)]),
    isRunning
      ? ok('autovacuum', 'runs')
      : problem(
          'autovacuum',
          'is switched off for the whole server: dead rows are never removed',
          'ALTER SYSTEM SET autovacuum = on;',
          'ALTER SYSTEM SET track_counts = on;',
          'SELECT pg_reload_conf();',
        ),
  ];
}

/** How far the oldest database is from running out of transaction numbers. */
export async function checkWraparound(session: Session): Promise<readonly Finding[]> {
  const check = 'wraparound';
  const [row] = await session.query(WRAPAROUND_SQL);
  const [name, transactions, multi, freezeAt, multiFreezeAt] = row ?? [];
  const age = Math.max(Number(transactions), Number(multi));
  const found = `oldest database ${name}: ${count(Number(transactions))} transactions, ${count(Number(multi))} multixacts of 2,147,483,648`;
  const advice = [`see first who pins the horizon, then, in the database ${name}:`, 'VACUUM (FREEZE, VERBOSE);'];
  if (age > WRAPAROUND_PROBLEM) return [problem(check, found, ...advice)];
  const isHeldUp = Number(transactions) > HELD_UP * Number(freezeAt) || Number(multi) > HELD_UP * Number(multiFreezeAt);
  return [age > WRAPAROUND_WARNING || isHeldUp ? warning(check, found, ...advice) : ok(check, found)];
}
