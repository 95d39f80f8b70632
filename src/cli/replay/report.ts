// What a person sees of `tailrace replay`: bad lines and refused events with their place, progress on a terminal, and a
// sum at the end.

import { many } from '../../lib/quantity.ts';
import { visible } from '../../lib/visible.ts';
import type { Counts } from '../../replay/counts.ts';
import type { ReplayReport, ReplayStatus } from '../../replay/report.ts';
import type { CommandContext } from '../command.ts';

/** Said one by one; the others are only counted. */
const SHOWN_OF_EACH = 20;
const PROGRESS_EVERY_MS = 200;
/** The time that is left is told from the last so many looks. */
const LOOKS = 75;

/** How a replay ended. */
export interface ReplayEnd {
  readonly counts: Counts;
  readonly dryRun: boolean;
  /** Everything is settled. */
  readonly finished: boolean;
  readonly files: number;
  /** null: nothing was rejected. */
  readonly rejects: string | null;
  readonly checkpoint: string;
  /** Fields of --where that no event had. */
  readonly unknownFields: readonly string[];
}

export interface ReplayPrinter extends ReplayReport {
  note(message: string): void;
  /** Shows progress from now on, on a terminal. */
  start(status: () => ReplayStatus): void;
  /** Shows no more of it. Safe to call twice. */
  stop(): void;
  /** Prints the sum. */
  end(end: ReplayEnd): void;
}

export function createReplayPrinter(
  { stdout, stderr }: Pick<CommandContext, 'stdout' | 'stderr'>,
  options: { readonly json: boolean },
): ReplayPrinter {
  const clear = stderr.isTTY ? '\r\u001b[K' : '';
  const startedMs = performance.now();
  const shown = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  const say = (message: string): void => void stderr.write(`${clear}${message}\n`);
  const sayOne = (what: string, message: string): void => {
    const count = (shown.get(what) ?? 0) + 1;
    shown.set(what, count);
    if (count <= SHOWN_OF_EACH) say(message);
  };
  const stop = (): void => {
    if (timer !== undefined) stderr.write(clear);
    clearInterval(timer);
    timer = undefined;
  };
  return {
    note: say,
    onBad: (path, line, problem) => sayOne('bad lines', `${path}:${line}: ${visible(problem)}`),
    onRejected: (path, line, destination, error) =>
      sayOne('refused events', `${path}:${line}: ${destination}: ${visible(error)}`),
    onGivenUp: (destination, error) =>
      say(`${destination} accepts nothing and is not tried any more; its events go to the reject file: ${error}`),
    start(status) {
      if (!stderr.isTTY) return;
      const lines = createProgressLine();
      timer = setInterval(() => {
        // A terminal that does not tell its size says 0.
        const width = Math.max(20, (stderr.columns || 100) - 1);
        stderr.write(`${clear}${lines(status(), performance.now()).slice(0, width)}`);
      }, PROGRESS_EVERY_MS);
    },
    stop,
    end(end) {
      stop();
      for (const [what, count] of shown) {
        if (count > SHOWN_OF_EACH) say(`and ${grouped(count - SHOWN_OF_EACH)} more ${what}`);
      }
      for (const field of end.unknownFields)
        say(`warning: no event that was looked at has a field ${JSON.stringify(field)}`);
      stdout.write(options.json ? `${JSON.stringify(summaryOf(end))}\n` : textOf(end, performance.now() - startedMs));
    },
  };
}

/** The object of `--json`. */
function summaryOf({ counts, dryRun, finished, files, rejects, checkpoint }: ReplayEnd) {
  const { lines, sent, failed, bad, skipped, nowhere, destinations } = counts;
  return {
    finished,
    dry_run: dryRun,
    files,
    lines,
    sent,
    failed,
    bad_lines: bad,
    skipped,
    ...nowhere,
    destinations: Object.entries(destinations).map(([destination, at]) => ({ destination, ...at })),
    rejects,
    checkpoint: finished ? null : checkpoint,
  };
}

const NOWHERE: Readonly<Record<keyof Counts['nowhere'], string>> = {
  dropped: 'dropped by the configuration',
  left: 'left in the queue by the configuration',
  disabled: 'for a disabled destination',
  other: 'for other destinations',
  unmatched: 'matched by no rule',
};

function textOf({ counts, dryRun, finished, files, rejects, checkpoint }: ReplayEnd, tookMs: number): string {
  const { sent, failed, bad, skipped, nowhere, destinations } = counts;
  const seconds = tookMs / 1_000;
  const from = `from ${many(files, 'file')}`;
  const failedToo = failed > 0 ? `, ${grouped(failed)} failed` : '';
  const lines = [
    dryRun
      ? `would send ${many(sent, 'event')} ${from}; nothing was sent`
      : `sent ${many(sent, 'event')}${failedToo} ${from} in ${duration(seconds)}`,
  ];
  const width = Math.max(...Object.keys(destinations).map((key) => key.length));
  for (const [key, at] of Object.entries(destinations)) {
    lines.push(`  ${key.padEnd(width)}  ${grouped(at.sent)}${at.failed > 0 ? `, ${grouped(at.failed)} failed` : ''}`);
  }
  if (skipped > 0) lines.push(`left out by the filters: ${grouped(skipped)}`);
  for (const [reason, count] of Object.entries(nowhere)) {
    // The keys of `nowhere` are those of NOWHERE.
    if (count > 0) lines.push(`${NOWHERE[reason as keyof Counts['nowhere']]}: ${grouped(count)}`);
  }
  if (bad > 0) lines.push(`no events, and not sent: ${many(bad, 'line')}`);
  if (rejects !== null) lines.push(`what failed is in ${rejects}: mend the cause, then \`tailrace replay ${rejects}\``);
  if (!finished && !dryRun) lines.push(`not finished; go on with \`tailrace replay --resume${named(checkpoint)}\``);
  if (!finished && dryRun) lines.push('not finished');
  return `${lines.join('\n')}\n`;
}

const named = (checkpoint: string): string => (checkpoint === DEFAULT_CHECKPOINT ? '' : ` --checkpoint ${checkpoint}`);

/** In the working directory. */
export const DEFAULT_CHECKPOINT = 'replay.checkpoint.json';

function createProgressLine() {
  const looks: { readonly atMs: number; readonly share: number; readonly settled: number }[] = [];
  return ({ counts, share, outlets }: ReplayStatus, atMs: number): string => {
    const settled = counts.sent + counts.failed;
    looks.push({ atMs, share, settled });
    if (looks.length > LOOKS) looks.shift();
    const first = looks[0] ?? { atMs, share, settled };
    const perSecond = (grown: number): number => grown / Math.max(0.001, (atMs - first.atMs) / 1_000);
    const sharePerSecond = perSecond(share - first.share);
    const parts = [
      `${Math.floor(share * 100)} %, sent ${grouped(counts.sent)} (${grouped(Math.round(perSecond(settled - first.settled)))}/s)`,
    ];
    if (counts.failed > 0) parts.push(`${grouped(counts.failed)} failed`);
    if (sharePerSecond > 0) parts.push(`${duration((1 - share) / sharePerSecond)} left`);
    for (const { key, state, waitMs, retrying, givenUp } of outlets) {
      if (givenUp) parts.push(`${key}: given up`);
      else if (state !== 'ok' && state !== 'rate_limited') {
        parts.push(`${key}: failing, next try in ${duration((waitMs ?? 0) / 1_000)}`);
      } else if (retrying > 0) parts.push(`${key}: ${grouped(retrying)} to be tried again`);
    }
    return parts.join(', ');
  };
}

const grouped = (number: number): string => number.toLocaleString('en-US');

/** `4 s`, `3 min 20 s`, `2 h 5 min`. */
function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}
