// What a person sees of `tailrace record`: rejections, notes, progress on a terminal, and one line at the end.

import type { Recorder, RecordingCounts } from '../../recording/recorder.ts';
import type { CommandContext } from '../command.ts';

/** Rejected events that are reported one by one; the others are in the reject file all the same. */
const REPORTED_REJECTIONS = 20;
const PROGRESS_EVERY_MS = 100;

export interface RecordReport {
  warn(message: string): void;
  note(message: string): void;
  rejected(message: string): void;
  /** @param share how much of the input has been read, 0 to 1; null: nobody knows. */
  progress(counts: RecordingCounts, share: number | null): void;
  end(recorder: Recorder, rejectFiles: readonly string[]): void;
}

/** Progress is shown only when standard error is a terminal. */
export function createRecordReport({ stdout, stderr }: Pick<CommandContext, 'stdout' | 'stderr'>): RecordReport {
  const clear = stderr.isTTY ? '\r\u001b[K' : '';
  const startedAt = performance.now();
  let shown = 0;
  let progressAt = Number.NEGATIVE_INFINITY;
  return {
    warn(message) {
      stderr.write(`${clear}warning: ${message}\n`);
    },
    note(message) {
      stderr.write(`${clear}${message}\n`);
    },
    rejected(message) {
      shown += 1;
      if (shown <= REPORTED_REJECTIONS) stderr.write(`${clear}${message}\n`);
    },
    progress({ recorded }, share) {
      const now = performance.now();
      if (!stderr.isTTY || now - progressAt < PROGRESS_EVERY_MS) return;
      progressAt = now;
      const perSecond = grouped(Math.round(recorded / Math.max(0.001, (now - startedAt) / 1_000)));
      const done = share === null ? '' : `${Math.floor(share * 100)} %, `;
      stderr.write(`${clear}recorded ${grouped(recorded)} (${done}${perSecond}/s)`);
    },
    end({ counts: { recorded, derived, rejected, suppressed }, missingColumns }, rejectFiles) {
      stderr.write(clear);
      if (rejected > REPORTED_REJECTIONS) {
        stderr.write(`and ${grouped(rejected - REPORTED_REJECTIONS)} more rejected\n`);
      }
      if (missingColumns.size > 0) {
        stderr.write(`warning: the queue table lacks ${[...missingColumns].join(', ')}; their values are not stored\n`);
      }
      const off = [...suppressed.values()].reduce((sum, each) => sum + each, 0);
      if (off > 0) {
        const types = Array.from(suppressed, ([type, number]) => `${type} ${grouped(number)}`);
        stderr.write(
          `not recorded, since it is switched off: ${types.join(', ')}; see \`tailrace recording list\`, or record it regardless with --all\n`,
        );
      }
      const parts = [`recorded ${grouped(recorded)}`, `rejected ${grouped(rejected)}`];
      if (off > 0) parts.push(`switched off ${grouped(off)}`);
      if (derived > 0) parts.splice(1, 0, `${grouped(derived)} of them derived`);
      stdout.write(`${parts.join(', ')}${rejected === 0 ? '' : ` (see ${rejectFiles.join(', ')})`}\n`);
    },
  };
}

function grouped(number: number): string {
  return number.toLocaleString('en-US');
}
