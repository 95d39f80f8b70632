// What bin/tailrace.js imports: the only file that does something when it is imported.

import { holdHeapGrowth } from './lib/memory.ts';

holdHeapGrowth();
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv.slice(2), process);
