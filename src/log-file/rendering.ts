// From events to the bytes of their lines: one line builder per row shape, two buffers for all batches, so that a
// backlog of any size leaves no garbage behind. The bytes are valid until the next call but one: while they are being
// synced, those of the next batch are rendered.

import type { QueuedEvent, RowShape } from '../event/event.ts';
import { JsonWriter } from '../event/json-writer.ts';
import { createLineBuilder, type LogLineBuilder, lineOf } from '../event/log-line.ts';
import type { BatchEvent } from '../flow/batch.ts';

const INITIAL_BYTES = 1024 * 1024;
/** A buffer that one huge batch has made larger than this is not kept for the next. */
const KEPT_BYTES = 8 * 1024 * 1024;

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
  let writer = new JsonWriter(INITIAL_BYTES);
  let other = new JsonWriter(INITIAL_BYTES);

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

  return {
    content(event, expandJsonColumns) {
      expand(expandJsonColumns);
      return contentOf(lineOf(builderOf(event.shape), event, 0));
    },
    render(events, firstUs, expandJsonColumns) {
      expand(expandJsonColumns);
      [writer, other] = [other, writer];
      if (writer.bytes.length > KEPT_BYTES) writer = new JsonWriter(INITIAL_BYTES);
      writer.length = 0;
      let timeUs = firstUs;
      for (const { event } of events) {
        builderOf(event.shape)(writer, event, timeUs);
        timeUs += 1;
      }
      return writer.bytes.subarray(0, writer.length);
    },
  };
}
