// The end of the log file: what its last line says of the clock, and how long lines are.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { codeOf } from '../lib/errors.ts';
import { duration } from '../lib/quantity.ts';
import { endsWithNewline, lastLineTimeUs } from '../log-file/tail.ts';
import { type Finding, notSeen, ok, warning } from './finding.ts';

/** Seconds by which the last stamp may be ahead of the clock. */
const AHEAD = 1;
const SAMPLE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

export interface LogEnd {
  readonly findings: readonly Finding[];
  /** null = no line to go by. */
  readonly lineBytes: number | null;
}

/** @param nowMs milliseconds since the epoch, here. */
export async function checkLogEnd(path: string, nowMs: number): Promise<LogEnd> {
  const check = 'last line';
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (!stats.isFile() || stats.size === 0) return { findings: [], lineBytes: null };
      const lastUs = await lastLineTimeUs(file, stats.size);
      const isWhole = await endsWithNewline(file, stats.size);
      const length = Math.min(SAMPLE_BYTES, stats.size);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, stats.size - length);
      const lines = buffer.subarray(0, bytesRead).filter((byte) => byte === NEWLINE).length;
      return { findings: [judge(lastUs, isWhole, nowMs)], lineBytes: lines > 0 ? bytesRead / lines : null };
    } finally {
      await file.close();
    }
  } catch (error) {
    // What stands there instead of a file is said elsewhere.
    if (['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO'].includes(codeOf(error) ?? '')) return { findings: [], lineBytes: null };
    return { findings: [notSeen(check, error)], lineBytes: null };
  }

  function judge(lastUs: number | null, isWhole: boolean, now: number): Finding {
    if (lastUs === null) {
      return warning(
        check,
        'there is no line of tailrace at the end of the file: another program writes to it, or wrote to it before',
        'give tailrace a file of its own: logfile.filename',
      );
    }
    const ago = now / 1_000 - lastUs / 1_000_000;
    if (-ago > AHEAD) {
      return warning(
        check,
        `it was written ${duration(-ago)} ahead of this host's clock: the clock was set back`,
        'see whether the clock is right now: timedatectl; times of lines grow on from that one, or step back after 5 s with a warning',
      );
    }
    const torn = isWhole
      ? ''
      : ', and is only half there (a processor at work, or one that crashed; the next one finishes it)';
    return ok(check, `written ${duration(Math.max(0, ago))} ago${torn}`);
  }
}
