import { defineConfig } from 'vitest/config';

// The crash suite: minutes, not seconds, and one file at a time, since some of its tests measure time and the sweep
// keeps both cores busy by itself.
export default defineConfig({
  test: {
    include: ['test/crash/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    pool: 'forks',
    fileParallelism: false,
    reporters: process.env.CI ? ['default', './test/helpers/count-reporter.ts'] : ['default'],
  },
});
