// Processors on this host, as the process list shows them: the one at work and those that stand by, which have nothing
// in PostgreSQL to be known by.

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Process ids of every `tailrace run`, of whatever queue. Empty where there is no /proc. */
export async function findProcessors(proc = '/proc'): Promise<readonly string[]> {
  const pids = (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found: string[] = [];
  for (const pid of pids) {
    const words = (await readFile(join(proc, pid, 'cmdline'), 'utf8').catch(() => '')).split('\0');
    const at = words.findIndex((word) => ['tailrace', 'tailrace.js'].includes(basename(word)));
    if (at >= 0 && at <= 4 && words[at + 1] === 'run') found.push(pid);
  }
  return found;
}
