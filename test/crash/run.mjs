// `npm run test:crash [-- --full] [-- FILE…]`: the crash suite, bounded or, with --full, whole (an hour and more). The
// rest of the arguments are vitest's.

import { spawn } from 'node:child_process';

const args = process.argv.slice(2);
const full = args.includes('--full');
const vitest = ['vitest', 'run', '--config', '.vitest.crash.config.ts', ...args.filter((arg) => arg !== '--full')];
const child = spawn('npx', vitest, {
  stdio: 'inherit',
  env: { ...process.env, ...(full && { TAILRACE_FULL: '1' }) },
});
child.on('exit', (code, signal) => {
  process.exitCode = signal ? 1 : (code ?? 1);
});
