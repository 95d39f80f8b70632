// A vitest reporter that ends a run with a line for each test that needed a second try, and then the very last one:
// `N passed, N failed`, and `, N skipped` when any were. It counts tests; a file that could not run, or an error outside
// every test, counts as one failed test.

import type { Reporter, TestModule } from 'vitest/node';

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Named in `reporters` by its path: vitest takes the default export. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    process.stdout.write(secondTries(modules).join(''));
    process.stdout.write(`${renderCounts(countTests(modules, unhandledErrors))}\n`);
  }
}

/** A line for each test that passed only when it was tried again (second-try.ts). */
export function secondTries(modules: readonly TestModule[]): string[] {
  return modules.flatMap((module) =>
    [...module.children.allTests('passed')]
      .filter((test) => test.diagnostic()?.flaky)
      .map((test) => `passed only on a second try: ${module.relativeModuleId} > ${test.fullName}\n`),
  );
}

/** Counts a run's tests. One that never ended, because the run was interrupted, has failed. */
export function countTests(modules: readonly TestModule[], unhandledErrors: readonly unknown[] = []): TestCounts {
  const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
  for (const module of modules) {
    const failedBefore = counts.failed;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      counts[state === 'pending' ? 'failed' : state] += 1;
    }
    // A failing import or hook fails the file and none of its tests.
    if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed += 1;
  }
  return counts;
}

/** The line itself. */
export function renderCounts(counts: TestCounts): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}
