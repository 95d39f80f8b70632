// What the page shows, as one JSON object a second: figures of this process, what PostgreSQL said last, the newest lines.

import type { Life } from '../flow/life.ts';
import type { Vitals } from '../flow/vitals.ts';
import type { Reading } from '../metrics/family.ts';
import type { DestinationStatus } from '../queue/status.ts';
import type { DatabaseWatch } from './database-watch.ts';
import type { History } from './history.ts';
import { latestLines } from './latest-lines.ts';
import { REASONS, type Readiness } from './readiness.ts';

/** Figures that are a moment old are better than a page that waits. */
const PATIENCE_MS = 700;

/** Milliseconds since the epoch: another number says that the curves begin anew. */
const STARTED_AT = Math.round(performance.timeOrigin);

export interface PageStateOptions {
  readonly life: Life;
  readonly vitals: Vitals;
  readonly database: DatabaseWatch;
  readonly history: History;
  readonly readiness: () => Promise<Readiness>;
  readonly version: string;
  /** A token is set: whole lines are shown, and buttons work. */
  readonly mayChange: boolean;
}

/**
 * Collects it; takes about a second at the most.
 *
 * @param after number of the last second that the page has of the curves; -1 = none.
 */
export async function pageState(options: PageStateOptions, after: number): Promise<object> {
  const { life, vitals, database, history, readiness, version, mayChange } = options;
  const { tenure } = life;
  const log = tenure?.logFile() ?? null;
  const [{ role, reasons }, reading, lines] = await Promise.all([
    readiness(),
    database.reading(PATIENCE_MS),
    latestLines(log?.path ?? null, mayChange),
  ]);
  return {
    version,
    started_at: STARTED_AT,
    role,
    may_change: mayChange,
    problems: [
      ...reasons.map((reason) => REASONS[reason]),
      ...[life.role === 'starting' ? life.why : null, log?.error, database.trouble].filter((text) => text != null),
    ],
    epoch: tenure?.epoch ?? null,
    queue: queueOf(reading),
    log: log && { path: log.path, rotations: vitals.log.rotations, rotated_at: vitals.log.rotatedAtMs },
    totals: life.summary,
    destinations: destinationsOf(reading, life),
    ...lines,
    ...history.after(after),
  };
}

function queueOf(reading: Reading | null): object | null {
  if (reading === null) return null;
  const { queued, queued_is_minimum, left, oldest_seconds } = reading.status;
  return { queued, queued_is_minimum, left, oldest_seconds, age_seconds: Math.round(reading.ageS) };
}

/** As PostgreSQL has them; those of this process of which it has not been asked yet, as their lanes are. */
function destinationsOf(
  reading: Reading | null,
  { tenure }: Life,
): readonly (DestinationStatus | Pick<DestinationStatus, 'destination' | 'state'>)[] {
  const said = reading?.status.destinations ?? [];
  const known = new Set(said.map(({ destination }) => destination));
  const others = (tenure?.lanes() ?? []).filter(({ key }) => !known.has(key));
  return [
    ...said,
    ...others.map(({ key, state, paused }) => ({ destination: key, state: paused ? 'paused' : state }) as const),
  ];
}
