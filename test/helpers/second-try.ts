// Which failures a suite tries once more: only those of a wait that ran out of time, as on a machine that is busy with
// something else. What a test compared and found wrong (an event lost, a line repeated) fails at once. The counts
// (count-reporter.ts) name every test that passed only so.

/** Whether an error is a wait that ran out of time. */
export const ranOut = (error: unknown): boolean => error instanceof Error && SECOND_TRY.condition.test(error.message);

/** vitest's `retry`. */
export const SECOND_TRY = {
  count: 1,
  condition: /^(waited \d+ ms in vain for |Test timed out in |Hook timed out in )/,
};
