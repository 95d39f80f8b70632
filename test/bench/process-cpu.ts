// CPU time of a process that goes on running, as the kernel counts it. Linux only.

import { readdir, readFile } from 'node:fs/promises';

/** Whether this system tells. */
export const KNOWS_RUNNING_PROCESSES = process.platform === 'linux';

/** Seconds of all its threads so far, in steps far below a clock tick. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0')),
  );
  return times.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e9;
}
