// Faults for a program that runs already: strace attaches, injects, and lets go again, so that the end of a fault needs
// no restart of the program either.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { waitFor } from '../helpers/wait-for.ts';
import type { Injection } from './strace.ts';

/** Injects until it is disposed of. */
export async function attach(pid: number, { call, paths, effect, when }: Injection): Promise<AsyncDisposable> {
  const filter = paths.flatMap((path) => ['-P', path]);
  const args = ['-f', '-qq', '-o', '/dev/null', ...filter, '-e', `trace=${call}`];
  const tracer = spawn('strace', [...args, '-e', `inject=${call}:${effect}:when=${when}`, '-p', `${pid}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  tracer.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const exit = once(tracer, 'close');
  await waitFor(async () => tracer.exitCode !== null || (await isTraced(pid)), {
    what: 'strace to attach',
    intervalMs: 5,
  });
  if (tracer.exitCode !== null) throw new Error(`strace did not attach: ${said}`);
  return {
    async [Symbol.asyncDispose]() {
      tracer.kill('SIGINT'); // strace lets go of what it attached to
      await exit;
    },
  };
}

/** Whether all threads are under a tracer. */
async function isTraced(pid: number): Promise<boolean> {
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8').catch(() => '');
    if (/^TracerPid:\s+0$/m.test(status)) return false;
  }
  return true;
}
