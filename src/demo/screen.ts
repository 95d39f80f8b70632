// Outside the data path: what a demo looks like. On a terminal the counts are redrawn in place; anywhere else they are
// plain lines, one a second.

import type { Accounts } from './accounts.ts';

/** Where it is written; a terminal says so. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** What is known while it runs. */
export interface Counts {
  readonly recorded: number;
  readonly logged: number;
  readonly accepted: number;
  readonly refused: number;
  readonly queued: number;
}

export interface Screen {
  /** Something that has been done. */
  step(text: string): void;
  counts(counts: Counts): void;
  /** The accounts and where to look next, below everything else. */
  summary(accounts: Accounts, hints: readonly (readonly [string, string])[]): void;
}

const PLAIN_INTERVAL_MS = 1_000;
const BAR_WIDTH = 30;
const LABEL_WIDTH = 14;

/** Creates the screen. Colours only on a terminal whose user has not set NO_COLOR (https://no-color.org). */
export function createScreen(out: Output, env: NodeJS.ProcessEnv): Screen {
  const terminal = out.isTTY === true;
  const paint = (code: number, text: string) => (terminal && !env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : text);
  const bold = (text: string) => paint(1, text);
  const dim = (text: string) => paint(2, text);
  const green = (text: string) => paint(32, text);
  const red = (text: string) => paint(31, text);
  const startedAt = performance.now();
  let liveLines = 0;
  let lastPlainAt = Number.NEGATIVE_INFINITY;

  const line = (text = '') => out.write(text === '' ? '\n' : `  ${text}\n`);
  const live = (lines: readonly string[]) => {
    // Up to where the block began, and everything below it away.
    if (liveLines > 0) out.write(`\x1b[${liveLines}A\x1b[J`);
    for (const each of lines) line(each);
    liveLines = lines.length;
  };

  return {
    step(text) {
      live([]);
      line(`${green(terminal ? '✓' : '-')} ${text}`);
    },
    counts(counts) {
      const { recorded, logged, accepted, refused, queued } = counts;
      if (terminal) {
        const bar = (count: number) => dim('█'.repeat(Math.round((count / Math.max(recorded, 1)) * BAR_WIDTH)));
        const row = (label: string, count: number, after: string) =>
          `${label.padEnd(LABEL_WIDTH)}${bold(figure(count))}  ${after}`;
        live([
          '',
          row('recorded', recorded, bar(recorded)),
          row('in the file', logged, bar(logged)),
          row('delivered', accepted, bar(accepted)),
          row('in the queue', queued, bar(queued)),
          row('refused', refused, dim('answered with 503, tried again')),
        ]);
        return;
      }
      const now = performance.now();
      if (now - lastPlainAt < PLAIN_INTERVAL_MS) return;
      lastPlainAt = now;
      const seconds = Math.round((now - startedAt) / 1000);
      line(
        `${String(seconds).padStart(3)} s  recorded ${recorded}, in the file ${logged}, delivered ${accepted}, ` +
          `in the queue ${queued}, refused ${refused}`,
      );
    },
    summary(accounts, hints) {
      live([]);
      const { recorded, logged, problems } = accounts;
      const row = (label: string, count: number, after = '') =>
        line(`${label.padEnd(LABEL_WIDTH)}${figure(count)}${after && `  ${dim(after)}`}`);
      line();
      row('delivered', accounts.delivered, 'accepted by the receiver, gone from the queue');
      row('dropped', accounts.dropped, 'to be discarded, gone from the queue');
      row('left', accounts.left, 'to be left in the queue');
      row('waiting', accounts.waiting, 'not tried yet');
      row('failed', accounts.failed, 'tried and not accepted, to be tried again');
      line(`${' '.repeat(LABEL_WIDTH)}${'─'.repeat(figure(recorded).length)}`);
      row('recorded', recorded);
      row('in the files', logged, 'one line each');
      line();
      if (problems.length === 0) line(green('It adds up.'));
      for (const problem of problems) line(red(`It does not add up: ${problem}.`));
      line();
      for (const [label, text] of hints) line(`${label.padEnd(LABEL_WIDTH)}${text}`);
      line();
    },
  };
}

function figure(count: number): string {
  return count.toLocaleString('en-US').padStart(7);
}
