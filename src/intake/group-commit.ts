// Puts the events of requests that come at the same time into one transaction: a COMMIT costs the same for one event
// and for a thousand. Requests wait in a bounded queue for one of a few lanes; what is there when a lane is free goes
// with it as one round. A request is answered when its round is committed.

import { codeOf } from '../lib/errors.ts';
import { type Receipt, unavailable } from './answers.ts';
import type { Database } from './database.ts';
import { type Answer, type Counts, unitsOf } from './outcome.ts';
import type { Store } from './store.ts';
import type { Submission } from './submission.ts';

/** Bounds of one round: few round trips, and little to halve when one event in it is bad. */
const MAX_ROUND_EVENTS = 1_000;
const MAX_ROUND_CHARS = 4 * 1024 * 1024;

export interface GroupCommit {
  /** Settles when the events are committed. @throws {Refused} 400 or 503. */
  submit(submission: Submission): Promise<Receipt>;
  /** Counts events that were not good, and that nobody submitted. */
  reject(events: number): void;
  readonly counts: Readonly<Counts>;
}

interface Waiting extends Answer {
  readonly submission: Submission;
  readonly chars: number;
}

/** SQLSTATE classes that speak of the table, of rights or of a server that does not write: it is looked at anew. */
const OF_TABLE = /^(?:25|26|42)/;

/** Creates the queue in front of the database. */
export function createGroupCommit(database: Database, warn: (error: unknown) => void): GroupCommit {
  const counts: Counts = { recorded: 0, suppressed: 0, rejected: 0 };
  /** Lanes under way, by store: one that was given up may still wait for an answer. */
  const busy = new WeakMap<Store, Set<number>>();
  let waiting: Waiting[] = [];
  let scheduled = false;

  const takeRound = (store: Store): Waiting[] => {
    let events = 0;
    let chars = 0;
    let taken = 0;
    for (const each of waiting) {
      events += each.submission.events.length;
      chars += each.chars;
      const fits = events <= MAX_ROUND_EVENTS && chars <= MAX_ROUND_CHARS;
      if (each.submission.store !== store || (taken > 0 && !fits)) break;
      taken += 1;
    }
    return waiting.splice(0, taken);
  };

  const start = (): void => {
    scheduled = false;
    const { store } = database;
    if (waiting.some(({ submission }) => submission.store !== store)) {
      const stale = waiting.filter(({ submission }) => submission.store !== store);
      waiting = waiting.filter(({ submission }) => submission.store === store);
      for (const { refuse } of stale) refuse(unavailable(false));
    }
    if (store === null) return;
    const lanes = busy.get(store) ?? new Set();
    busy.set(store, lanes);
    for (let lane = 0; lane < store.lanes && waiting.length > 0; lane += 1) {
      if (lanes.has(lane)) continue;
      lanes.add(lane);
      const round = takeRound(store);
      void run(store, lane, round).finally(() => {
        lanes.delete(lane);
        start();
      });
    }
  };

  const run = async (store: Store, lane: number, round: readonly Waiting[]): Promise<void> => {
    let isSent = false;
    try {
      await store.refresh();
      const units = round.flatMap((each) => unitsOf(each.submission, each, counts));
      isSent = true;
      const failure = await store.insert(lane, units);
      if (failure === null) return;
      warn(failure);
      if (OF_TABLE.test(codeOf(failure) ?? '')) database.giveUp(store, failure);
    } catch (error) {
      for (const { refuse } of round) refuse(unavailable(isSent ? 'unknown' : false));
      database.giveUp(store, error);
    }
  };

  return {
    counts,
    reject(events) {
      counts.rejected += events;
    },
    submit(submission) {
      return new Promise((settle, refuse) => {
        const chars = submission.events.reduce((sum, { row }) => sum + row.json.length, 0);
        waiting.push({ submission, chars, settle, refuse });
        if (scheduled) return;
        scheduled = true;
        // Whatever else has arrived by now comes along.
        setImmediate(start);
      });
    },
  };
}
