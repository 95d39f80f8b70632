// What a replay says of itself while it goes on, to whoever shows it to a person.

import type { Counts } from './counts.ts';
import type { OutletReport } from './sender.ts';

/** Told of what a person should know at once. */
export interface ReplayReport {
  onBad(path: string, line: number, problem: string): void;
  onRejected(path: string, line: number, destination: string, error: string): void;
  onGivenUp(destination: string, error: string): void;
}

/** How far it is. */
export interface ReplayStatus {
  readonly counts: Counts;
  /** Of the files, as they lie on the disk, from 0 to 1: what has been read, less what is read ahead of the destinations. */
  readonly share: number;
  readonly outlets: readonly OutletReport[];
}
