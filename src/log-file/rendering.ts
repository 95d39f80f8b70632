// From events to the bytes of their lines: one string builder per row shape, two buffers for all batches, so that a
// backlog of any size leaves no garbage behind. The bytes are valid until the next call but one: while they are being
// synced, those of the next batch are rendered.

import type { QueuedEvent, RowShape } from '../event/event.ts';
import { createLineBuilder, type LogLineBuilder } from '../event/log-line.ts';
import type { BatchEvent } from '../flow/batch.ts';

const INITIAL_BYTES = 1024 * 1024;
/** A buffer that one huge batch has made larger than this is not kept for the next. */
const KEPT_BYTES = 8 * 1024 * 1024;
/** Text is encoded in pieces of about this many characters: few calls, and no batch as one string. */
const PIECE_CHARS = 64 * 1024;
const MOST_BYTES_PER_CHAR = 3;

export interface Renderer {
  /** The lines of the events, in order, stamped `firstUs` and then 1 µs apart. Valid until the next call but one. */
  render(events: readonly BatchEvent[], firstUs: number, expandJsonColumns: readonly string[]): Buffer;
  /** What a line says of an event, whenever it was written. */
  content(event: QueuedEvent, expandJsonColumns: readonly string[]): string;
}

/** A line without its stamp, which is all that differs between two lines of one event. */
export const contentOf = (line: string): string => line.slice(line.indexOf(',')).trimEnd();

/** Creates the renderer of one log file stage. */
export function createRenderer(): Renderer {
  let builders = new WeakMap<RowShape, LogLineBuilder>();
  let expanded: readonly string[] = [];
  let buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  let other = Buffer.allocUnsafeSlow(INITIAL_BYTES);

  const builderOf = (shape: RowShape): LogLineBuilder => {
    let builder = builders.get(shape);
    if (builder === undefined) {
      builder = createLineBuilder(shape, { expandJsonColumns: expanded });
      builders.set(shape, builder);
    }
    return builder;
  };
  const expand = (columns: readonly string[]): void => {
    if (columns === expanded) return;
    expanded = columns;
    builders = new WeakMap();
  };
  const write = (text: string, at: number): number => {
    const needed = at + text.length * MOST_BYTES_PER_CHAR;
    if (needed > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, buffer.length * 2));
      buffer.copy(larger, 0, 0, at);
      buffer = larger;
    }
    return buffer.write(text, at);
  };

  return {
    content(event, expandJsonColumns) {
      expand(expandJsonColumns);
      return contentOf(builderOf(event.shape)(event, 0));
    },
    render(events, firstUs, expandJsonColumns) {
      expand(expandJsonColumns);
      [buffer, other] = [other, buffer];
      if (buffer.length > KEPT_BYTES) buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
      let length = 0;
      let piece = '';
      let timeUs = firstUs;
      for (const { event } of events) {
        piece += builderOf(event.shape)(event, timeUs);
        timeUs += 1;
        if (piece.length < PIECE_CHARS) continue;
        length += write(piece, length);
        piece = '';
      }
      length += write(piece, length);
      return buffer.subarray(0, length);
    },
  };
}
