// Finds the lines of some events in log files that have been verified, and what tells one event from another that bears
// its id: a second pass, which only a log that needs it pays for.

import { createHash } from 'node:crypto';
import { type IdBitmap, idOf } from '../../lib/id-bitmap.ts';
import type { WrittenFile } from '../written-files.ts';
import { inspectLine } from './inspect-line.ts';
import { readLines } from './read-lines.ts';
import { LineScanner, viewOf } from './scan-line.ts';

const NEWLINE = 0x0a;

/** A line of an event that was looked for. */
export interface LocatedLine {
  readonly eventId: string;
  /** null: the event has none. */
  readonly uniqueId: string | null;
  /** The same for two lines of one event, different for two events. */
  readonly identity: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/**
 * Goes through files once more.
 *
 * @param files with the number of lines that were verified; what came later is left out.
 */
export async function locate(
  files: readonly { readonly file: WrittenFile; readonly lines: number }[],
  wanted: IdBitmap,
  onLine: (line: LocatedLine) => void,
): Promise<void> {
  for (const { file, lines } of files) {
    const scanner = new LineScanner();
    let number = 0;
    const look = (line: Buffer, block: number, bit: number): void => {
      if (!wanted.has(block, bit)) return;
      const { identity, uniqueId } = identify(line);
      onLine({ eventId: idOf(block, bit).toString(), uniqueId, identity, file: file.path, line: number });
    };
    const visit = (line: Buffer): void => {
      const { facts } = inspectLine(line);
      if (facts !== null) look(line, facts.block, facts.bit);
    };
    await readLines(file, {
      lines(block) {
        const view = viewOf(block);
        for (let at = 0; at < block.length && number < lines; ) {
          number += 1;
          const next = scanner.scan(block, view, at);
          const end = next < 0 ? block.indexOf(NEWLINE, at) : next - 1;
          if (next < 0) visit(block.subarray(at, end));
          else look(block.subarray(at, end), scanner.block, scanner.bit);
          at = end + 1;
        }
      },
      tooLong() {
        number += 1;
      },
      rest(bytes) {
        number += 1;
        if (number <= lines) visit(bytes);
      },
    }).catch(() => {}); // told when it was verified
  }
}

function identify(line: Buffer): { readonly identity: string; readonly uniqueId: string | null } {
  // As much as a careful look forgives.
  const text = line.toString().replace(/^\0+|\r$/g, '');
  const { event_unique_id: uniqueId } = JSON.parse(text) as Record<string, unknown>;
  if (typeof uniqueId === 'string') return { identity: `id ${uniqueId}`, uniqueId };
  const content = createHash('sha256')
    .update(text.slice(text.indexOf(',')))
    .digest('base64');
  return { identity: `content ${content}`, uniqueId: null };
}
