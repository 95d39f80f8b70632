// Tells PostgreSQL of lines that it did not know: an event that has its line is left for a decision, as if under an older
// configuration, so that whoever owns its slot now takes it up without writing a second line.

import { type BatchEvent, toBatchEvent } from '../flow/batch.ts';
import type { Settled } from '../flow/settlement.ts';
import { FRESH, type Standing } from '../flow/standing.ts';
import { applyChanges } from './apply-changes.ts';
import { changesOf } from './changes.ts';
import { fetchRows, findRows } from './rows.ts';
import { numbers, type Session } from './session.ts';
import { FINISHED_SQL, REVOKE_EPOCHS_SQL } from './sql/rights.ts';
import { readStandings } from './standings.ts';
import type { QueueTable } from './table.ts';

/** Before every generation that there is. */
const NO_GENERATION = 0;

/** The events, as they are in the queue: a few megabytes of them at a time. */
export async function* readEvents(
  session: Session,
  table: QueueTable,
  ids: readonly string[],
): AsyncGenerator<readonly BatchEvent[]> {
  const { chunks } = await findRows(session, table, ids, Number.POSITIVE_INFINITY);
  for (const chunk of chunks) {
    const standings = await readStandings(session, chunk);
    const events = await fetchRows(session, table, chunk);
    yield events.map((event) => toBatchEvent(event, standings.get(event.id) ?? FRESH, false));
  }
}

/** Ends epochs that may be alive somewhere; waits for a settling of theirs that is under way. */
export async function revokeEpochs(session: Session, epochs: readonly string[]): Promise<void> {
  await session.query(REVOKE_EPOCHS_SQL, [numbers(epochs)]);
}

/** Of an event that was found to have its line. */
export const loggedBefore = ({ event, stored }: BatchEvent): Settled => ({
  id: event.id,
  from: stored,
  to: toDecide({ ...stored, logged: true, unlogged: false }),
  outcome: 'left',
  inFlight: false,
});

/** In one transaction: the events have their lines, and nothing of these epochs is unfinished any more. */
export async function finishEpochs(
  session: Session,
  table: QueueTable,
  epochs: readonly string[],
  logged: readonly Settled[],
): Promise<void> {
  await session.query('BEGIN');
  try {
    if (logged.length > 0) await applyChanges(session, table, changesOf(logged), 'delete');
    await session.query(FINISHED_SQL, [numbers(epochs)]);
    await session.query('COMMIT');
  } catch (error) {
    if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

const toDecide = (standing: Standing): Standing =>
  standing.left.length + standing.waiting.length + standing.failed.length > 0
    ? standing
    : { ...standing, left: [NO_GENERATION] };
