// The books of a soak: which events were committed, which have a line, which were accepted. Of what is done with only a
// bit per id is kept, so that a soak may last for days.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { IdSet } from '../../src/lib/id-set.ts';
import type { Load } from './load.ts';
import type { Report } from './receiver.ts';

const EVENT_ID = /^\{"time_written_to_logfile":[\d.]+,"event_id":(\d+)/;

export interface Books {
  readonly committed: number;
  readonly lines: number;
  readonly accepted: number;
  /** Without a line, or never accepted. */
  readonly lost: number;
  /** Lines of an id that has one already, and what is no line at all. */
  readonly doubled: number;
  /** Requests accepted again: allowed after a lost answer, and said. */
  readonly acceptedAgain: number;
}

export interface Ledger {
  /** Takes what the receiver has accepted. @returns milliseconds from COMMIT to the answer of each. */
  note(report: Report): number[];
  /** Reads a file to which nothing is added any more. */
  read(file: string): Promise<void>;
  /** How many committed events have not been accepted. */
  readonly outstanding: number;
  /** At the end, when everything has been read and noted. */
  close(): Books;
}

/** The books of one load. */
export function openLedger(load: Load): Ledger {
  const lines = new IdSet();
  const accepted = new IdSet();
  const acceptedKeys = new Map<string, number>();
  /** Accepted, and their line has not been read yet. */
  const withoutLine = new Set<string>();
  let doubled = 0;
  let acceptedAgain = 0;

  const settle = (key: string, answeredNs: number): number | null => {
    const id = load.idOfKey.get(key);
    const committedNs = id === undefined ? undefined : load.committedAtNs.get(id);
    if (id === undefined || committedNs === undefined) return null;
    load.forget(key, id);
    accepted.add(id);
    if (!lines.has(id)) withoutLine.add(id);
    return (answeredNs - committedNs) / 1e6;
  };
  return {
    note({ times }) {
      // Events can be accepted before their producer has heard that they are committed.
      const due: [string, number][] = [...acceptedKeys, ...times.map(([key, , ns]): [string, number] => [key, ns])];
      acceptedKeys.clear();
      return due.flatMap(([key, answeredNs]) => {
        const latency = settle(key, answeredNs);
        if (latency !== null) return [latency];
        if (acceptedKeys.has(key)) acceptedAgain += 1;
        acceptedKeys.set(key, answeredNs);
        return [];
      });
    },
    async read(file) {
      for await (const line of createInterface({ input: createReadStream(file) })) {
        const id = EVENT_ID.exec(line)?.[1];
        if (id === undefined || !lines.add(id)) doubled += 1;
        else withoutLine.delete(id);
      }
    },
    get outstanding() {
      return load.committedAtNs.size;
    },
    close: () => ({
      committed: accepted.size + load.committedAtNs.size,
      lines: lines.size,
      accepted: accepted.size,
      lost: load.committedAtNs.size + withoutLine.size,
      doubled,
      // What no event waits for any more was accepted before.
      acceptedAgain: acceptedAgain + acceptedKeys.size,
    }),
  };
}
