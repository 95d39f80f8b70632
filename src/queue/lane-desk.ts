// The desk between the lanes of a running processor and PostgreSQL: it brings them what `tailrace pause`, `resume` and
// `retry` ask for and where something is due, and takes away for `status` how they are. Two small statements on the
// reading connection, however many lanes there are: one every 800 ms, one every few seconds and at the end where something
// has changed.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Regime } from '../flow/batch.ts';
import type { LaneReport, ReportingLane } from '../flow/lane-report.ts';
import { untilBeat } from '../lib/beat.ts';
import { delay } from '../lib/delay.ts';
import { messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import type { Rights } from './rights.ts';
import { numbers } from './session.ts';
import { controlsSql, REPORT_SQL } from './sql/lanes.ts';

/** `tailrace pause` takes effect within a second, and so does what it asks PostgreSQL. */
const LOOK_MS = 800;
/** The last word is not worth more: PostgreSQL may be the reason for the end. */
const LAST_REPORT_MS = 1_000;
const ERROR_MS = 500;
const REPORT_MS = 2_000;

export interface LaneDeskOptions {
  readonly rights: Rights;
  readonly lanes: () => readonly ReportingLane[];
  readonly regime: () => Regime;
  /** Called with each look that finds something due at an open lane's destination. */
  readonly onDue: (destinationId: number) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What PostgreSQL says about a destination. */
interface Control {
  readonly paused: boolean;
  readonly retryAsked: string | null;
  readonly isDue: boolean;
}

export class LaneDesk {
  readonly #options: LaneDeskOptions;
  readonly #warn: ReturnType<typeof createThrottle>;
  #controls = new Map<number, Control>();
  /** What was last said of each destination. */
  readonly #said = new Map<number, string>();
  #reportedMs = Number.NEGATIVE_INFINITY;
  #ended: Promise<void> | null = null;

  constructor(options: LaneDeskOptions) {
    this.#options = options;
    this.#warn = createThrottle((fields, message) => options.logger.warn(fields, message));
  }

  /** Resolves when it is known what is paused, so that nothing is sent there; goes on looking until the signal. */
  async open(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted && !(await this.#tryToLook())) await delay(ERROR_MS, signal);
    this.#ended = this.#stay();
  }

  /** A new lane begins as PostgreSQL has it. */
  welcome(lane: ReportingLane): void {
    lane.setPaused(this.isPaused(lane.destinationId));
  }

  isPaused(destinationId: number): boolean {
    return this.#controls.get(destinationId)?.paused ?? false;
  }

  /** Resolves when the desk is closed, after the signal. */
  async ended(): Promise<void> {
    await this.#ended;
  }

  async #stay(): Promise<void> {
    const { signal } = this.#options;
    for (;;) {
      await delay(untilBeat(LOOK_MS), signal);
      // What is disabled stays so when nothing runs any more, and a short `run --once` has said nothing yet.
      if (signal.aborted)
        return await Promise.race([this.#tryToReport(), sleep(LAST_REPORT_MS, undefined, { ref: false })]);
      await this.#tryToLook();
      if (performance.now() - this.#reportedMs >= REPORT_MS) await this.#tryToReport();
    }
  }

  async #tryToLook(): Promise<boolean> {
    try {
      await this.#look();
      return true;
    } catch (error) {
      if (!this.#options.signal.aborted)
        this.#warn({ error: messageOf(error) }, 'cannot ask PostgreSQL which destinations are paused; trying again');
      return false;
    }
  }

  async #tryToReport(): Promise<void> {
    this.#reportedMs = performance.now();
    try {
      await this.#report(this.#options.lanes());
    } catch (error) {
      if (this.#options.signal.aborted) return;
      this.#warn(
        { error: messageOf(error) },
        'cannot tell PostgreSQL how the destinations are; tailrace status shows less',
      );
    }
  }

  async #look(): Promise<void> {
    const { rights, lanes, regime, onDue, signal } = this.#options;
    const session = await rights.session(signal);
    const before = this.#controls;
    const rows = await session.query(controlsSql(rights.table.shard), [regime().generation], 'controls');
    this.#controls = new Map(
      rows.map(([id, paused, asked, due]) => [
        Number(id),
        { paused: paused === 't', retryAsked: asked ?? null, isDue: due === 't' },
      ]),
    );
    for (const lane of lanes()) {
      const { destinationId } = lane;
      lane.setPaused(this.isPaused(destinationId));
      const known = before.get(destinationId);
      const control = this.#controls.get(destinationId);
      const asked = control?.retryAsked ?? null;
      if (asked !== null && known && known.retryAsked !== asked) lane.probeNow();
      if (control?.isDue) onDue(destinationId);
    }
  }

  async #report(lanes: readonly ReportingLane[]): Promise<void> {
    const news = lanes
      .map((lane) => ({ id: lane.destinationId, report: lane.report() }))
      .map(({ id, report }) => ({ id, report, text: textOf(report) }))
      .filter(({ id, text }) => this.#said.get(id) !== text);
    if (news.length === 0) return;
    const { rights, signal } = this.#options;
    const session = await rights.session(signal);
    await session.query(
      REPORT_SQL,
      [
        rights.epoch,
        numbers(news.map(({ id }) => id)),
        news.map(({ report }) => report.state),
        news.map(({ report }) => report.waitMs),
        numbers(news.map(({ report }) => report.perSecond.toFixed(2))),
        rights.table.shard.index,
      ],
      'report_lanes',
    );
    for (const { id, text } of news) this.#said.set(id, text);
  }
}

/** Two reports with the same text need not both be written: the end of a state is a moment, however long it is until then. */
function textOf({ state, waitMs, perSecond }: LaneReport): string {
  const endsAt = waitMs === null ? null : Math.round((performance.now() + waitMs) / 1_000);
  return JSON.stringify([state, endsAt, perSecond.toFixed(2)]);
}
