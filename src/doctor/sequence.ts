// Where ids come from: used again they are taken for events that tailrace remembers, and those get no line.

import { count } from '../lib/quantity.ts';
import { quoteName, type Session } from '../queue/session.ts';
import { HIGHEST_REMEMBERED_SQL, highestIdSql, SEQUENCE_SQL } from '../queue/sql/doctor-table.ts';
import type { QueueTable } from '../queue/table.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const check = 'ids';
/** Of the ids that there are. */
const NEARLY_ALL = 0.9;

/**
 * Whether the next id is one that was never there.
 *
 * @param hasSchema what tailrace remembers can be asked for.
 */
export async function checkSequence(
  session: Session,
  table: QueueTable,
  hasSchema: boolean,
): Promise<readonly Finding[]> {
  // In this order: a sequence that goes on meanwhile is never behind.
  const [highest] = await session.query(highestIdSql(table));
  const [remembered] = hasSchema ? await session.query(HIGHEST_REMEMBERED_SQL) : [];
  const [row] = await session.query(SEQUENCE_SQL, [table.oid]);
  const highestId = largest(highest?.[0], remembered?.[0]);
  if (row === undefined) {
    return [
      warning(
        check,
        'id has no sequence of its own as its default: tailrace can record nothing into this table',
        `ALTER TABLE ${table.name} ALTER COLUMN id SET DEFAULT nextval('events_seq');`,
      ),
    ];
  }
  const [name, last, end, increment, cycles, mayLook] = row;
  if (mayLook !== 't') {
    return [
      warning(
        check,
        `how far ${name} has come may not be looked at`,
        `GRANT SELECT ON SEQUENCE ${name} TO ${await roleOf(session)};`,
      ),
    ];
  }
  if (Number(increment) < 0 || cycles === 't') {
    return [
      problem(
        check,
        `${name} ${cycles === 't' ? 'begins anew when it has come to its end' : 'counts downwards'}: ids are used again`,
        `ALTER SEQUENCE ${name} NO CYCLE INCREMENT BY 1;`,
      ),
    ];
  }
  const lastId = BigInt(last ?? 0);
  if (highestId !== null && lastId < highestId) {
    return [
      problem(
        check,
        `${name} is at ${lastId}, but there is an event ${highestId}: ids are used again, and a new event that gets the id of a remembered one has no line`,
        `SELECT setval('${String(name).replaceAll("'", "''")}', ${highestId});`,
      ),
    ];
  }
  const share = Number(lastId) / Number(end);
  if (share > NEARLY_ALL) {
    return [
      warning(
        check,
        `${name} has given ${Math.floor(share * 100)} % of the ids up to ${count(Number(end))}`,
        `ALTER TABLE ${table.name} ALTER COLUMN ${quoteName('id')} TYPE bigint;`,
        `ALTER SEQUENCE ${name} AS bigint MAXVALUE 9223372036854775807;`,
      ),
    ];
  }
  return [ok(check, `from ${name}, at ${lastId}${highestId === null ? '' : `, highest in use ${highestId}`}`)];
}

function largest(...ids: readonly (string | null | undefined)[]): bigint | null {
  return ids.reduce<bigint | null>((most, id) => {
    if (id == null) return most;
    return most === null || BigInt(id) > most ? BigInt(id) : most;
  }, null);
}

async function roleOf(session: Session): Promise<string> {
  return String((await session.query('SELECT quote_ident(current_user)'))[0]?.[0]);
}
