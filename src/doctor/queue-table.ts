// The queue table against what tailrace needs of it: it may be somebody else's, and somebody may have changed it.

import { QUEUE_COLUMNS } from '../event/queue-columns.ts';
import { count } from '../lib/quantity.ts';
import { quoteName, type Session } from '../queue/session.ts';
import { ATTACHMENTS_SQL, CLASS_SQL, COLUMNS_SQL, INDEXES_SQL, TRIGGERS_SQL } from '../queue/sql/doctor-table.ts';
import type { QueueTable } from '../queue/table.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const INTEGERS = new Set(['smallint', 'integer', 'bigint']);
const NUMBERS = new Set([...INTEGERS, 'real', 'double precision']);
/** What is neither written nor sent, and is none of an event's own fields. */
const MARK = 'processed';

/** What kind of relation it is. */
export async function checkKind(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  const check = 'table';
  const [row] = await session.query(CLASS_SQL, [table.oid]);
  const [kind, persistence, rowSecurity] = row ?? [];
  if (kind !== 'r' && kind !== 'p') {
    return [
      problem(check, `${table.name} is no table (kind ${kind})`, 'let search_path lead to the queue table itself'),
    ];
  }
  if (rowSecurity === 't') {
    return [
      warning(
        check,
        `row security is on for ${table.name}: rows may be hidden from the processor, or not be deleted`,
        'let the role that runs tailrace pass it:',
        `ALTER TABLE ${table.name} DISABLE ROW LEVEL SECURITY;`,
      ),
    ];
  }
  if (persistence !== 'p') {
    return [
      warning(
        check,
        `${table.name} is not logged: a crash of PostgreSQL empties it`,
        `ALTER TABLE ${table.name} SET LOGGED;`,
      ),
    ];
  }
  return [ok(check, `${table.name}, ${table.shape.columns.length} columns are read`)];
}

/** Columns and their types. */
export async function checkColumns(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  const check = 'columns';
  const rows = await session.query(COLUMNS_SQL, [table.oid]);
  const columns = new Map(rows.map(([name, type, base]) => [String(name), { type: String(type), base: String(base) }]));
  const baseOf = (name: string): string | undefined => columns.get(name)?.base;
  const findings: Finding[] = [];
  const alter = (name: string, type: string): string =>
    `ALTER TABLE ${table.name} ALTER COLUMN ${name} TYPE ${type} USING ${name}::${type};`;

  const id = baseOf('id') ?? '';
  if (!INTEGERS.has(id)) {
    findings.push(
      problem(check, `id is ${id}, and tailrace reads whole numbers in their order`, alter('id', 'bigint')),
    );
  } else if (id !== 'bigint') {
    const last = id === 'integer' ? 2_147_483_647 : 32_767;
    findings.push(warning(check, `id is ${id}: ids end at ${count(last)}`, alter('id', 'bigint')));
  }
  const destination = baseOf('destination_id');
  if (destination !== undefined && !INTEGERS.has(destination)) {
    findings.push(problem(check, `destination_id is ${destination}, not a number`, alter('destination_id', 'integer')));
  }
  const mark = baseOf(MARK);
  if (mark !== undefined && mark !== 'boolean') {
    findings.push(problem(check, `processed is ${mark}, not boolean`, alter(MARK, 'boolean')));
  }
  const time = baseOf('event_time');
  if (time !== undefined && !NUMBERS.has(time)) {
    findings.push(
      warning(
        check,
        `event_time is ${time}, not seconds since 1970: ages of events are not known`,
        alter('event_time', 'integer'),
      ),
    );
  }
  const missing = QUEUE_COLUMNS.filter(({ name, own }) => !own && !columns.has(name));
  if (missing.length > 0) {
    findings.push(
      warning(
        check,
        `not there: ${missing.map(({ name }) => name).join(', ')}: these fields are null in every line, and cannot be recorded`,
        `ALTER TABLE ${table.name} ${missing.map((each) => `ADD COLUMN ${quoteName(each.name)} ${each.type}`).join(', ')};`,
      ),
    );
  }
  const known = new Map(QUEUE_COLUMNS.map(({ name, type }) => [name, type as string]));
  const extra = [...columns.keys()].filter((name) => !known.has(name) && name !== MARK);
  const others = [...columns].filter(([name, { base }]) => isOfOtherKind(base, known.get(name)));
  const notes = [
    ...(extra.length > 0 ? [`of your own: ${listed(extra)}`] : []),
    ...(others.length > 0
      ? [`of another type than usual: ${listed(others.map(([name, { type }]) => `${name} ${type}`))}`]
      : []),
    ...ownMissing(columns),
  ];
  return findings.length > 0 ? findings : [ok(check, ['all that are needed', ...notes].join('; '))];
}

/** Whether it is written as another kind of JSON value than one expects. */
function isOfOtherKind(base: string, usual: string | undefined): boolean {
  if (usual === undefined) return false;
  const kindOf = (type: string): string =>
    INTEGERS.has(type) ? 'integer' : NUMBERS.has(type) ? 'double' : type === 'boolean' ? 'boolean' : 'text';
  return kindOf(base) !== kindOf(usual);
}

function ownMissing(columns: ReadonlyMap<string, unknown>): string[] {
  const missing = QUEUE_COLUMNS.filter(({ name, own }) => own && !columns.has(name)).map(({ name }) => name);
  return missing.length > 0 ? [`newer ones that this table lacks: ${listed(missing)}`] : [];
}

const listed = (names: readonly string[]): string =>
  names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ');

/** Whether a row is found by its id without reading the whole table. */
export async function checkIndexes(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  const check = 'index';
  const rows = (await session.query(INDEXES_SQL, [table.oid])).map(([name, first, alone, unique, valid, whole]) => ({
    name: String(name),
    onId: first === 't' && whole === 't',
    isKey: alone === 't' && unique === 't',
    isValid: valid === 't',
  }));
  const broken = rows
    .filter(({ isValid }) => !isValid)
    .map(({ name }) =>
      warning(
        check,
        `${name} is not valid: it was not built to its end, is not used, and costs each insert`,
        `REINDEX INDEX CONCURRENTLY ${name};`,
      ),
    );
  const good = rows.filter(({ onId, isValid }) => onId && isValid);
  const key = good.find(({ isKey }) => isKey);
  if (key) return [ok(check, `${key.name} on id`), ...broken];
  const make = `CREATE UNIQUE INDEX CONCURRENTLY ON ${table.name} (id);`;
  const [any] = good;
  const found = any
    ? warning(check, `${any.name} is on id, but not unique: two rows may have one id, and are then one event`, make)
    : problem(check, 'there is none on id: each page and each settling reads the whole table', make);
  return [found, ...broken];
}

/** What happens to rows besides what tailrace does. */
export async function checkTriggers(session: Session, table: QueueTable): Promise<readonly Finding[]> {
  const check = 'triggers';
  const triggers = (await session.query(TRIGGERS_SQL, [table.oid])).map(
    ([name, onInsert, onUpdate, onDelete, isBefore, isEnabled]) => ({
      name: String(name),
      onInsert: onInsert === 't',
      onSettling: onUpdate === 't' || onDelete === 't',
      isBefore: isBefore === 't',
      isEnabled: isEnabled === 't',
    }),
  );
  const enabled = triggers.filter(({ isEnabled }) => isEnabled);
  const findings = enabled
    .filter(({ onSettling }) => onSettling)
    .map(({ name, isBefore }) =>
      warning(
        check,
        `${name} runs for each row that is settled${isBefore ? '; if it returns NULL the row stays, and its event is never done' : ''}`,
        `ALTER TABLE ${table.name} DISABLE TRIGGER ${name};`,
      ),
    );
  const attached = (await session.query(ATTACHMENTS_SQL, [table.oid])).map(([what, name]) =>
    warning(
      check,
      what === 'rule'
        ? `the rule ${name} may turn a DELETE into something else`
        : `the foreign key ${name} leads to this table: a row that is referred to cannot be deleted, and each DELETE looks for such rows`,
      'take it away unless you know what it is for',
    ),
  );
  if (findings.length + attached.length > 0) return [...findings, ...attached];
  const onInsert = enabled.filter(({ onInsert }) => onInsert).map(({ name }) => name);
  const wake = table.hasWakeTrigger ? ', tailrace_wake' : '';
  return [
    ok(check, `none that touch what is settled${onInsert.length > 0 ? `; on INSERT: ${listed(onInsert)}` : ''}${wake}`),
  ];
}
