import { defineConfig } from 'vitest/config';
import { SECOND_TRY } from './test/helpers/second-try.ts';

// The crash suite: minutes, not seconds. Two files at a time, however many cores there are: most tests wait more than
// they work, and those that measure time have to bear no more than that.
export default defineConfig({
  test: {
    include: ['test/crash/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    retry: SECOND_TRY,
    pool: 'forks',
    maxWorkers: 2,
    reporters: process.env.CI ? ['default', './test/helpers/count-reporter.ts'] : ['default'],
  },
});
