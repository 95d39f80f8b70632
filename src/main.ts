// What bin/tailrace.js imports: the only file that does something when it is imported.

import { EXIT } from './lib/errors.ts';
import { holdHeapGrowth } from './lib/memory.ts';
import { beforeSignalEnds } from './lib/shutdown.ts';

holdHeapGrowth();
// Ctrl-C while the program is still being loaded: the commands have not begun to listen.
const loading = beforeSignalEnds(() => {
  process.stderr.write('tailrace: interrupted before it began; nothing was done\n');
});
let isSaid = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `tailrace recording list | head`: who reads no further is no reason to die, and says nothing about what was done.
  if (error.code === 'EPIPE' || isSaid) return;
  isSaid = true;
  process.exitCode ||= EXIT.problem;
  process.stderr.write(`tailrace: cannot write to standard output: ${error.message}\n`);
});
const { runCli } = await import('./cli.ts');
const code = await runCli(process.argv.slice(2), process, () => loading[Symbol.dispose]());
if (code !== EXIT.ok) process.exitCode = code;
