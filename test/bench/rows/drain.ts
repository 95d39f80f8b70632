// Row 1: a backlog to the file, fsynced, journalled, deleted; against psql alone.

import { type Drain, drain, drained, inTurn, psqlDrain } from '../drain.ts';
import { median, type Row } from '../finding.ts';

/** Into the file and gone. */
export const FILE_ONLY = {};

export const drainRow: Row = {
  name: 'drain',
  number: 1,
  title: 'drain a backlog to the file, fsynced, journalled, deleted',
  async run(bench) {
    const { events } = bench.options;
    const { psql } = bench.server;
    const drains: Drain[] = [];
    const theirs: number[] = [];
    await inTurn(
      bench,
      'drain',
      async () => {
        if (psql) theirs.push(await psqlDrain(bench, psql, events));
      },
      async () => {
        drains.push(await drain(bench, events, FILE_ONLY));
      },
    );
    const bytes = median(drains.map(({ bytesPerLine }) => bytesPerLine));
    return [
      drained(
        {
          what: `${events.toLocaleString('en-US')} events`,
          against: psql ? { label: 'psql (A)', unit: 'events/s', values: theirs } : null,
          goal: { of: 'ratio', sign: '>=', limit: 1.5 },
          notes: [`${bytes.toFixed(0)} bytes a line; both times are of whole processes, from start to end`],
          skipped: psql ? null : 'baseline A: psql is not installed',
        },
        drains,
      ),
    ];
  },
};
