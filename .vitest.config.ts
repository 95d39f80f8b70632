import { defineConfig } from 'vitest/config';
import { SECOND_TRY } from './test/helpers/second-try.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A suite of its own: `npm run test:crash`.
    exclude: ['test/crash/**'],
    globalSetup: ['test/helpers/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    retry: SECOND_TRY,
    pool: 'forks',
    maxWorkers: 2,
    reporters: process.env.CI ? ['default', './test/helpers/count-reporter.ts'] : ['default'],
  },
});
