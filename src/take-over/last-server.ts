// Remembers beside the log file which PostgreSQL server was written to last, so that a fail-over or a restored backup is
// said aloud once: it may have forgotten what was settled, and it may have lost events that nobody can bring back.

import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../lib/logger.ts';
import { isSameServer, type Server } from '../queue/server.ts';

interface LastServer extends Server {
  readonly epoch: string;
}

/**
 * Compares the server that a tenure begins on with the one before, and remembers it. What fails here costs a warning,
 * nothing else, and is not waited for.
 *
 * @param directory the folder of the log file's state, whose lock is held; null = no log file, and nothing to compare with.
 */
export async function noteServer(
  directory: string | null,
  { server, epoch }: { readonly server: Server; readonly epoch: string },
  logger: Logger,
): Promise<void> {
  if (directory === null) return;
  const path = join(directory, 'server');
  const last = await readLast(path);
  const now: LastServer = { ...server, epoch };
  if (last !== null) compare(last, now, logger);
  await writeFile(`${path}.new`, `${JSON.stringify(now)}\n`, { mode: 0o600 })
    .then(() => rename(`${path}.new`, path))
    .catch(() => undefined);
}

function compare(last: LastServer, now: LastServer, logger: Logger): void {
  const { epoch, ...server } = now;
  if (!isSameServer(last, now)) {
    logger.warn(
      { ...server, before: { system: last.system, timeline: last.timeline } },
      'PostgreSQL has failed over or was replaced; events that it forgot were settled are delivered again under the same key',
    );
  }
  // Epochs only grow: one that was given before is given again by a database that is older than this file.
  if (BigInt(epoch) <= BigInt(last.epoch)) {
    logger.error(
      { epoch, before: last.epoch },
      'the database is older than what was done in it before; events may be missing from it, and others are delivered again',
    );
  }
}

async function readLast(path: string): Promise<LastServer | null> {
  try {
    const { system, timeline, epoch } = JSON.parse(await readFile(path, 'utf8'));
    return { system, timeline, epoch: BigInt(epoch).toString() };
  } catch {
    return null;
  }
}
