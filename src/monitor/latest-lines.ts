// The newest lines of the log file, for a person to look at. Reads a bounded end of the file, without following a link
// and without waiting at a pipe; whatever happens to the file meanwhile, there is an answer.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

const MOST_LINES = 20;
const MOST_READ_BYTES = 128 * 1024;
/** A longer line is cut, and ends with an ellipsis. */
const MOST_LINE_CHARS = 2_000;
/** What a line shows of itself to those without a token: nothing of a person is in it. */
const HEAD =
  /^\{"time_written_to_logfile":[\d.]+,"event_id":-?\d+,"event_time":[^,]{1,40},"event_type":"[^"\\]{0,100}"/;

export interface LatestLines {
  /** Oldest first. */
  readonly lines: readonly string[];
  /** Only the beginning of each is shown, since it was asked for without a token. */
  readonly heads_only: boolean;
}

/** @param whole false: only time, id and type of each. */
export async function latestLines(path: string | null, whole: boolean): Promise<LatestLines> {
  const lines = path === null ? [] : await readEnd(path).catch(() => []);
  return {
    lines: lines.slice(-MOST_LINES).map((line) => (whole ? cut(line) : `${HEAD.exec(line)?.[0] ?? '{'}, …}`)),
    heads_only: !whole,
  };
}

const cut = (line: string): string => (line.length > MOST_LINE_CHARS ? `${line.slice(0, MOST_LINE_CHARS)}…` : line);

async function readEnd(path: string): Promise<string[]> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return [];
    const start = Math.max(0, stats.size - MOST_READ_BYTES);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(stats.size - start), 0, stats.size - start, start);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    // A line that began before, and one that is being written.
    return lines.slice(start > 0 ? 1 : 0, -1);
  } finally {
    await file.close();
  }
}
