// Locks that keep a processor from its work, and who holds them.

import { QUEUE_TABLE } from '../queue/schema.ts';
import { numbers, type Session } from '../queue/session.ts';
import { TABLE_OID_SQL } from '../queue/sql/doctor-table.ts';
import { SESSIONS_SQL, TABLE_LOCKS_SQL, WAITING_SQL } from '../queue/sql/doctor-vacuum.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { toSession } from './session-text.ts';

const check = 'locks';

/** Looked at without touching the table, which somebody may have locked. */
export async function checkLocks(session: Session): Promise<readonly Finding[]> {
  const [table] = await session.query(TABLE_OID_SQL, [QUEUE_TABLE]);
  if (table === undefined) return [];
  const locks = (await session.query(TABLE_LOCKS_SQL, [table[0]])).map(([pid, mode, granted, name, blockers]) => ({
    pid: pid ?? null,
    mode: String(mode),
    isGranted: granted === 't',
    name: String(name),
    blockers: pidsOf(blockers),
  }));
  const waiting = (await session.query(WAITING_SQL)).map(([pid, blockers]) => ({
    pid: String(pid),
    blockers: pidsOf(blockers),
  }));
  const held = locks.filter(({ isGranted }) => isGranted);
  const asked = locks.filter(({ isGranted }) => !isGranted);
  const blocking = new Set([...asked, ...waiting].flatMap(({ blockers }) => blockers));
  for (const { pid } of held) if (pid !== null) blocking.add(pid);
  const waitingPids = new Set([...asked, ...waiting].map(({ pid }) => pid));
  const sessions = (await session.query(SESSIONS_SQL, [numbers([...blocking].filter((pid) => pid !== '0'))])).map(
    toSession,
  );
  const findings = sessions.flatMap((each) => {
    const of = held.filter(({ pid }) => pid === each.pid).map(({ mode, name }) => `${mode} on ${name}`);
    const processors = waiting.filter(({ blockers }) => blockers.includes(each.pid)).length;
    const others = [...waitingPids].filter((pid) => pid !== null && isBlockedBy(pid, each.pid)).length;
    const whom =
      processors > 0 ? 'a processor waits for it' : others > 0 ? `${others} wait for it` : 'nobody waits yet';
    const what = of.length > 0 ? `holds ${[...new Set(of)].join(', ')}` : 'stands in the way';
    // It cuts the end off a table that has become empty, and gives way to whoever waits.
    if (each.isAutovacuum && processors === 0) return [];
    const say = processors + others > 0 ? problem : warning;
    return [say(check, `${each.text}: ${what}; ${whom}`, `SELECT pg_terminate_backend(${each.pid});`)];
  });
  // A prepared transaction has no session; pg_blocking_pids calls it 0.
  const ofPrepared = held.filter(({ pid }) => pid === null);
  if (ofPrepared.length > 0 || blocking.has('0')) {
    const what = ofPrepared.map(({ mode, name }) => `${mode} on ${name}`).join(', ') || 'a lock that is waited for';
    findings.push(problem(check, `a prepared transaction holds ${what}`, 'see the check "prepared transactions"'));
  }
  return findings.length > 0 ? findings : [ok(check, 'none that stand in the way')];

  function isBlockedBy(pid: string, by: string): boolean {
    return [...asked, ...waiting].some((each) => each.pid === pid && each.blockers.includes(by));
  }
}

/** PostgreSQL's text of an array of process ids. */
const pidsOf = (text: string | null | undefined): readonly string[] =>
  text == null ? [] : text.slice(1, -1).split(',').filter(Boolean);
