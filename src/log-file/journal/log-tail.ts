// When the journal is gone or damaged: the end of the log file and of the files that were moved beside it, read for the
// lines that a crash may have left without PostgreSQL knowing of them. Only ids are kept; a hit reads the files again.

import { basename, dirname } from 'node:path';
import { IdSet } from '../../lib/id-set.ts';
import type { KnownLines } from './known-lines.ts';
import { scanLines } from './scan-lines.ts';
import { regularFiles } from './search.ts';

/** How much of the newest files is read: far more than can be in flight. */
const READ_BYTES = 256 * 1024 * 1024;
const EVENT_ID = /"event_id":(-?\d+)[,}]/;

export interface LogTail extends KnownLines {
  /** Events that have a line in it. */
  readonly lines: number;
  readonly ids: Iterable<string>;
}

/** @param filename the log file's configured path, without a date. */
export async function readLogTail(filename: string): Promise<LogTail> {
  const paths = await newestFiles(filename);
  const ids = new IdSet();
  for (const path of paths) {
    await scanLines(path, (bytes, start, end) => {
      const id = idOf(bytes, start, end);
      if (id !== null) ids.add(id);
      return true;
    });
  }
  return {
    lines: ids.size,
    ids,
    knows: (id) => ids.has(id),
    async linesOf(wanted) {
      const lines = new Map<string, string[]>();
      for (const path of paths) {
        await scanLines(path, (bytes, start, end) => {
          const id = idOf(bytes, start, end);
          if (id !== null && wanted.has(id)) {
            lines.set(id, [...(lines.get(id) ?? []), bytes.toString('utf8', start, end).trimEnd()]);
          }
          return true;
        });
      }
      return lines;
    },
    unsettled: 0,
    settled: () => undefined,
    close: async () => undefined,
  };
}

async function newestFiles(filename: string): Promise<string[]> {
  const paths: string[] = [];
  let bytes = 0;
  for (const { path, size } of await regularFiles(dirname(filename))) {
    if (!basename(path).startsWith(basename(filename))) continue;
    if (bytes > READ_BYTES) break;
    bytes += size;
    paths.push(path);
  }
  return paths;
}

/** The id is the second key of a line: near its start. */
function idOf(bytes: Buffer, start: number, end: number): string | null {
  return EVENT_ID.exec(bytes.toString('latin1', start, Math.min(end, start + 96)))?.[1] ?? null;
}
