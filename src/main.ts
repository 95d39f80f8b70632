// What bin/tailrace.js imports: the only file that does something when it is imported.

import { holdHeapGrowth } from './lib/memory.ts';

holdHeapGrowth();
// `tailrace recording list | head`: who reads no further is no reason to die, and says nothing about what was done.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv.slice(2), process);
