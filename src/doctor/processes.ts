// Processors on this host, as the process list shows them: the one at work and those that stand by, which have nothing
// in PostgreSQL to be known by.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Process ids of every `tailrace run`, of whatever queue. Empty where there is no /proc. */
export function findProcessors(proc = '/proc'): readonly string[] {
  return namesIn(proc).filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    const words = argumentsOf(join(proc, name, 'cmdline'));
    const at = words.findIndex((word) => ['tailrace', 'tailrace.js'].includes(basename(word)));
    return at >= 0 && at <= 4 && words[at + 1] === 'run';
  });
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Empty when the process is gone meanwhile. */
function argumentsOf(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\0');
  } catch {
    return [];
  }
}
