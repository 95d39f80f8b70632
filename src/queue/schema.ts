// `tailrace init` in the database: makes what is absent and never alters a table that it finds.

import { hostname } from 'node:os';
import { QUEUE_COLUMNS } from '../event/queue-columns.ts';
import { STUDIO_TABLE } from '../event/recording-switches.ts';
import { TailraceError } from '../lib/errors.ts';
import { quoteName, type Session } from './session.ts';
import { REVOKE_RECORDING, recordingFunctions } from './sql/recording.ts';
import {
  CREATE_SCHEMA,
  CREATE_SYSTEM_CONFIGS,
  CREATE_WAKE_FUNCTION,
  createWakeTrigger,
  FIRST_VERSION,
  SCHEMA_VERSION,
} from './sql/schema.ts';
import { UPGRADES } from './sql/upgrades.ts';
import { readQueueTable } from './table.ts';

/** The queue table's name (SPEC 2), found through the search path. */
export const QUEUE_TABLE = 'events';

export interface InitReport {
  /** One line per thing: `made table events`, `found table events, left as it is`. */
  readonly steps: readonly string[];
}

/**
 * Makes the queue table, its sequence, `s_system_configs` and the schema `tailrace` where they are absent, in one transaction.
 *
 * @param options.notify also adds the wake-up trigger to the queue table, a found one too, since it was asked for.
 * @throws {TailraceError} `SCHEMA_TOO_NEW`, `SCHEMA_OF_OTHER_TABLE`, or those of `readQueueTable`.
 */
export async function initSchema(session: Session, options: { readonly notify: boolean }): Promise<InitReport> {
  const steps: string[] = [];
  await session.query('BEGIN');
  try {
    // Two `init`s at once (a deployment of several hosts) would both find nothing and collide.
    await session.query(`SELECT pg_advisory_xact_lock(hashtext('tailrace.init'))`);
    steps.push(...(await createQueueTable(session)));
    steps.push(...(await createSystemConfigs(session)));
    const table = await readQueueTable(session, QUEUE_TABLE, false);
    steps.push(await createOwnSchema(session, table.oid));
    await createRecording(session);
    await session.query(CREATE_WAKE_FUNCTION);
    if (options.notify && !table.hasWakeTrigger) {
      await session.query(createWakeTrigger(table.name));
      steps.push(`made trigger tailrace_wake on ${table.name}`);
    }
    await session.query('COMMIT');
  } catch (error) {
    if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  return { steps };
}

/**
 * Checks that the schema `tailrace` is there, of this program's version, and serves the table.
 *
 * @throws {TailraceError} `SCHEMA_MISSING`, `SCHEMA_TOO_NEW`, `SCHEMA_TOO_OLD` or `SCHEMA_OF_OTHER_TABLE`.
 */
export async function checkSchema(session: Session, tableOid: string): Promise<void> {
  const [made] = await session.query(`SELECT to_regclass('tailrace.meta') IS NOT NULL`);
  if (made?.[0] !== 't') {
    throw new TailraceError(
      'SCHEMA_MISSING',
      'this database has no schema tailrace; run `tailrace init` once to make it',
    );
  }
  const [meta] = await session.query(`SELECT schema_version, queue::oid::text, queue::text FROM tailrace.meta`);
  const version = Number(meta?.[0]);
  if (version > SCHEMA_VERSION) {
    throw new TailraceError(
      'SCHEMA_TOO_NEW',
      `the schema tailrace has version ${version}, this program knows ${SCHEMA_VERSION}; use the newer tailrace that made it`,
    );
  }
  if (version < SCHEMA_VERSION) {
    throw new TailraceError(
      'SCHEMA_TOO_OLD',
      `the schema tailrace has version ${version}, this program needs ${SCHEMA_VERSION}; run \`tailrace init\``,
    );
  }
  if (meta?.[1] !== tableOid) {
    throw new TailraceError(
      'SCHEMA_OF_OTHER_TABLE',
      `the schema tailrace of this database serves the table ${meta?.[2]}, not the ${QUEUE_TABLE} found through search_path; give the second queue a database of its own, or set search_path`,
    );
  }
}

/** Makes the schema `tailrace`, or brings it to this program's version. @returns what to say of it. */
async function createOwnSchema(session: Session, tableOid: string): Promise<string> {
  const [had] = await session.query(`SELECT to_regclass('tailrace.meta') IS NOT NULL`);
  await session.query(CREATE_SCHEMA);
  await session.query(`INSERT INTO tailrace.meta (schema_version, queue) VALUES ($1, $2::oid) ON CONFLICT DO NOTHING`, [
    FIRST_VERSION,
    tableOid,
  ]);
  const [found] = await session.query('SELECT schema_version FROM tailrace.meta');
  const version = Number(found?.[0]);
  for (const step of UPGRADES.filter((each) => each.version > version)) {
    await session.query(step.sql);
    await session.query('UPDATE tailrace.meta SET schema_version = $1', [step.version]);
  }
  await checkSchema(session, tableOid);
  if (had?.[0] !== 't') return `made schema tailrace, version ${SCHEMA_VERSION}`;
  return version < SCHEMA_VERSION
    ? `upgraded schema tailrace from version ${version} to ${SCHEMA_VERSION}`
    : `found schema tailrace, version ${SCHEMA_VERSION}`;
}

/** The SQL functions of recording, for this table and this server; those of an older program are replaced. */
async function createRecording(session: Session): Promise<void> {
  await session.query(
    `INSERT INTO tailrace.recording (server_id, bounce_text_bytes) VALUES ($1, 1024) ON CONFLICT DO NOTHING`,
    [hostname()],
  );
  await session.query(
    `UPDATE tailrace.recording SET studio_table =
      (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1))`,
    [STUDIO_TABLE],
  );
  const [found] = await session.query(
    `SELECT n.nspname, to_regprocedure('tailrace.record_event(jsonb)') IS NOT NULL,
       current_setting('server_encoding') = 'UTF8' AND to_regcollation('pg_catalog."und-x-icu"') IS NOT NULL
     FROM tailrace.meta m JOIN pg_class c ON c.oid = m.queue JOIN pg_namespace n ON n.oid = c.relnamespace`,
  );
  const [queueSchema, had, hasIcu] = found ?? [];
  await session.query(recordingFunctions({ queueSchema: String(queueSchema), hasIcu: hasIcu === 't' }));
  // Only once: what an administrator grants afterwards stays.
  if (had !== 't') await session.query(REVOKE_RECORDING);
}

async function createQueueTable(session: Session): Promise<string[]> {
  const [found] = await session.query(`SELECT to_regclass($1) IS NOT NULL`, [QUEUE_TABLE]);
  if (found?.[0] === 't') return [`found table ${QUEUE_TABLE}, left as it is`];
  const columns = QUEUE_COLUMNS.map(
    (column) =>
      `${quoteName(column.name)} ${column.type}${column.name === 'id' ? ' NOT NULL PRIMARY KEY' : ''}${column.defaultSql ? ` DEFAULT ${column.defaultSql}` : ''}`,
  );
  await session.query(`CREATE SEQUENCE IF NOT EXISTS events_seq`);
  await session.query(`CREATE TABLE ${QUEUE_TABLE} (${columns.join(', ')}, processed boolean)`);
  await session.query(`CREATE INDEX events_processed_idx ON ${QUEUE_TABLE} (id) WHERE processed IS NOT TRUE`);
  await session.query(`ALTER SEQUENCE events_seq OWNED BY ${QUEUE_TABLE}.id`);
  return [`made table ${QUEUE_TABLE}`];
}

async function createSystemConfigs(session: Session): Promise<string[]> {
  const [found] = await session.query(`SELECT to_regclass('s_system_configs') IS NOT NULL`);
  if (found?.[0] === 't') return ['found table s_system_configs, left as it is'];
  await session.query(CREATE_SYSTEM_CONFIGS);
  return ['made table s_system_configs'];
}
