// Events in lent pages, as the reader makes them, and pages that are used for something else as soon as they are given back.

import { QueuedEvent, type RawValue, type RowShape } from '../../src/event/event.ts';
import { encodeRow } from '../../src/event/row-bytes.ts';
import { lendPageBuffer, takeBack } from '../../src/flow/page-buffers.ts';

/** The events of some rows, all in one page. */
export function eventsInPage(shape: RowShape, rows: readonly (readonly RawValue[])[]): QueuedEvent[] {
  const encoded = rows.map(encodeRow);
  const page = lendPageBuffer(encoded.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  return encoded.map((row) => {
    const start = at;
    at += row.copy(page, start);
    return new QueuedEvent(shape, page, start);
  });
}

/** What was given back is written over, as the next pages would: an event that still stands there has no column left. */
export function spoilFreePages(): void {
  const free: Buffer[] = [];
  for (let page = lendPageBuffer(0); page.length > 0; page = lendPageBuffer(0)) free.push(page.fill(0xff));
  for (const page of free.reverse()) takeBack(page);
}
