// From events to the bytes of their lines: one line builder per row shape, three buffers for all batches, so that a
// backlog of any size leaves no garbage behind. The bytes are valid until the third call after: while those of one batch
// are being synced and those of the next one are journalled, a third is rendered.

import { setImmediate } from 'node:timers/promises';
import type { QueuedEvent, RowShape } from '../event/event.ts';
import { JsonWriter } from '../event/json-writer.ts';
import { createLineBuilder, type LogLineBuilder, lineOf } from '../event/log-line.ts';
import type { BatchEvent } from '../flow/batch.ts';

/**
 * After so many lines, some 0.8 ms, whatever else waits has its turn: above all the socket of the next page. It holds
 * some 300 rows, and PostgreSQL stands still while it is full.
 */
const LINES_AT_A_TIME = 256;

const BUFFERS = 3;
const INITIAL_BYTES = 1024 * 1024;
/** A buffer that one huge batch has made larger than this is not kept for the next. */
const KEPT_BYTES = 8 * 1024 * 1024;

export interface Renderer {
  /**
   * The lines of the events, in order, stamped `firstUs` and then 1 µs apart. Valid until the third call after this. Not to
   * be called again before it has resolved.
   */
  render(events: readonly BatchEvent[], firstUs: number, expandJsonColumns: readonly string[]): Promise<Buffer>;
  /** What a line says of an event, whenever it was written. */
  content(event: QueuedEvent, expandJsonColumns: readonly string[]): string;
}

/** A line without its stamp, which is all that differs between two lines of one event. */
export const contentOf = (line: string): string => line.slice(line.indexOf(',')).trimEnd();

/** Creates the renderer of one log file stage. */
export function createRenderer(): Renderer {
  /** By the columns that are written as objects: two batches of a reloaded configuration may be under way. */
  const builders = new WeakMap<readonly string[], WeakMap<RowShape, LogLineBuilder>>();
  let writers = Array.from({ length: BUFFERS }, () => new JsonWriter(INITIAL_BYTES));

  const builderOf = (shape: RowShape, expandJsonColumns: readonly string[]): LogLineBuilder => {
    const known = builders.get(expandJsonColumns) ?? new WeakMap<RowShape, LogLineBuilder>();
    builders.set(expandJsonColumns, known);
    const builder = known.get(shape) ?? createLineBuilder(shape, { expandJsonColumns });
    known.set(shape, builder);
    return builder;
  };

  return {
    content(event, expandJsonColumns) {
      return contentOf(lineOf(builderOf(event.shape, expandJsonColumns), event, 0));
    },
    async render(events, firstUs, expandJsonColumns) {
      const [oldest, ...others] = writers as [JsonWriter, ...JsonWriter[]];
      const out = oldest.bytes.length > KEPT_BYTES ? new JsonWriter(INITIAL_BYTES) : oldest;
      out.length = 0;
      writers = [...others, out];
      let shape: RowShape | null = null;
      let build: LogLineBuilder = () => undefined;
      for (const [index, { event }] of events.entries()) {
        if (index > 0 && index % LINES_AT_A_TIME === 0) await setImmediate();
        if (event.shape !== shape) build = builderOf(event.shape, expandJsonColumns);
        shape = event.shape;
        build(out, event, firstUs + index);
      }
      return out.bytes.subarray(0, out.length);
    },
  };
}
