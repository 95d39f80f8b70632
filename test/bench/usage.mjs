// Loaded into a Node process that is measured (NODE_OPTIONS=--import): at its end it notes in the file BENCH_USAGE what
// the process took, all threads together.

import { writeFileSync } from 'node:fs';

const file = process.env.BENCH_USAGE;
if (file) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    writeFileSync(file, JSON.stringify({ cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakMiB: maxRSS / 1024 }));
  });
}
