// Which failures a suite tries once more: only those of a test that broke off, since a wait ran out of time, as on a
// machine that is busy with something else, or since the system refused a call (`ENOTEMPTY: …`, `connect ECONNREFUSED …`).
// What a test compared and found wrong (an event lost, a line repeated) fails at once. The counts (count-reporter.ts)
// name every test that passed only so.

const RAN_OUT = /^(?:waited \d+ ms in vain for |Test timed out in |Hook timed out in )/;
const REFUSED = /^(?:[a-z]+ )?E[A-Z]{3,}[: ]/;

/** Whether an error is a wait that ran out of time. */
export const ranOut = (error: unknown): boolean => error instanceof Error && RAN_OUT.test(error.message);

/** vitest's `retry`. */
export const SECOND_TRY = { count: 1, condition: new RegExp(`${RAN_OUT.source}|${REFUSED.source}`) };
