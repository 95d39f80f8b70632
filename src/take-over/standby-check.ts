// A process that stands by because another one has its log file looks now and then at those that run: whoever has the
// file may be no reason to stand by, but one never to get it.

import type { LogFileConfig } from '../config/config.ts';
import { codeOf } from '../lib/errors.ts';
import { knownJournalId } from '../log-file/journal-id.ts';
import { stateDirectory } from '../log-file/local-lock.ts';
import { assertFits } from '../queue/claim.ts';
import { endsTenure } from '../queue/rights.ts';
import { QUEUE_TABLE } from '../queue/schema.ts';
import type { Session } from '../queue/session.ts';
import type { Shard } from '../queue/slots.ts';
import { readQueueTable } from '../queue/table.ts';

const CHECK_MS = 5_000;
/** Errors that waiting does not mend: somebody has to change how processes are started. */
const REFUSED = new Set(['SHARD_LAYOUT', 'SHARD_LOG_FILE']);

/** True for errors that end `run` instead of being waited out. */
export const isRefusal = (error: unknown): boolean => endsTenure(error) || REFUSED.has(codeOf(error) ?? '');

/**
 * Creates the check, which does nothing more often than every five seconds.
 *
 * @returns throws what is a refusal; any other error is no reason not to stand by.
 */
export function createStandbyCheck(
  open: () => Promise<Session>,
  shard: Shard,
): (file: LogFileConfig | null) => Promise<void> {
  let lookedMs = Number.NEGATIVE_INFINITY;
  return async (file) => {
    if (file === null || performance.now() - lookedMs < CHECK_MS) return;
    lookedMs = performance.now();
    const session = await open().catch(() => null);
    try {
      if (session === null) return;
      const table = await readQueueTable(session, QUEUE_TABLE, false, shard);
      await assertFits(session, table, await knownJournalId(stateDirectory(file.filename)));
    } catch (error) {
      if (isRefusal(error)) throw error;
    } finally {
      await session?.close();
    }
  };
}
