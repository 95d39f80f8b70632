// The identity of the state beside a log file: recorded with each take-over in PostgreSQL, so that the next owner knows
// whether what was in flight is written down here or on another host.

import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../lib/errors.ts';
import { explainFailure } from './failure.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The id kept in a state directory; made there when there is none. The caller holds the directory's lock.
 *
 * @returns a UUID.
 * @throws {TailraceError} `LOG_FILE_…` when it cannot be read or made; to be called again.
 */
export async function journalId(directory: string): Promise<string> {
  const known = await knownJournalId(directory);
  if (known !== null) return known;
  const id = randomUUID();
  await writeJournalId(directory, id);
  return id;
}

/** The id kept in a state directory; null = none. @throws as `journalId`. */
export async function knownJournalId(directory: string): Promise<string | null> {
  const path = join(directory, 'id');
  const known = await readFile(path, 'utf8').catch((error) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw explainFailure(error, path) ?? error;
  });
  return UUID.test(known.trim()) ? known.trim() : null;
}

/** Puts an id into a state directory, whatever it has. @throws as `journalId`. */
export async function writeJournalId(directory: string, id: string): Promise<void> {
  const path = join(directory, 'id');
  try {
    const draft = await open(
      `${path}.new`,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      await draft.writeFile(`${id}\n`);
      await draft.sync();
    } finally {
      await draft.close();
    }
    await rename(`${path}.new`, path);
  } catch (error) {
    throw explainFailure(error, path) ?? error;
  }
}
