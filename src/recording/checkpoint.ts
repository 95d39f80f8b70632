// How far a file is recorded, in `tailrace.checkpoint`: moved in the transaction of each batch, so that it says neither
// more nor less than what is in the queue. Of two recorders of one file the later one wins: the earlier one finds at its
// next batch that the row is not its own any more, and that batch is rolled back.

import { randomUUID } from 'node:crypto';
import { TailraceError } from '../lib/errors.ts';
import { count, many } from '../lib/quantity.ts';
import { type FileIdentity, HEAD_BYTES, type InputFile } from './input-file.ts';
import type { QueryClient } from './queue-table.ts';

/** How far one input is recorded. */
export interface Position {
  /** Records that are done with: recorded, rejected or switched off. */
  readonly records: number;
  /** Line on which the last of them begins. */
  readonly line: number;
}

export interface Checkpoint {
  /** Where to begin. */
  readonly start: Position;
  /**
   * Moves the position; to be called in the transaction that stores what lies before it.
   *
   * @throws {TailraceError} `CHECKPOINT_TAKEN`.
   */
  store(client: QueryClient, position: Position): Promise<void>;
}

/** A position as it is kept. */
interface Kept extends Position {
  readonly host: string;
  readonly size: number;
  readonly headBytes: number;
  readonly headHash: string;
  readonly recordedAt: Date;
}

export const BEGINNING: Position = { records: 0, line: 0 };

const MAY_KEEP_SQL = `
SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
  AND has_table_privilege(c.oid, 'UPDATE') AS may, quote_ident(current_user) AS role
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tailrace' AND c.relname = 'checkpoint'`;

const FIND_SQL = `
SELECT host, size::float8, head_bytes AS "headBytes", encode(head_sha256, 'hex') AS "headHash", records::float8, line::float8, recorded_at AS "recordedAt"
FROM tailrace.checkpoint WHERE path = $1 ORDER BY host <> $2, recorded_at DESC`;

/** $1–$6 the file, $7 the run, $8 the host whose row it is so far. */
const TAKE_SQL = `
UPDATE tailrace.checkpoint SET host = $1, size = $3, head_bytes = $4, head_sha256 = decode($5, 'hex'), run = $6
WHERE host = $7 AND path = $2 RETURNING records::float8, line::float8`;

const BEGIN_SQL = `
INSERT INTO tailrace.checkpoint (host, path, size, head_bytes, head_sha256, run, records, line) VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6, $7, $8)
ON CONFLICT (host, path) DO UPDATE SET size = EXCLUDED.size, head_bytes = EXCLUDED.head_bytes, head_sha256 = EXCLUDED.head_sha256,
  run = EXCLUDED.run, records = EXCLUDED.records, line = EXCLUDED.line, recorded_at = now()`;

const MOVE_SQL = `
UPDATE tailrace.checkpoint SET records = $4, line = $5, recorded_at = now() WHERE host = $1 AND path = $2 AND run = $3 RETURNING 1`;

/**
 * Whether positions can be kept in this database by this role.
 *
 * @returns null: they can; else why not.
 */
export async function whyNoCheckpoints(client: QueryClient): Promise<string | null> {
  const { rows } = await client.query(MAY_KEEP_SQL);
  const [found] = rows as { may: boolean; role: string }[]; // what MAY_KEEP_SQL selects
  if (found === undefined) return 'this database has no table tailrace.checkpoint; run `tailrace init`';
  if (found.may) return null;
  return `the database role ${found.role} lacks SELECT, INSERT or UPDATE on tailrace.checkpoint; grant it what the README lists`;
}

export interface OpenCheckpointOptions {
  /** Go on behind the position that is kept. */
  readonly resume: boolean;
  /** Says what a person should know, one line. */
  readonly onNote: (note: string) => void;
}

/**
 * Finds where to begin with a file. Nothing is changed for a run from its beginning until its first batch.
 *
 * @param file as the user named it.
 * @throws {TailraceError} `CHECKPOINT_OF_OTHER_FILE`.
 */
export async function openCheckpoint(
  client: QueryClient,
  file: string,
  input: InputFile & { readonly identity: FileIdentity },
  { resume, onNote }: OpenCheckpointOptions,
): Promise<Checkpoint> {
  const { identity } = input;
  const kept = await findKept(client, file, input, resume);
  if (!resume && kept !== null) {
    onNote(
      `${file} was recorded up to line ${kept.line} on ${kept.recordedAt.toISOString()}; it is recorded again from its beginning, --resume would have gone on`,
    );
  }
  if (resume && kept === null) onNote(`no position of ${file} is kept; starting at its beginning`);
  const run = randomUUID();
  const params = [identity.host, identity.path, identity.size, identity.headBytes, identity.headHash, run];
  let isOurs = false;
  let start = BEGINNING;
  if (resume && kept !== null) {
    // Waits for the batch of a recorder that still runs; its next one is refused.
    const { rows } = await client.query(TAKE_SQL, [...params, kept.host]);
    const [taken] = rows as Position[]; // what TAKE_SQL returns
    if (taken === undefined) throw isTaken(file);
    isOurs = true;
    start = taken;
    onNote(`going on with ${file} behind line ${start.line}`);
  }
  return {
    start,
    async store(on, { records, line }) {
      const { rows } = isOurs
        ? await on.query(MOVE_SQL, [identity.host, identity.path, run, records, line])
        : await on.query(BEGIN_SQL, [...params, records, line]);
      if (isOurs && rows.length === 0) throw isTaken(file);
      isOurs = true;
    },
  };
}

/**
 * The position of this very file. What another host kept counts when it is surely the same file: a container has a new
 * name each time, but hosts may also have files of their own at one path.
 */
async function findKept(
  client: QueryClient,
  file: string,
  input: InputFile & { readonly identity: FileIdentity },
  resume: boolean,
): Promise<Kept | null> {
  const { rows } = await client.query(FIND_SQL, [input.identity.path, input.identity.host]);
  for (const kept of rows as Kept[]) {
    // what FIND_SQL selects
    const isOwn = kept.host === input.identity.host;
    const differs =
      input.identity.size < kept.size
        ? `has ${many(input.identity.size, 'byte')}, fewer than the ${count(kept.size)} it had`
        : (await input.hashOf(kept.headBytes)) !== kept.headHash
          ? `begins with other bytes`
          : null;
    if (differs === null && (isOwn || kept.headBytes === HEAD_BYTES)) return kept;
    if (isOwn && differs !== null && resume) {
      throw new TailraceError(
        'CHECKPOINT_OF_OTHER_FILE',
        `${file} is not the file that was recorded up to line ${kept.line} on ${kept.recordedAt.toISOString()}: it ${differs}; record it from its beginning, without --resume`,
      );
    }
  }
  return null;
}

function isTaken(file: string): TailraceError {
  return new TailraceError(
    'CHECKPOINT_TAKEN',
    `another \`tailrace record\` has taken ${file} over; let it finish, or stop it and go on with --resume`,
  );
}
