// What this process is doing, told once: the processor says whether it is the writer, and the pipeline is asked while it
// runs. It has two readers: `monitor/liveness.ts` for systemd, and `run --http` for its health, metrics and page.
//
//   starting ──▶ standby ──▶ writer ──▶ starting …    and from each ──▶ stopped
//
// It knows nothing of how long and how much the stages work: that is counted in `vitals.ts`, and only for `run --http`.

import { type Regime, routeTo } from './batch.ts';
import type { LaneReport } from './lane-report.ts';
import type { Settled } from './settlement.ts';
import { type Summary, Tally } from './tally.ts';

/** `starting`: it tries to become the writer and cannot yet. */
export type Role = 'starting' | 'standby' | 'writer' | 'stopped';

/** A destination of the writer, at this moment. */
export interface LaneStatus extends LaneReport {
  readonly key: string;
  readonly paused: boolean;
  /** Events queued or under way in this process. */
  readonly held: number;
}

/** A running pipeline, from outside. Functions: it is looked at now and then, and nothing is kept up to date for that. */
export interface Tenure {
  readonly epoch: string;
  /** False while the connection that holds our locks is lost. */
  readonly held: () => boolean;
  readonly generation: () => number;
  readonly logFile: () => { readonly path: string | null; readonly error: string | null };
  readonly lanes: () => readonly LaneStatus[];
  /** Ids that are missing below the last one read. */
  readonly gaps: () => number;
  /** Events between reading and settling. */
  readonly inFlight: () => number;
  /** It has read what the next stages do not take yet: no look at the queue is due. */
  readonly isHeldBack: () => boolean;
  /** Opens the files anew; resolves when nothing more is written to one that had left its path. */
  readonly reopen: () => Promise<unknown>;
}

export class Life {
  readonly #now: () => number;
  readonly #tally = new Tally();
  #role: Role = 'starting';
  #why: string | null = null;
  #hasFoundRole = false;
  #tenure: Tenure | null = null;
  #lookedMs = 0;

  /** @param now milliseconds of a clock that is never set; a test gives its own. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get role(): Role {
    return this.#role;
  }

  /** What keeps it from being the writer, in one line: an error, or who is; null = nothing that is known. */
  get why(): string | null {
    return this.#why;
  }

  /** It has found out once what it is to do, if only what it has to wait for. */
  get hasFoundRole(): boolean {
    return this.#hasFoundRole;
  }

  /** The time as the writer; null = it is not, or its pipeline is being put together. */
  get tenure(): Tenure | null {
    return this.#tenure;
  }

  /** What became of events so far, in all tenures. */
  get summary(): Readonly<Summary> {
    return this.#tally.summary;
  }

  /** Milliseconds since the reader looked at the queue, or something went all the way through. */
  get idleMs(): number {
    return this.#now() - this.#lookedMs;
  }

  became(role: Role, why: string | null = null): void {
    this.#role = role;
    this.#why = why;
    this.#hasFoundRole ||= role !== 'starting' || why !== null;
    if (role !== 'writer') this.#tenure = null;
  }

  /** The pipeline of the writer is about to run. */
  begins(tenure: Tenure): void {
    this.#tenure = tenure;
    this.looked();
  }

  /** The reader looks at the queue. */
  looked(): void {
    this.#lookedMs = this.#now();
  }

  /** New lines are on disk. */
  wrote(lines: number): void {
    this.#tally.addLines(lines);
  }

  /** A settlement is committed. */
  settled(items: readonly Settled[]): void {
    this.#tally.add(items);
    this.looked();
  }
}

/** How these lanes are; one that no entry leads to any more is not told of. */
export function statusOfLanes(
  lanes: readonly { readonly destinationId: number; readonly size: number; report(): LaneReport }[],
  regime: Regime | null,
  isPaused: (destinationId: number) => boolean,
): readonly LaneStatus[] {
  return lanes.flatMap((lane) => {
    const key = routeTo(lane.destinationId, regime)?.key;
    return key === undefined ? [] : [{ key, paused: isPaused(lane.destinationId), held: lane.size, ...lane.report() }];
  });
}
