// What bin/tailrace.js imports: the only file that does something when it is imported.

import { runCli } from './cli.ts';

process.exitCode = await runCli(process.argv.slice(2), process);
