// What one request hands on when its body is read and its events are checked.

import type { JsonRow } from '../recording/insert-rows.ts';
import type { EventProblem } from './answers.ts';
import type { Store } from './store.ts';

/** A good event of a request. */
export interface GoodEvent {
  /** Which of the request, from 0. */
  readonly index: number;
  readonly line?: number;
  readonly row: JsonRow;
  readonly type: string;
  readonly ofStudio: boolean;
}

export interface Submission {
  /** What checked the events, and must store them: its columns are those that were checked. */
  readonly store: Store;
  /** How many events the request had, the bad ones too. */
  readonly total: number;
  readonly events: readonly GoodEvent[];
  /** What is wrong with the others; with `partial` only. */
  readonly problems: readonly EventProblem[];
  /** Each event on its own, instead of all or none. */
  readonly partial: boolean;
}
