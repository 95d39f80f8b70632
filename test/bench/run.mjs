// `npm run bench`: Node 20 cannot run TypeScript, so Vite, which brings the tests to run too, translates the bench as it
// loads it, all at once: an import() later on would fail. What is measured runs in processes of its own and never sees
// this.

import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const bench = fileURLToPath(new URL('./bench.ts', import.meta.url));
const { module } = await runnerImport(bench, { configFile: false, logLevel: 'error', oxc: { target: 'node20' } });
// An interrupted row waits for answers that do not come any more.
process.exit(await module.main(process.argv.slice(2)));
